package rpc_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
)

// A client of an oslo.messaging server. The function declare joins the two
// packages' descriptions of exchanges and queues.
func ExampleClient_Call() {
	broker, err := amqp.New(amqp.Config{URLs: []string{"amqp://127.0.0.1:5672/"}})
	if err != nil {
		log.Fatal(err)
	}
	client, err := rpc.NewClient(rpc.ClientConfig{
		Sender: broker.Sender("client"), Listener: broker, Declare: broker.Declare, Format: rpc.Oslo{},
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	args, err := rpc.Args(map[string]any{"id": 7})
	if err != nil {
		log.Fatal(err)
	}
	reply, err := client.Call(ctx, router.Target{Kind: router.TargetTopic, Topic: "compute"}, rpc.Request{Method: "status", Payload: args})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(reply.Value())
}
