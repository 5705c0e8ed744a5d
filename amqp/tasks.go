package amqp

import "sync"

// tasks are goroutines that an owner waits for. Unlike a bare wait group it
// may be given more until the moment of close.
type tasks struct {
	wg sync.WaitGroup

	mu     sync.Mutex // protects closed, and so wg from growing after close
	closed bool
}

// run runs f in a goroutine, unless close was called.
func (t *tasks) run(f func()) bool {
	if !t.enter() {
		return false
	}
	go func() {
		defer t.wg.Done()
		f()
	}()
	return true
}

// enter counts the caller in; it must call wg.Done.
func (t *tasks) enter() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.wg.Add(1)
	return true
}

// close lets nothing more in and waits for the rest.
func (t *tasks) close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.wg.Wait()
}
