package amqp

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/wasmrouter/router/router"
)

// where names an exchange and routing key as a reader knows them.
func where(exchange, key string) string {
	if exchange == "" {
		return fmt.Sprintf("queue %q", key)
	}
	return fmt.Sprintf("exchange %q, routing key %q", exchange, key)
}

var (
	exceptionExchange = regexp.MustCompile(`exchange '([^']*)' in vhost`)
	exceptionTopic    = regexp.MustCompile(`topic '([^']*)' in exchange`)
)

// culprit returns what a publish to exchange and key gets if it caused the channel
// exception e, and nil if it did not or nobody can tell. Open is how many
// publishes were unanswered.
func culprit(e *amqp091.Error, exchange, key string, open int) error {
	name := "amq.default"
	if exchange != "" {
		name = exchange
	}
	named := exceptionExchange.FindStringSubmatch(e.Reason)
	switch {
	case e.Code == amqp091.NotFound && named != nil:
		if named[1] == name {
			return fmt.Errorf("%w: %w %q", router.ErrUnroutable, router.ErrNoExchange, exchange)
		}
	case e.Code == amqp091.AccessRefused && named != nil:
		topic := exceptionTopic.FindStringSubmatch(e.Reason)
		if named[1] == name && (topic == nil || topic[1] == key) {
			return fmt.Errorf("%w: %s", router.ErrUnsendable, plain(e))
		}
	case open == 1:
		return fmt.Errorf("%w: %s", router.ErrUnsendable, plain(e))
	}
	return nil
}

// refusesExchange reports whether a channel exception that a publish has caused is
// about the exchange whatever the message: others to it will cause the next one.
func refusesExchange(e *amqp091.Error) bool {
	return (e.Code == amqp091.NotFound || e.Code == amqp091.AccessRefused) &&
		exceptionExchange.MatchString(e.Reason) && !exceptionTopic.MatchString(e.Reason)
}

// plain returns the broker's own words in one line, without their code.
func plain(e *amqp091.Error) string {
	text := e.Reason
	if _, words, ok := strings.Cut(text, " - "); ok && words != "" {
		text = words
	}
	return strings.ReplaceAll(text, "\n", " ")
}

var (
	// errRefused marks what trying again soon does not mend: permissions,
	// logins and declarations that do not fit.
	errRefused = errors.New("refused by the broker for good")
	// errLogin marks refusals of the login, which an operator may mend
	// meanwhile.
	errLogin = fmt.Errorf("login: %w", errRefused)
	// errNoTransient marks the refusal of every queue that is neither durable
	// nor exclusive.
	errNoTransient = fmt.Errorf("transient queue: %w", errRefused)
)

// IsRefusal reports whether the broker itself refused, such as a declaration
// that does not match what exists or a login; trying again will not help
// before somebody changes something.
func IsRefusal(err error) bool { return errors.Is(err, errRefused) }

// explained is an answer of the broker in our words. The broker's own error is
// within, but not in the text, which would only say the same once more.
type explained struct {
	text string
	err  error
	kind error // errRefused or one that wraps it; nil if it may mend itself
}

func (e *explained) Error() string { return e.text }

func (e *explained) Unwrap() []error {
	if e.kind == nil {
		return []error{e.err}
	}
	return []error{e.err, e.kind}
}

// explainLogin says why a connection could not be opened.
func explainLogin(err error, e *endpoint) error {
	var x *amqp091.Error
	if !errors.As(err, &x) {
		return err
	}
	var text string
	switch {
	case errors.Is(err, amqp091.ErrSASL):
		text = "the broker offers no login mechanism of ours; for login by client certificate it needs the rabbitmq_auth_mechanism_ssl plugin and EXTERNAL among its mechanisms"
	case errors.Is(err, amqp091.ErrCredentials), x.Code == amqp091.AccessRefused:
		text = fmt.Sprintf("login as %q refused: wrong password, unknown user, or a user that may only log in from the broker's own machine", e.username)
	case errors.Is(err, amqp091.ErrVhost), x.Code == amqp091.NotAllowed:
		text = fmt.Sprintf("virtual host %q: it does not exist, or user %q may not use it: %s", e.vhost, e.username, plain(x))
	default:
		return err
	}
	return &explained{text, err, errLogin}
}

var (
	inequivalent = regexp.MustCompile(`inequivalent arg '([^']*)' for (queue|exchange) '([^']*)' in vhost '([^']*)': received (.*) but current is (.*)$`)
	quotedValue  = regexp.MustCompile(`^(?:the value )?'(.*?)'(?: of type '([^']*)')?$`)
)

// explain says what the broker's answer to declaring, binding, checking or
// consuming an object means, and marks what cannot mend itself.
func explain(err error, object string) error {
	var e *amqp091.Error
	if !errors.As(err, &e) || !e.Server {
		return fmt.Errorf("%s: %w", object, err)
	}
	words := func(kind error, format string, args ...any) error {
		return &explained{object + ": " + fmt.Sprintf(format, args...), err, kind}
	}
	switch e.Code {
	case amqp091.PreconditionFailed:
		if m := inequivalent.FindStringSubmatch(e.Reason); m != nil {
			return &explained{fmt.Sprintf("%s %q exists %s; change the configuration to match, declare it passively or as shared, or delete the existing one when nobody uses it", m[2], m[3], difference(m[1], value(m[5]), value(m[6]))), err, errRefused}
		}
		return words(errRefused, "the broker refuses it: %s", plain(e))
	case amqp091.NotFound:
		return words(nil, "it does not exist: %s", plain(e))
	case amqp091.ResourceLocked:
		return words(nil, "it is exclusive to another connection")
	case amqp091.AccessRefused:
		if strings.Contains(e.Reason, "in exclusive use") {
			return words(nil, "another consumer uses it exclusively")
		}
		return words(errRefused, "the user lacks the permission: %s", plain(e))
	case amqp091.CommandInvalid, amqp091.NotImplemented: // these cost the connection
		return words(errRefused, "the broker cannot do it: %s", plain(e))
	case amqp091.InternalError:
		// RabbitMQ 4 closes the connection with this when what is declared
		// needs a feature that has been switched off.
		if strings.Contains(e.Reason, "deprecated") {
			kind := errRefused
			if strings.Contains(e.Reason, "transient_nonexcl_queues") {
				kind = errNoTransient
			}
			return words(kind, "the broker no longer permits it (a queue that is neither durable nor exclusive is made durable to be permitted): %s", plain(e))
		}
	}
	return fmt.Errorf("%s: %w", object, err)
}

// difference says in what way something exists otherwise than it was asked for.
func difference(arg, asked, current string) string {
	word := func(value string) string {
		switch name := strings.ReplaceAll(arg, "_", "-"); value {
		case "true":
			return name
		case "false":
			return "non-" + name
		}
		return ""
	}
	if word(asked) != "" && word(current) != "" {
		return fmt.Sprintf("as %s, and this side says %s", word(current), word(asked))
	}
	return fmt.Sprintf("with other properties: %s is %s there, and %s was asked for", arg, current, asked)
}

// value turns the broker's "the value '5' of type 'long'", "'true'" or "none"
// into words.
func value(s string) string {
	m := quotedValue.FindStringSubmatch(s)
	switch {
	case m == nil && s == "none":
		return "not set"
	case m == nil:
		return s
	case m[2] != "":
		return m[1] + " (" + m[2] + ")"
	}
	return m[1]
}

// undecodable reports whether a connection was lost because the library could
// not decode what it read: it reports that as a frame error of its own that
// quotes a syntax error.
func undecodable(err error) bool {
	var e *amqp091.Error
	return errors.As(err, &e) && !e.Server && strings.Contains(e.Reason, "(502)")
}
