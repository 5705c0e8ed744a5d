package router

import (
	"context"
	"errors"
	"strings"
	"time"
)

// Sender publishes messages. Each route lane has its own.
type Sender interface {
	// Send publishes env to target, mandatory and confirmed, and returns before
	// the broker has answered. If Send returns nil, receipt.Settle is called
	// exactly once; if it returns an error, never. Messages of one Sender
	// reach the broker in the order of the calls; calls are not concurrent.
	// Send waits while too much is in flight or the broker has blocked the
	// connection, until ctx ends. When a channel is lost, every receipt of it is
	// settled before anything is published on the next, and ctx is looked at in
	// between: a receipt may end the ctx of a running Send, so that nothing
	// overtakes what has to be sent again. Env must not change until the receipt
	// is settled.
	Send(ctx context.Context, target Target, env *Envelope, receipt Receipt) error
	// Close gives the Sender's channel back. Receipts still open are settled
	// with ErrUnconfirmed.
	Close()
}

// Receipt learns what became of a published message.
type Receipt interface {
	// Settle is called with nil when the broker has confirmed and not returned
	// the message, else with an error that wraps ErrUnroutable, ErrNacked or
	// ErrUnconfirmed, or ErrUnsendable. It is called from a goroutine of the
	// Sender's and must not block.
	Settle(err error)
}

// Source is what a route listens to.
type Source struct {
	Queue      string
	Alias      string // what metrics call the queue if its name is another each time; "" is Queue
	Prefetch   int    // ≥ 1; how many deliveries may be unsettled at once
	Priority   int    // consumer priority, 0 is the broker's default
	Exclusive  bool   // the only consumer of the queue
	SingleLane bool   // deliveries are handled in order by one lane
	// MaxBody is how many bytes a body is expected to have at most; 0 expects
	// nothing. A larger one is delivered all the same, but the listener then
	// takes one delivery at a time until no more of them come: so many as
	// Prefetch allows would take more memory than there may be.
	MaxBody int
	// Ordered says that no other consumer, which the broker may choose once this
	// one goes, is to have later messages before those in hand are settled. So the
	// consumer stays until then, though ctx has ended; what comes meanwhile or is
	// requeued goes back when it leaves, all at once.
	Ordered bool

	// Topology is what the queue needs at the broker. It is declared each time
	// before the queue is consumed, so that what was deleted meanwhile comes
	// back.
	Topology Topology
	// Arguments are the consumer's. With x-stream-offset, a later session goes
	// on behind the last delivery that was handed over.
	Arguments map[string]any
	// Numbered makes Queue a stem, also where Topology names it: what is
	// consumed is the queue named by the stem and the lowest number from 1 up
	// that no other connection or listener has taken. The number is kept as long
	// as the connection lasts, and if possible over its loss.
	Numbered bool
	// Delete removes the queue when ctx has ended and its deliveries are settled.
	Delete bool
	// Watch, if set, is told what becomes of the consumer, one call at a time.
	// It must not block.
	Watch func(SourceEvent)
	// Check makes the listener ask the broker at once whether queue and consumer
	// are still there, which it otherwise does now and then while nothing comes.
	Check <-chan struct{}

	// DrainTimeout bounds how long Listen waits for unsettled deliveries after
	// its ctx has ended.
	DrainTimeout time.Duration
}

// SourceEvent is news of a source's consumer.
type SourceEvent struct {
	Kind  SourceEventKind
	Queue string // its name, with the number of a numbered one
	Err   error  // why; nil for SourceConsuming
}

// SourceEventKind says what happened to a source's consumer.
type SourceEventKind uint8

const (
	// SourceConsuming says that the queue exists and is consumed.
	SourceConsuming SourceEventKind = iota
	// SourceStopped says that it is not consumed, and that the listener tries
	// again. What is in the queue stays there.
	SourceStopped
	// SourceLost says that the queue was gone, or that another has taken its
	// number; what was in it does not come any more. SourceConsuming follows when
	// there is one again.
	SourceLost
)

// Listener consumes a queue.
type Listener interface {
	// Listen hands every delivery of the source to handle, one call at a time,
	// in the broker's order, and consumes again after every loss of connection,
	// channel or consumer, until ctx ends. It then stops consuming, gives
	// what was not handed over back to the broker, waits for the rest to be
	// settled, at most DrainTimeout, and returns nil. It returns early, with
	// an error that names the cause, only for what retrying cannot mend.
	// handle owns the delivery until it is settled.
	Listen(ctx context.Context, source Source, handle func(*Delivery)) error
}

// Delivery is a message that waits to be settled.
type Delivery struct {
	Envelope Envelope
	Settler  Settler
	Tag      uint64
}

// Settler settles deliveries of one consumer session. Its methods may be called
// from any goroutine, once for each tag, and do not block on the network.
type Settler interface {
	// Ack acknowledges; acknowledgements may be sent later and together.
	Ack(tag uint64)
	// Requeue gives the delivery back to the broker.
	Requeue(tag uint64)
	// Live reports whether the session can still settle. When it cannot, the
	// broker delivers the message again and Ack and Requeue do nothing.
	Live() bool
}

// Filter is one filter's instance as one lane uses it. It is not safe for
// concurrent use.
type Filter interface {
	// Run takes the filter's part in stage: it changes env, and fills d. In the
	// stages Pack and Encode, d.Targets holds the one target that env is for.
	// An error means that the message failed, and that env and d may be half
	// changed no more than the filter's own delta allows: a filter's changes
	// are all applied or none. Errors are or wrap *FilterError, but for
	// *RestError: the filter has not seen the message, and Run is to be called
	// again. Run itself does not wait.
	Run(ctx context.Context, stage Stage, env *Envelope, d *Decision) error
	// Close frees the instance.
	Close()
}

// FilterSource makes instances of one loaded filter. It is safe for concurrent
// use.
type FilterSource interface {
	Name() string
	Stages() StageSet
	// Instance makes an instance for one lane.
	Instance(ctx context.Context) (Filter, error)
}

// FormatSource makes instances of the format of a route's messages: the filter
// that is first in the stages decode and decide and last in encode. Its
// instances are Formats.
type FormatSource interface {
	FilterSource
	// Format makes an instance for one lane.
	Format(ctx context.Context) (Format, error)
}

// Format is a Filter that turns what is on the wire into what filters see, and
// back, and knows the callers of its messages. It is not safe for concurrent
// use.
type Format interface {
	Filter
	// Answer turns env, which filters have made the reply to the message that
	// was decoded last, into what is to be sent, and returns the queue that the
	// caller waits at. It is "" if nobody waits.
	Answer(env *Envelope) (queue string, err error)
	// Lost is told of a message, as it was received, that nobody gets. It may
	// tell the caller so, and must not block. Received must not be changed.
	Lost(received *Envelope, loss Loss)
}

// Loss is why nobody gets a message.
type Loss struct {
	Reason string // one of the reasons of dead letters, or ReasonDropped
	Filter string // whose word it was; may be empty
	Stage  string // in which Filter said it; may be empty
	Text   string // what the filter, or the format, gave as its reason; may be empty
}

// Quotes reports whether the error that goes with the loss is in the words of a
// filter or format, which may be those of the message, and not the router's own.
func (l *Loss) Quotes() bool {
	return l.Filter != "" && quotes(strings.TrimPrefix(l.Reason, "filter-"))
}

// quotes is Quotes of a class, or of what a filter decided.
func quotes(class string) bool {
	switch class {
	case "deadline", "memory", "exit", "host":
		return false
	}
	return true
}

// Discreet returns what err says, but of a filter's failure no more than which one it
// was, and where, if the rest is in words that may be those of the message.
func Discreet(err error) string {
	if rest, ok := errors.AsType[*RestError](err); ok {
		return "filter " + rest.Filter + " rests"
	}
	if fe, ok := errors.AsType[*FilterError](err); ok && quotes(fe.Class) {
		return "filter " + fe.Filter + ": " + fe.Stage.String() + ": " + fe.Class
	}
	return err.Error()
}

// FilterError is the failure of one message in one filter.
type FilterError struct {
	Filter    string
	Stage     Stage
	Class     string // trap, deadline, memory, exit, invalid, error, host: bounded, for metrics
	Retryable bool   // the filter said that trying again may help
	Err       error
}

// Error names the filter, the stage, the class and the cause.
func (e *FilterError) Error() string {
	return "filter " + e.Filter + ": " + e.Stage.String() + ": " + e.Class + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *FilterError) Unwrap() error { return e.Err }

// RestError is returned for a message that a filter cannot take at the moment.
type RestError struct {
	Filter string
	After  time.Duration   // how long to wait before Run is called again
	Over   <-chan struct{} // closed when it may be called sooner; nil is never
	Err    error           // why
}

// Error names the filter and why it rests.
func (e *RestError) Error() string { return "filter " + e.Filter + " rests: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *RestError) Unwrap() error { return e.Err }

// Wait waits until the filter may be asked again. It returns false if ctx ends
// before.
func (e *RestError) Wait(ctx context.Context) bool {
	timer := time.NewTimer(e.After)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-e.Over:
	}
	return ctx.Err() == nil
}

// What can become of a published message other than success.
var (
	// ErrUnroutable: the broker returned the message, no queue took it.
	ErrUnroutable = errors.New("unroutable")
	// ErrNoExchange comes with ErrUnroutable when the target's exchange does not
	// exist, as opposed to one that leads to no queue.
	ErrNoExchange = errors.New("there is no exchange")
	// ErrDisconnected: there is no connection, and the Sender was asked not to
	// wait for one. Nothing was published.
	ErrDisconnected = errors.New("not connected")
	// ErrNacked: the broker refused the message, for example a full queue.
	ErrNacked = errors.New("refused by the broker")
	// ErrUnconfirmed: the channel or connection was lost, or the confirm timed
	// out; the broker may have the message or not.
	ErrUnconfirmed = errors.New("not confirmed")
	// ErrUnsendable: the message cannot be published as it is, for example a
	// property the broker refuses or a name over 255 bytes; trying again does
	// not help.
	ErrUnsendable = errors.New("cannot be sent")
	// ErrClosed: the Sender or Listener was closed.
	ErrClosed = errors.New("closed")
)
