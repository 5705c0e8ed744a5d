package bareloop_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/amqp/bareloop"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testbroker"
)

func TestMain(m *testing.M) { testbroker.Main(m) }

func TestRunForwardsAllInOrder(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	url := rabbitnode.Shared(t).URL()
	from, to := rabbitnode.Queue(t, "from"), rabbitnode.Queue(t, "to")
	if err := bareloop.Declare(ctx, url, "classic", from, to); err != nil {
		t.Fatal(err)
	}
	const n = 5000
	if err := bareloop.Fill(ctx, url, from, n, bareloop.Message{Size: 256}); err != nil {
		t.Fatal(err)
	}
	res, err := bareloop.Run(ctx, bareloop.Config{URL: url, From: from, To: to, N: n})
	if err != nil {
		t.Fatal(err)
	}
	if res.N != n || res.Duration <= 0 {
		t.Errorf("result = %+v", res)
	}
	got, err := bareloop.Drain(ctx, url, to, n, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(bareloop.Report{Received: n}, got); diff != "" {
		t.Errorf("target (-want +got):\n%s", diff)
	}
	left, err := bareloop.Drain(ctx, url, from, n, nil)
	if err != nil {
		t.Fatal(err)
	}
	if left.Received != 0 {
		t.Errorf("%d messages are left in the source", left.Received)
	}
	if err := bareloop.Delete(ctx, url, from, to); err != nil {
		t.Fatal(err)
	}
}

func TestDrainCountsWhatIsWrong(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	url := rabbitnode.Shared(t).URL()
	name := rabbitnode.Queue(t)
	if err := bareloop.Declare(ctx, url, "classic", name); err != nil {
		t.Fatal(err)
	}
	order := []byte{0, 2, 1, 2, 9, 4}
	err := bareloop.Fill(ctx, url, name, len(order), bareloop.Message{Make: func(n int) []byte { return order[n : n+1] }})
	if err != nil {
		t.Fatal(err)
	}
	got, err := bareloop.Drain(ctx, url, name, 6, func(b []byte) (int, bool) { return int(b[0]), true })
	if err != nil {
		t.Fatal(err)
	}
	want := bareloop.Report{Received: 6, Lost: 2, Duplicates: 1, OutOfOrder: 1, Unknown: 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	if err := bareloop.Delete(ctx, url, name); err != nil {
		t.Fatal(err)
	}
}

func TestRunStopsAtAReturn(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	url := rabbitnode.Shared(t).URL()
	from := rabbitnode.Queue(t)
	if err := bareloop.Declare(ctx, url, "classic", from); err != nil {
		t.Fatal(err)
	}
	if err := bareloop.Fill(ctx, url, from, 1000, bareloop.Message{Size: 8}); err != nil {
		t.Fatal(err)
	}
	if _, err := bareloop.Run(ctx, bareloop.Config{URL: url, From: from, To: from + ".missing", N: 1000}); err == nil {
		t.Error("run forwarded to a queue that does not exist")
	}
	if err := bareloop.Delete(ctx, url, from); err != nil {
		t.Fatal(err)
	}
}
