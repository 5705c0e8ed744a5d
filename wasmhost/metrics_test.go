package wasmhost

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMetricsHaveLabels(t *testing.T) {
	var m guestMetrics
	for _, bad := range []string{"", "/created", "orders/", "Orders/x", "orders/" + strings.Repeat("x", 65), "orders/a\nb", "orders/\xff", strings.Repeat("o", 65) + "/x"} {
		if id := m.define(Counter, []byte(bad)); id != -1 {
			t.Errorf("%q has the id %d", bad, id)
		}
	}
	created := m.define(Counter, []byte("orders/created"))
	deleted := m.define(Counter, []byte("orders/käse/2"))
	plain := m.define(Gauge, []byte("orders_waiting"))
	if again := m.define(Counter, []byte("orders/created")); created < 0 || deleted == created || plain < 0 || again != created {
		t.Fatalf("ids %d, %d, %d, and %d again", created, deleted, plain, again)
	}
	m.add(uint32(created), 3)
	want := []MetricStat{{Name: "orders", Label: "created", Value: 3}, {Name: "orders", Label: "käse/2"}, {Name: "orders_waiting", Kind: Gauge}}
	if diff := cmp.Diff(want, m.stat()); diff != "" {
		t.Error(diff)
	}
	for i := range maxMetrics + 5 { // a label cannot make series without bound
		if id := m.define(Counter, fmt.Appendf(nil, "orders/%d", i)); (id < 0) != (i >= maxMetrics-3) {
			t.Errorf("series %d has the id %d", i, id)
		}
	}
}
