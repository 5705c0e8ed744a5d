package amqp

import (
	"strings"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// What is asked for at once is bounded, by number and by the size of what has come.
func TestBatchesAreBounded(t *testing.T) {
	for _, c := range []struct {
		name string
		s    *Browsing
		want int
	}{
		{"of a queue that does not count", &Browsing{}, 256},
		{"of one that counts", &Browsing{counts: true}, 32},
		{"as more stays", &Browsing{counts: true, keepers: 2}, 64},
		{"much stays", &Browsing{counts: true, keepers: 1000}, 4096},
		{"large ones", &Browsing{counts: true, keepers: 1000, largest: 1 << 20}, 16},
		{"very large ones", &Browsing{largest: 1 << 30}, 1},
	} {
		if got := c.s.nextBatch(); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
	for name, d := range map[string]amqp091.Delivery{
		"body":    {Body: make([]byte, 1<<20)},
		"headers": {Headers: amqp091.Table{"h": strings.Repeat("x", 1<<18)}},
	} {
		var s Browsing
		if _, _, err := s.hand(&d); err != nil || s.nextBatch() > 16 {
			t.Errorf("behind large %s: %d, %v", name, s.nextBatch(), err)
		}
	}
}

// A quorum queue keeps the order of what 32 consumers give back. One of them is that of
// the first message, so that the batches of 31 have to hold what is said to stay in
// order: messages of dead letters, which have about 400 bytes of headers.
func TestBatchesGrowFastEnoughForTheOrder(t *testing.T) {
	for body, want := range map[int]int{100: 50_000, 4096: 40_000, 64 << 10: 5_000} {
		s, sum := &Browsing{counts: true, largest: body + headerWeight*400}, 0
		for ; s.keepers < 31; s.keepers++ {
			sum += s.nextBatch()
		}
		if sum < want {
			t.Errorf("%d bodies of %d bytes are in order, want %d", sum, body, want)
		}
	}
}
