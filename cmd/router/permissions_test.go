package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/internal/doctest"
	"github.com/wasmrouter/router/internal/rabbitnode"
	"github.com/wasmrouter/router/internal/testkit"
)

// setPermissions finds the patterns in the documentation's command.
var setPermissions = regexp.MustCompile(`set_permissions -p \S+ router '([^']*)' '([^']*)' '([^']*)'`)

// The permissions that SECURITY.md tells operators to give are enough for the
// configuration beside them, and for nothing else.
func TestDocumentedPermissionsAreEnoughAndNoMore(t *testing.T) {
	const page = "../../docs/SECURITY.md"
	const vhost, password = "least", "s3cret-of-the-least"
	node := rabbitnode.Shared(t)
	text, permissions := leastPrivilege(t, page)
	eval := func(calls ...string) {
		t.Helper()
		if _, err := node.Eval(context.Background(), strings.Join(calls, ", ")); err != nil {
			t.Fatal(err)
		}
	}
	allow := func(user string, patterns ...string) string {
		return fmt.Sprintf(`rabbit_auth_backend_internal:set_permissions(<<%q>>, <<%q>>, <<%q>>, <<%q>>, <<%q>>, <<"test">>)`,
			user, vhost, patterns[0], patterns[1], patterns[2])
	}
	eval(fmt.Sprintf(`rabbit_vhost:add(<<%q>>, <<"test">>)`, vhost), allow("guest", ".*", ".*", ".*"),
		fmt.Sprintf(`rabbit_auth_backend_internal:add_user(<<"router">>, <<%q>>, <<"test">>)`, password))
	t.Cleanup(func() {
		eval(`rabbit_auth_backend_internal:delete_user(<<"router">>, <<"test">>)`, fmt.Sprintf(`rabbit_vhost:delete(<<%q>>, <<"test">>)`, vhost))
	})
	eval(allow("router", permissions...))

	operator := dialAs(t, node, "guest", "guest", vhost)
	for _, q := range []string{"orders.in", "orders.out", "orders.in.dead", "events.all", "other"} {
		if _, err := operator.QueueDeclare(q, true, false, false, false, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(operator.ExchangeDeclare("events", "topic", true, false, false, false, nil),
		operator.QueueBind("events.all", "#", "events", false, nil)); err != nil {
		t.Fatal(err)
	}

	p := start(t, strings.NewReplacer(
		"amqps://mq.internal/orders", "amqp://"+node.Addr()+"/"+vhost,
		"${file:/run/secrets/amqp-password}", password,
		`ca_file = "ca.pem"`, "", "[broker.tls]", "",
	).Replace(text))
	p.ready()
	put := func(body string) {
		t.Helper()
		if err := operator.Publish("", "orders.in", true, false, amqp091.Publishing{MessageId: "m", Body: []byte(body)}); err != nil {
			t.Fatal(err)
		}
	}
	get := func(queue string) {
		t.Helper()
		testkit.Await(t, patience, "a message in "+queue, func() (bool, string) {
			_, ok, err := operator.Get(queue, true)
			return ok && err == nil, fmt.Sprint(err)
		})
	}
	put("fits")
	get("orders.out")
	get("events.all")
	put(strings.Repeat("x", 2<<10))
	get("orders.in.dead")

	for what, try := range map[string]func(*amqp091.Channel) error{
		"declare a queue": func(ch *amqp091.Channel) error {
			_, err := ch.QueueDeclare("orders.new", true, false, false, false, nil)
			return err
		},
		"declare an exchange": func(ch *amqp091.Channel) error {
			return ch.ExchangeDeclare("new", "fanout", false, false, false, false, nil)
		},
		"delete a queue": func(ch *amqp091.Channel) error {
			_, err := ch.QueueDelete("orders.out", false, false, false)
			return err
		},
		"purge a queue":      func(ch *amqp091.Channel) error { _, err := ch.QueuePurge("orders.out", false); return err },
		"delete an exchange": func(ch *amqp091.Channel) error { return ch.ExchangeDelete("events", false, false) },
		"bind": func(ch *amqp091.Channel) error {
			return ch.QueueBind("orders.in", "#", "events", false, nil)
		},
		"consume from where it sends": func(ch *amqp091.Channel) error {
			_, err := ch.Consume("orders.out", "", true, false, false, false, nil)
			return err
		},
		"read the dead letters":    func(ch *amqp091.Channel) error { _, _, err := ch.Get("orders.in.dead", true); return err },
		"read another application": func(ch *amqp091.Channel) error { _, _, err := ch.Get("other", true); return err },
		"publish elsewhere": func(ch *amqp091.Channel) error {
			if err := ch.Confirm(false); err != nil {
				return err
			}
			closed := ch.NotifyClose(make(chan *amqp091.Error, 1))
			if err := ch.Publish("amq.topic", "x", false, false, amqp091.Publishing{}); err != nil {
				return err
			}
			if e := <-closed; e != nil {
				return e
			}
			return nil
		},
	} {
		ch := dialAs(t, node, "router", password, vhost)
		var refused *amqp091.Error
		if err := try(ch); !errors.As(err, &refused) || refused.Code != amqp091.AccessRefused {
			t.Errorf("%s: %v, want it refused", what, err)
		}
	}
}

// leastPrivilege returns the configuration and the patterns (configure, write,
// read) that the page shows for it.
func leastPrivilege(t *testing.T, page string) (text string, patterns []string) {
	t.Helper()
	tables, err := doctest.Language("toml", page)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range tables {
		if strings.Contains(b.Text, "/orders\"") {
			text = b.Text
		}
	}
	commands, err := doctest.Language("sh", page)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range commands {
		if m := setPermissions.FindStringSubmatch(b.Text); m != nil {
			patterns = m[1:]
		}
	}
	if text == "" || patterns == nil {
		t.Fatalf("%s shows no configuration of the virtual host orders, or no permissions for it", page)
	}
	return text, patterns
}

// dialAs returns a channel of a connection of its own.
func dialAs(t *testing.T, node *rabbitnode.Node, user, password, vhost string) *amqp091.Channel {
	t.Helper()
	conn, err := amqp091.Dial("amqp://" + user + ":" + password + "@" + node.Addr() + "/" + vhost)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}
