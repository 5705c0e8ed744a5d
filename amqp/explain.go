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
			return fmt.Errorf("%w: there is no exchange %q", router.ErrUnroutable, exchange)
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

// plain returns the broker's own words without their code.
func plain(e *amqp091.Error) string {
	if _, text, ok := strings.Cut(e.Reason, " - "); ok && text != "" {
		return text
	}
	return e.Reason
}

// errRefused marks what trying again soon does not mend: permissions, logins
// and declarations that do not fit.
var errRefused = errors.New("refused by the broker for good")

// IsRefusal reports whether the broker itself refused, such as a declaration
// that does not match what exists or a login; trying again will not help
// before somebody changes something.
func IsRefusal(err error) bool { return errors.Is(err, errRefused) }

// errLogin marks refusals of the login, which an operator may mend meanwhile.
var errLogin = errors.New("login refused")

type refusal struct{ err error }

type loginRefusal struct{ refusal }

func (r loginRefusal) Is(target error) bool { return target == errLogin || target == errRefused }

func (r refusal) Error() string        { return r.err.Error() }
func (r refusal) Unwrap() error        { return r.err }
func (r refusal) Is(target error) bool { return target == errRefused }

// explainLogin says why a connection could not be opened.
func explainLogin(err error, e *endpoint) error {
	var x *amqp091.Error
	if !errors.As(err, &x) {
		return err
	}
	switch {
	case errors.Is(err, amqp091.ErrSASL):
		return loginRefusal{refusal{errors.New("the broker offers no login mechanism of ours; for login by client certificate it needs the rabbitmq_auth_mechanism_ssl plugin and EXTERNAL among its mechanisms")}}
	case errors.Is(err, amqp091.ErrCredentials), x.Code == amqp091.AccessRefused:
		return loginRefusal{refusal{fmt.Errorf("login as %q refused: wrong password, unknown user, or a user that may only log in from the broker's own machine: %w", e.username, err)}}
	case errors.Is(err, amqp091.ErrVhost), x.Code == amqp091.NotAllowed:
		return loginRefusal{refusal{fmt.Errorf("virtual host %q: it does not exist, or user %q may not use it: %w", e.vhost, e.username, err)}}
	}
	return err
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
	switch e.Code {
	case amqp091.PreconditionFailed:
		if m := inequivalent.FindStringSubmatch(e.Reason); m != nil {
			return refusal{fmt.Errorf("%s %q exists with other properties: %s is %s there, and %s was asked for; change the configuration to match, declare it passively, or delete the existing one: %w",
				m[2], m[3], m[1], value(m[6]), value(m[5]), err)}
		}
		return refusal{fmt.Errorf("%s: the broker refuses it: %s: %w", object, plain(e), err)}
	case amqp091.NotFound:
		return fmt.Errorf("%s: it does not exist (%s): %w", object, plain(e), err)
	case amqp091.ResourceLocked:
		return fmt.Errorf("%s: it is exclusive to another connection: %w", object, err)
	case amqp091.AccessRefused:
		if strings.Contains(e.Reason, "in exclusive use") {
			return fmt.Errorf("%s: another consumer uses it exclusively: %w", object, err)
		}
		return refusal{fmt.Errorf("%s: the user lacks the permission (%s): %w", object, plain(e), err)}
	}
	return fmt.Errorf("%s: %w", object, err)
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
