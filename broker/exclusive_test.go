package broker_test

import (
	"errors"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// TestAClosedConnectionLeavesNothingExclusive closes connections, after each of which
// the name of its exclusive queue is free at once.
func TestAClosedConnectionLeavesNothingExclusive(t *testing.T) {
	t.Parallel()
	address := start(t, nil)
	for range 100 {
		conn, err := amqp091.Dial("amqp://guest:guest@" + address)
		if err != nil {
			t.Fatal(err)
		}
		ch, err := conn.Channel()
		if err != nil {
			t.Fatal(err)
		}
		_, err = ch.QueueDeclare("mine", false, false, true, false, nil)
		if err = errors.Join(err, conn.Close()); err != nil {
			t.Fatal(err)
		}
	}
}
