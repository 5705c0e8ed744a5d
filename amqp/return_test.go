package amqp_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testbroker"
	"github.com/wasmrouter/router/router"
)

// verdict is a receipt that checks what it is told against what must be.
type verdict struct {
	routable bool
	wrong    *sync.Map
	wg       *sync.WaitGroup
	id       string
}

func (v *verdict) Settle(err error) {
	defer v.wg.Done()
	if v.routable != (err == nil) || err != nil && !errors.Is(err, router.ErrUnroutable) {
		v.wrong.Store(v.id, fmt.Sprint(err))
	}
}

func TestReturnsAreMatchedToTheirPublishes(t *testing.T) {
	testbroker.Both(t, testReturnsAreMatchedToTheirPublishes)
}

func testReturnsAreMatchedToTheirPublishes(t *testing.T, at *testbroker.Broker) {
	const senders, each = 64, 320 // 20,480 messages
	ctx := testContext(t)
	name := rabbitnode.Queue(t)
	ch := channel(t, at.URL())
	declareQueue(t, ch, name, nil)
	b := newBroker(t, at, amqp.Config{})

	var wrong sync.Map
	var settled, sending sync.WaitGroup
	for i := range senders {
		sending.Go(func() {
			s := b.Sender(fmt.Sprint("sender ", i))
			for j := range each {
				// Bodies and keys repeat, so that only the headers tell some apart.
				routable := (i*31+j*17)%3 != 0
				target := queue(name)
				if !routable {
					target = queue(fmt.Sprintf("%s.nowhere.%d", name, j%2))
				}
				env := router.NewEnvelope(map[string]any{"i": int32(i), "n": []any{int64(j % 7)}}, []byte("same body"))
				settled.Add(1)
				v := &verdict{routable: routable, wrong: &wrong, wg: &settled, id: fmt.Sprint(i, "/", j)}
				if err := s.Send(ctx, target, &env, v); err != nil {
					t.Errorf("send: %v", err)
					settled.Done()
					return
				}
			}
			defer s.Close()
			settled.Wait()
		})
	}
	sending.Wait()
	settled.Wait()
	n := 0
	wrong.Range(func(id, err any) bool {
		if n++; n < 5 {
			t.Errorf("message %v was settled with %v", id, err)
		}
		return true
	})
	st := b.Stat()
	if st.Returned == 0 || st.Confirmed+st.Returned != senders*each || st.InFlight != 0 || st.InFlightBytes != 0 {
		t.Errorf("stat: %+v", st)
	}
	if q, err := ch.QueueDeclarePassive(name, true, false, false, false, nil); err != nil || q.Messages != int(st.Confirmed) {
		t.Errorf("the queue holds %d messages, %d were confirmed; %v", q.Messages, st.Confirmed, err)
	}
}
