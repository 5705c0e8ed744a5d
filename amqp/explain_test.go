package amqp

import (
	"errors"
	"strings"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/router"
)

func TestExplain(t *testing.T) {
	tests := []struct {
		code   int
		text   string
		want   []string
		refuse bool
	}{
		{
			406, "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q' in vhost '/': received 'false' but current is 'true'",
			[]string{`queue "q" exists`, "exists as durable, and this side says non-durable"},
			true,
		},
		{
			406, "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'q' in vhost '/': received the value '7' of type 'long' but current is the value '5' of type 'signedint'",
			[]string{"x-max-length is 5 (signedint) there, and 7 (long) was asked for"},
			true,
		},
		{
			406, "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'q' in vhost 'v': received none but current is the value '5' of type 'signedint'",
			[]string{"x-max-length is 5 (signedint) there, and not set was asked for"},
			true,
		},
		{
			406, "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'x' in vhost '/': received 'topic' but current is 'fanout'",
			[]string{`exchange "x" exists`, "type is fanout there, and topic was asked for"},
			true,
		},
		{
			406, "PRECONDITION_FAILED - invalid arg 'x-max-length' for queue 'q' in vhost '/': {value_negative,-1}",
			[]string{`thing "t"`, "refuses", "value_negative"},
			true,
		},
		{404, "NOT_FOUND - no queue 'q' in vhost '/'", []string{`thing "t"`, "does not exist", "no queue 'q'"}, false},
		{403, "ACCESS_REFUSED - access to queue 'q' in vhost '/' refused for user 'u'", []string{`thing "t"`, "permission", "user 'u'"}, true},
		{403, "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use", []string{"another consumer uses it exclusively"}, false},
		{405, "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'q' in vhost '/'", []string{"exclusive to another connection"}, false},
		{503, "COMMAND_INVALID - unknown exchange type 'x-nosuch'", []string{`thing "t"`, "unknown exchange type 'x-nosuch'"}, true},
		{
			541, "INTERNAL_ERROR - Feature `transient_nonexcl_queues` is deprecated.\nIts use is not permitted",
			[]string{`thing "t"`, "durable", "deprecated. Its use"},
			true,
		},
		{541, "INTERNAL_ERROR - oops", []string{`thing "t"`, "oops"}, false},
		{320, "CONNECTION_FORCED - bye", []string{`thing "t"`, "bye"}, false},
	}
	for _, tt := range tests {
		e := &amqp091.Error{Code: tt.code, Reason: tt.text, Server: true}
		err := explain(e, `thing "t"`)
		for _, words := range tt.want {
			if !strings.Contains(err.Error(), words) {
				t.Errorf("%s\nexplained as %v\nwant %q in it", tt.text, err, words)
			}
		}
		if _, own, _ := strings.Cut(tt.text, " - "); strings.Count(err.Error(), own) > 1 || tt.refuse && strings.Contains(err.Error(), "Exception") {
			t.Errorf("%s\nis told more than once: %v", tt.text, err)
		}
		if got := errors.Is(err, errRefused); got != tt.refuse {
			t.Errorf("%s: for good: %v, want %v", tt.text, got, tt.refuse)
		}
		var x *amqp091.Error
		if !errors.As(err, &x) || x.Code != tt.code {
			t.Errorf("%s: the broker's error is not inside", tt.text)
		}
	}
}

func TestCulprit(t *testing.T) {
	const (
		missing  = "NOT_FOUND - no exchange 'x' in vhost '/'"
		refused  = "ACCESS_REFUSED - access to exchange 'x' in vhost '/' refused for user 'u'"
		internal = "ACCESS_REFUSED - cannot publish to internal exchange 'x' in vhost '/'"
		byTopic  = "ACCESS_REFUSED - access to topic 'k' in exchange 'x' in vhost '/' refused for user 'u'"
		standard = "ACCESS_REFUSED - access to exchange 'amq.default' in vhost '/' refused for user 'u'"
		size     = "PRECONDITION_FAILED - message size 2 is larger than configured max size 1"
	)
	tests := []struct {
		code          int
		text          string
		exchange, key string
		open          int
		want          error
	}{
		{404, missing, "x", "k", 9, router.ErrUnroutable},
		{404, missing, "y", "k", 9, nil},
		{404, missing, "", "x", 1, nil},
		{403, refused, "x", "k", 9, router.ErrUnsendable},
		{403, refused, "y", "k", 1, nil},
		{403, internal, "x", "k", 9, router.ErrUnsendable},
		{403, byTopic, "x", "k", 9, router.ErrUnsendable},
		{403, byTopic, "x", "l", 9, nil},
		{403, standard, "", "k", 9, router.ErrUnsendable},
		{403, standard, "x", "k", 9, nil},
		{406, size, "x", "k", 1, router.ErrUnsendable},
		{406, size, "x", "k", 2, nil},
	}
	for _, tt := range tests {
		got := culprit(&amqp091.Error{Code: tt.code, Reason: tt.text}, tt.exchange, tt.key, tt.open)
		if tt.want == nil && got != nil || tt.want != nil && !errors.Is(got, tt.want) {
			t.Errorf("%s, published to %q %q, %d open: %v, want %v", tt.text, tt.exchange, tt.key, tt.open, got, tt.want)
		}
	}
}
