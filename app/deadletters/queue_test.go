package deadletters_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/app/deadletters"
)

func TestSelections(t *testing.T) {
	d := newDesk(t)
	d.post(letter("a", nil))
	d.post(letter("b", amqp091.Table{"x-router-reason": "unroutable", "x-router-filter": nil, "tenant": "umbrella"}))
	d.post(letter("c", amqp091.Table{"x-router-route": "bills", "x-router-first-seen": time.Now().Add(-time.Minute), "n": int32(7)}))
	d.post(amqp091.Publishing{MessageId: "d", Headers: amqp091.Table{"x-death": []any{amqp091.Table{
		"queue": "in", "reason": "expired", "count": int64(1), "time": time.Now().Add(-24 * time.Hour),
	}}}})
	d.post(amqp091.Publishing{MessageId: "e", Body: []byte("by hand")})
	d.settle("dead", 5)
	ID := d.id("c")
	match := func(s string) []deadletters.Match {
		m, err := deadletters.ParseMatch(s)
		if err != nil {
			t.Fatal(err)
		}
		return []deadletters.Match{m}
	}
	for _, c := range []struct {
		name string
		sel  deadletters.Selection
		want string
	}{
		{"all", deadletters.Selection{}, "abcde"},
		{"reason", deadletters.Selection{Reason: "trap"}, "ac"},
		{"the broker's reason", deadletters.Selection{Reason: "expired"}, "d"},
		{"route", deadletters.Selection{Route: "orders"}, "ab"},
		{"filter", deadletters.Selection{Filter: "f"}, "ac"},
		{"both", deadletters.Selection{Filter: "f", Route: "orders"}, "a"},
		{"old", deadletters.Selection{OlderThan: 30 * time.Minute}, "abd"},
		{"young", deadletters.Selection{YoungerThan: 30 * time.Minute}, "c"},
		{"between", deadletters.Selection{OlderThan: time.Second, YoungerThan: 2 * time.Hour}, "abc"},
		{"header", deadletters.Selection{Headers: match("tenant=acme")}, "ac"},
		{"number", deadletters.Selection{Headers: match("n=7")}, "c"},
		{"present", deadletters.Selection{Headers: match("tenant")}, "abc"},
		{"the router's", deadletters.Selection{Headers: match("x-router-stage=decide")}, "abc"},
		{"id", deadletters.Selection{IDs: []string{ID, ID}}, "c"},
		{"id and no match", deadletters.Selection{IDs: []string{ID}, Reason: "unroutable"}, ""},
	} {
		list, scan := d.list(c.sel, 0)
		if got := fmt.Sprint(list); got != fmt.Sprint(split(c.want)) || scan.Matched != len(c.want) || scan.Ready != 5 {
			t.Errorf("%s: %s, %+v; want %s", c.name, got, scan, c.want)
		}
	}
	if list, scan := d.list(deadletters.Selection{IDs: []string{ID}}, 0); len(list) != 1 || scan.Scanned != 3 {
		t.Errorf("behind the last wanted one it looked on: %+v", scan)
	}
	if got := ids(d.take("dead")); !slices.Equal(got, split("abcde")) {
		t.Errorf("afterwards: %v", got)
	}
}

func split(s string) []string {
	list := []string{}
	for _, r := range s {
		list = append(list, string(r))
	}
	return list
}

func TestWrongSelections(t *testing.T) {
	for _, sel := range []deadletters.Selection{
		{IDs: []string{"1"}}, {IDs: []string{"0123456789ABCDEF"}}, {IDs: []string{"0123456789abcdeg"}}, {OlderThan: -1}, {YoungerThan: -1},
	} {
		if sel.Validate() == nil {
			t.Errorf("%+v is accepted", sel)
		}
	}
	if _, err := deadletters.ParseMatch("=x"); err == nil {
		t.Error("a header without a name is accepted")
	}
}

func TestAListIsInOrderAndBounded(t *testing.T) {
	d := newDesk(t)
	d.fill(700)
	list, scan := d.list(deadletters.Selection{}, 5)
	if diff := cmp.Diff([]string{"0", "1", "2", "3", "4"}, list); diff != "" || scan.Scanned != 5 || scan.Ready != 700 {
		t.Errorf("%s %+v", diff, scan)
	}
	list, _ = d.list(deadletters.Selection{}, 0)
	for i, id := range list {
		if id != fmt.Sprint(i) {
			t.Fatalf("letter %d is %s", i, id)
		}
	}
	d.settle("dead", 700)
}

func TestALetterIsShownWithWhatItSays(t *testing.T) {
	d := newDesk(t)
	p := letter("m1", amqp091.Table{
		"x-router-missing": []any{"queue:a"}, "x-router-expiration": "60000", "raw": []byte{1, 2}, "at": seen,
		"price": amqp091.Decimal{Scale: 2, Value: 199}, "in": amqp091.Table{"deep": []any{int32(1), nil}},
	})
	p.ContentType, p.Body = "application/json", []byte(`{"a": 1}`)
	d.post(p)
	d.settle("dead", 1)
	show := func(form string) (got map[string]any) {
		_, err := d.queue.Walk(d.ctx, &deadletters.Selection{}, 0, func(l *deadletters.Letter) bool {
			detail := l.Detail(seen.Add(90*time.Second), form)
			detail.ID = "" // of the time of the test
			text, err := json.Marshal(detail)
			if err == nil {
				err = json.Unmarshal(text, &got)
			}
			if err != nil {
				t.Error(err)
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	at := seen.UTC().Format(time.RFC3339)
	want := map[string]any{
		"id": "", "position": 1., "router": true, "reason": "trap", "route": "orders", "filter": "f", "stage": "decide",
		"error": "out of bounds", "attempts": 1., "first_seen": at, "age_seconds": 90., "missing": []any{"queue:a"},
		"queue": "in", "exchange": "events", "routing_key": "new", "message_id": "m1", "content_type": "application/json", "bytes": 8.,
		"message": map[string]any{
			"properties": map[string]any{"content_type": "application/json", "delivery_mode": "2", "expiration": "60000", "message_id": "m1"},
			"headers": map[string]any{
				"tenant": "acme", "raw": map[string]any{"bytes": "0102"}, "at": map[string]any{"time": at}, "price": "199e-2",
				"in": map[string]any{"deep": []any{1., nil}},
			},
			"bytes": 8.,
		},
	}
	if diff := cmp.Diff(want, show("")); diff != "" {
		t.Error(diff)
	}
	for form, want := range map[string]map[string]any{
		"auto": {"body_json": map[string]any{"a": 1.}}, "json": {"body_json": map[string]any{"a": 1.}}, "text": {"body": `{"a": 1}`},
		"hex": {"body_hex": "7b2261223a20317d"}, "base64": {"body_base64": "eyJhIjogMX0="},
	} {
		m, _ := show(form)["message"].(map[string]any)
		for _, name := range []string{"body", "body_json", "body_hex", "body_base64"} {
			if diff := cmp.Diff(want[name], m[name]); diff != "" {
				t.Errorf("as %s: %s: %s", form, name, diff)
			}
		}
	}
}

func TestOnlyWhatWasThereIsRemoved(t *testing.T) {
	d := newDesk(t)
	d.fill(50)
	d.post(letter("x", amqp091.Table{"x-router-reason": "unroutable"}))
	d.settle("dead", 51)
	if scan, err := d.queue.Remove(d.ctx, &deadletters.Selection{Reason: "unroutable"}, 0); err != nil || scan.Matched != 1 || scan.Scanned != 51 {
		t.Errorf("%+v, %v", scan, err)
	}
	if scan, err := d.queue.Remove(d.ctx, &deadletters.Selection{}, 20); err != nil || scan.Matched != 20 {
		t.Errorf("%+v, %v", scan, err)
	}
	d.settle("dead", 30)
	if list, _ := d.list(deadletters.Selection{}, 1); list[0] != "20" {
		t.Errorf("the first that is left is %s", list[0])
	}
	if scan, err := d.queue.Remove(d.ctx, &deadletters.Selection{}, 0); err != nil || scan.Matched != 30 {
		t.Errorf("%+v, %v", scan, err)
	}
	d.settle("dead", 0)
}
