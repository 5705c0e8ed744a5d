package admin

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The kinds of events.
const (
	EventStatus   = "status"   // the status, once a second
	EventDecision = "decision" // what became of a message, of a sample
	EventLog      = "log"      // what was logged of severity warn and above
	EventReload   = "reload"   // what became of a reload
)

var eventKinds = []string{EventStatus, EventDecision, EventLog, EventReload}

const (
	maxListeners = 16               // of events, at once
	maxBehind    = 128              // events that a listener may have yet to read
	eventTimeout = 10 * time.Second // for one to be taken from us
	statusEvery  = time.Second
)

// Events tells whoever listens to GET /api/events what happens. While nobody does,
// nothing is done. Its methods are safe for concurrent use.
type Events struct {
	status  func() any
	wanted  map[string]*atomic.Int32 // how many listen to each kind; the map is not changed
	tickers sync.WaitGroup

	mu        sync.Mutex // protects the fields below
	listeners map[*listener]struct{}
	stopTicks chan struct{} // closed when nobody listens to the status any more; nil before anyone does
	closed    bool
}

// listener is one client. Its events are dropped, and it with them, when it is too
// far behind.
type listener struct {
	kinds []string
	next  chan []byte
	gone  chan struct{} // closed when it gets no more
}

// NewEvents returns events of which status is called once a second while somebody
// listens to it.
func NewEvents(status func() any) *Events {
	e := &Events{status: status, wanted: make(map[string]*atomic.Int32), listeners: make(map[*listener]struct{})}
	for _, kind := range eventKinds {
		e.wanted[kind] = new(atomic.Int32)
	}
	return e
}

// Wanted reports whether anybody listens to events of a kind. It is cheap.
func (e *Events) Wanted(kind string) bool { return e.wanted[kind].Load() > 0 }

// Publish tells those who listen to a kind of events of one, which must be of types
// that JSON has. It does not block.
func (e *Events) Publish(kind string, v any) {
	if !e.Wanted(kind) {
		return
	}
	event, err := frame(kind, v)
	if err != nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for l := range e.listeners {
		if !slices.Contains(l.kinds, kind) {
			continue
		}
		select {
		case l.next <- event:
		default:
			e.drop(l)
		}
	}
}

// frame returns an event as it goes over the wire.
func frame(kind string, v any) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("event: " + kind + "\ndata: ")
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil { // one line and its end
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// listen adds a listener to kinds of events; nil if there are too many.
func (e *Events) listen(kinds []string) *listener {
	l := &listener{kinds: kinds, next: make(chan []byte, maxBehind), gone: make(chan struct{})}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || len(e.listeners) >= maxListeners {
		return nil
	}
	e.listeners[l] = struct{}{}
	for _, kind := range kinds {
		e.wanted[kind].Add(1)
	}
	if e.stopTicks == nil && e.Wanted(EventStatus) {
		stop := make(chan struct{})
		e.stopTicks = stop
		e.tickers.Go(func() { e.tick(stop) })
	}
	return l
}

// leave takes a listener off.
func (e *Events) leave(l *listener) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.drop(l)
}

// drop is leave for who holds the mutex.
func (e *Events) drop(l *listener) {
	if _, ok := e.listeners[l]; !ok {
		return
	}
	delete(e.listeners, l)
	for _, kind := range l.kinds {
		e.wanted[kind].Add(-1)
	}
	if e.stopTicks != nil && !e.Wanted(EventStatus) {
		close(e.stopTicks)
		e.stopTicks = nil
	}
	close(l.gone)
}

// tick publishes the status until stop is closed.
func (e *Events) tick(stop <-chan struct{}) {
	ticker := time.NewTicker(statusEvery)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
			e.Publish(EventStatus, e.status())
		}
	}
}

// close ends all streams.
func (e *Events) close() {
	e.mu.Lock()
	e.closed = true
	for l := range e.listeners {
		e.drop(l)
	}
	e.mu.Unlock()
}

// stream serves the events: those of the kinds that the query names, or of all.
func (e *Events) stream(w http.ResponseWriter, r *http.Request) {
	kinds, err := streamKinds(r)
	if err != nil {
		answer(w, r, http.StatusBadRequest, status{Error: err.Error()})
		return
	}
	l := e.listen(kinds)
	if l == nil {
		answer(w, r, http.StatusServiceUnavailable, status{Error: "as many listen to events as may; end one of them"})
		return
	}
	defer e.leave(l)
	c := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	if !send(w, c, []byte("retry: 2000\n\n")) {
		return
	}
	if slices.Contains(kinds, EventStatus) {
		if event, err := frame(EventStatus, e.status()); err != nil || !send(w, c, event) {
			return
		}
	}
	for {
		select {
		case event := <-l.next:
			if !send(w, c, event) {
				return
			}
		case <-l.gone:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// send writes one event, and reports whether the client has taken it.
func send(w http.ResponseWriter, c *http.ResponseController, event []byte) bool {
	_ = c.SetWriteDeadline(time.Now().Add(eventTimeout))
	_, err := w.Write(event)
	return err == nil && c.Flush() == nil
}

func streamKinds(r *http.Request) ([]string, error) {
	e := Endpoint{Query: []string{"kinds"}}
	query, err := e.parameters(r)
	if err != nil || !query.Has("kinds") {
		return eventKinds, err
	}
	kinds := strings.Split(query.Get("kinds"), ",")
	slices.Sort(kinds)
	kinds = slices.Compact(kinds)
	for _, kind := range kinds {
		if !slices.Contains(eventKinds, kind) {
			return nil, Refuse(http.StatusBadRequest, "there are no events %q; there are %s", kind, strings.Join(eventKinds, ", "))
		}
	}
	return kinds, nil
}
