package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/app"
	"github.com/wasmrouter/router/internal/testkit"
)

func embeddedRouter(t *testing.T, address, heartbeat string) string {
	t.Helper()
	return `
[broker]
url = "embedded://me:secret@` + address + `/v"
heartbeat = "` + heartbeat + `"

[queues.in]
[queues.out]

[routes.r]
listen = "in"
send = ["queue:out"]

[process]
cache_dir = "` + cacheDir + `"

[admin]
listen = "127.0.0.1:0"
`
}

// TestARouterThatIsItsOwnBroker routes messages with nothing else running, and keeps
// them over a reload that connects anew.
func TestARouterThatIsItsOwnBroker(t *testing.T) {
	address := testkit.FreeAddress(t)
	path := filepath.Join(t.TempDir(), "router.toml")
	write := func(heartbeat string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(embeddedRouter(t, address, heartbeat)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("10s")
	var log strings.Builder
	a, err := app.New(t.Context(), app.Options{ConfigPath: path, LogOutput: &log})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn, err := amqp091.Dial("amqp://me:secret@" + address + "/v")
	if err != nil {
		t.Fatal(err)
	}
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	out, err := ch.Consume("out", "", true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, heartbeat := range []string{"20s", ""} {
		if err := ch.PublishWithContext(t.Context(), "", "in", true, false, amqp091.Publishing{Body: []byte("through")}); err != nil {
			t.Fatal(err)
		}
		if d := <-out; string(d.Body) != "through" {
			t.Errorf("got %q", d.Body)
		}
		if heartbeat == "" {
			break
		}
		write(heartbeat)
		if err := a.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var held struct {
		Connections []struct{ Name string }
		Queues      []struct {
			Name      string
			Consumers int
			Published uint64
		}
	}
	if code := fetch(t, "http://"+a.AdminAddr()+"/api/broker", &held); code != http.StatusOK || len(held.Queues) != 3 || len(held.Connections) < 3 {
		t.Errorf("/api/broker: %d, %+v", code, held)
	}
	for _, q := range held.Queues {
		if q.Name == "in" && (q.Consumers != 1 || q.Published != 2) {
			t.Errorf("/api/broker: %+v", q)
		}
	}
	await(t, "/api/status to count the message", func() (bool, string) {
		var status app.Status
		code := fetch(t, "http://"+a.AdminAddr()+"/api/status", &status)
		return code == http.StatusOK && status.Ready && len(status.Connections) >= 2 &&
			len(status.Routes) == 1 && status.Routes[0].Consuming && status.Routes[0].Received == 1 && status.Routes[0].Sent["ok"] == 1, fmt.Sprintf("%+v", status)
	})
	var plan app.Plan
	if code := fetch(t, "http://"+a.AdminAddr()+"/api/plan", &plan); code != http.StatusOK || len(plan.Routes) != 1 || plan.Routes[0].Listen != "in" {
		t.Errorf("/api/plan: %d, %+v", code, plan)
	}
	closed := conn.NotifyClose(make(chan *amqp091.Error, 1))
	if err := a.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	if e := <-closed; e == nil || e.Code != amqp091.ConnectionForced {
		t.Errorf("the broker ended with %v", e)
	}
	if !strings.Contains(log.String(), "keeps nothing") {
		t.Errorf("the log does not say that nothing is kept:\n%s", &log)
	}
}

// fetch reads JSON from url into v.
func fetch(t *testing.T, url string, v any) (code int) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
		t.Fatalf("%s: %v", url, err)
	}
	return resp.StatusCode
}

func TestAnAddressThatIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	path := filepath.Join(t.TempDir(), "router.toml")
	if err := os.WriteFile(path, []byte(embeddedRouter(t, l.Addr().String(), "10s")), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := app.New(t.Context(), app.Options{ConfigPath: path, LogOutput: &strings.Builder{}})
	if err != nil {
		t.Fatal(err)
	}
	err = a.Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), ":3:7: broker.url: the embedded broker does not start: ") || !strings.HasSuffix(err.Error(), "name a free port, or connect to what listens there with amqp://") {
		t.Errorf("start: %v", err)
	}
	if err := a.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}
