package app_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/app/deadletters"
	"github.com/wasmrouter/router/internal/rabbitnode"
)

// knownLetter is the id of the letter that postKnownLetter posts: it is made of what
// that holds, and so the same for ever.
const knownLetter = "57d2eff42ace8175"

// postKnownLetter puts a dead letter of route r into its queue, past the router.
func (in *instance) postKnownLetter() {
	in.t.Helper()
	code, _, body := in.request(request{"GET /api/config", "", "", 200})
	_, rest, _ := strings.Cut(string(body), "embedded://me:")
	_, rest, _ = strings.Cut(rest, "@")
	address, _, _ := strings.Cut(rest, "/")
	if code != 200 || address == "" {
		in.t.Fatalf("no address of the broker: %s", body)
	}
	ch := in.dial("amqp://me:secret@" + address + "/v")
	p := amqp091.Publishing{MessageId: "m", Body: []byte("secret body"), Headers: amqp091.Table{
		"x-router-reason": "trap", "x-router-route": "r", "x-router-queue": "in", "x-router-filter": "f", "x-router-error": "no route for secret", "tenant": "secret tenant",
	}}
	if err := ch.Publish("", "in.dead", true, false, p); err != nil {
		in.t.Fatal(err)
	}
	in.awaitLetters(1)
}

// awaitLetters waits until the route r has so many.
func (in *instance) awaitLetters(n int) {
	in.t.Helper()
	await(in.t, "the letters are there", func() (bool, string) {
		_, _, body := in.request(request{"GET /api/dead-letters", "", "", 200})
		return strings.Contains(string(body), fmt.Sprintf(`{"queue":"in.dead","routes":["r"],"messages":%d,"consumers":0}`, n)), string(body)
	})
}

// dial opens a channel that is closed at the end of the test.
func (in *instance) dial(url string) *amqp091.Channel {
	in.t.Helper()
	conn, err := amqp091.Dial(url)
	if err != nil {
		in.t.Fatal(err)
	}
	in.t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		in.t.Fatal(err)
	}
	return ch
}

// What is in messages is hidden, here as everywhere on this listener, unless the
// configuration says otherwise.
func TestDeadLettersHideWhatIsInMessages(t *testing.T) {
	open := apiRouter(t)
	text := strings.Replace(open, "bodies = true\n", "", 1)
	in := start(t, text)
	in.postKnownLetter()
	ask := func(operation, path, body string, want int) string {
		t.Helper()
		code, _, answer := in.request(request{operation, path, body, want})
		if code != want {
			t.Errorf("%s %s: %d: %s", operation, path, code, answer)
		}
		return string(answer)
	}
	list := ask("GET ", "/api/dead-letters/in.dead", "", 200)
	one := ask("GET ", "/api/dead-letters/in.dead/"+knownLetter, "", 200)
	if strings.Contains(list+one, "secret") || strings.Contains(list+one, `"message_id":"m"`) || !strings.Contains(one, `"tenant":null`) || !strings.Contains(one, `"bytes":11`) {
		t.Errorf("%s\n%s", list, one)
	}
	ask("GET ", "/api/dead-letters/in.dead/"+knownLetter+"?body=auto", "", 403)
	in.mustReload(open)
	one = ask("GET ", "/api/dead-letters/in.dead/"+knownLetter+"?body=text", "", 200)
	if !strings.Contains(one, `"body":"secret body"`) || !strings.Contains(one, `"tenant":"secret tenant"`) || !strings.Contains(one, `"error":"no route for secret"`) {
		t.Error(one)
	}
	var replayed struct{ Replayed, Failed int }
	if err := json.Unmarshal([]byte(ask("POST ", "/api/dead-letters/in.dead/replay", `{"ids":["`+knownLetter+`"],"to":"queue:out"}`, 200)), &replayed); err != nil || replayed.Replayed != 1 {
		t.Errorf("%+v %v", replayed, err)
	}
	in.awaitLetters(0)
	ask("POST ", "/api/dead-letters/in.dead/purge", `{"all":true,"confirm":"in.dead"}`, 200)
}

// A quorum queue counts how often it has delivered a letter and drops it beyond its
// limit. Looking at letters any number of times loses none, whatever the limit.
func TestLookingLosesNoLettersOfAQuorumQueue(t *testing.T) {
	node := rabbitnode.Shared(t)
	for _, limit := range []int32{1, 3} {
		in := &instance{t: t}
		ch := in.dial(node.URL())
		name := rabbitnode.Queue(t)
		if _, err := ch.QueueDeclare(name, true, false, false, false, amqp091.Table{"x-queue-type": "quorum", "x-delivery-limit": limit}); err != nil {
			t.Fatal(err)
		}
		if err := ch.Confirm(false); err != nil {
			t.Fatal(err)
		}
		var want []string
		for i := range 30 {
			want = append(want, fmt.Sprint(i))
			dc, err := ch.PublishWithDeferredConfirm("", name, true, false, amqp091.Publishing{
				MessageId: fmt.Sprint(i), DeliveryMode: 2, Headers: amqp091.Table{"CC": []any{name + ".copies"}},
			})
			if err != nil || !dc.Wait() {
				t.Fatal(err)
			}
		}
		b, err := amqp.New(amqp.Config{URLs: []string{node.URL()}})
		if err != nil {
			t.Fatal(err)
		}
		q := deadletters.Queue{Broker: b, Name: name, DeliveryLimit: int(limit)}
		ids := map[string]bool{}
		for round := range 8 {
			var got []string
			show := 30
			if round%2 == 1 {
				show = 7 // the first alone
			}
			scan, err := q.Walk(t.Context(), &deadletters.Selection{}, show, func(l *deadletters.Letter) bool {
				got = append(got, l.Original.MessageID)
				ids[l.ID] = true
				return true
			})
			if err != nil || scan.AtRisk > 0 {
				t.Fatalf("round %d: %+v, %v", round, scan, err)
			}
			if show == 30 {
				slices.Sort(got)
				slices.Sort(want)
				if !slices.Equal(got, want) {
					t.Fatalf("limit %d, round %d: %v", limit, round, got)
				}
			}
		}
		if len(ids) != 30 {
			t.Errorf("limit %d: 30 letters had %d ids", limit, len(ids))
		}
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := ch.QueueDelete(name, false, false, false); err != nil {
			t.Error(err)
		}
	}
}
