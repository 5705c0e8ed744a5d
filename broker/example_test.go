package broker_test

import (
	"context"
	"fmt"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/broker"
)

// A test has a broker of its own, without a network, that refuses a publish and then
// goes away.
func ExampleFaults() {
	s := broker.New(broker.Config{})
	defer s.Close()
	pipe, err := s.Pipe()
	if err != nil {
		fmt.Println(err)
		return
	}
	conn, err := amqp091.Open(pipe, amqp091.Config{
		Vhost: "/", SASL: []amqp091.Authentication{&amqp091.PlainAuth{Username: "guest", Password: "guest"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ch, err := conn.Channel()
	if err != nil {
		fmt.Println(err)
		return
	}
	confirms := ch.NotifyPublish(make(chan amqp091.Confirmation, 1))
	closed := conn.NotifyClose(make(chan *amqp091.Error, 1))
	if err := ch.Confirm(false); err != nil {
		fmt.Println(err)
		return
	}

	s.Faults().NackPublishes(1)
	for range 2 {
		if err := ch.PublishWithContext(context.Background(), "", "q", false, false, amqp091.Publishing{}); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("taken:", (<-confirms).Ack)
	}
	s.Faults().CloseConnections(nil, 320, "CONNECTION_FORCED - going down")
	fmt.Println((<-closed).Reason)
	// Output:
	// taken: false
	// taken: true
	// CONNECTION_FORCED - going down
}
