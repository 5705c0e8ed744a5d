package chromium

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// pipe speaks the DevTools protocol: JSON messages that end in a zero byte, calls with
// an id that their answers repeat, and events without.
type pipe struct {
	out io.WriteCloser

	mu      sync.Mutex // protects the fields below, and writing
	last    int
	waiting map[int]chan message
	events  map[string]func(method string, params json.RawMessage) // by session
	ended   error
}

type message struct {
	ID        int             `json:"id,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    json.RawMessage `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     *struct {
		Message string `json:"message"`
		Data    string `json:"data"`
	} `json:"error,omitempty"`
}

func newPipe(out io.WriteCloser) *pipe {
	return &pipe{out: out, waiting: make(map[int]chan message), events: make(map[string]func(string, json.RawMessage))}
}

// read hands what comes to who waits for it, until in ends.
func (p *pipe) read(in io.Reader) {
	r := bufio.NewReader(in)
	for {
		text, err := r.ReadBytes(0)
		var m message
		if err == nil {
			err = json.Unmarshal(text[:len(text)-1], &m)
		}
		p.mu.Lock()
		if err != nil {
			p.ended = fmt.Errorf("the browser has gone: %w", err)
			for id, answer := range p.waiting {
				close(answer)
				delete(p.waiting, id)
			}
			p.mu.Unlock()
			return
		}
		answer, event := p.waiting[m.ID], p.events[m.SessionID]
		delete(p.waiting, m.ID)
		p.mu.Unlock()
		switch {
		case answer != nil:
			answer <- m
		case m.Method != "" && event != nil:
			event(m.Method, m.Params)
		}
	}
}

// call calls a method and stores what it returns in result, unless that is nil.
func (p *pipe) call(ctx context.Context, session, method string, params, result any) error {
	body, err := json.Marshal(params)
	if err != nil {
		return err
	}
	if params == nil {
		body = nil
	}
	answer := make(chan message, 1)
	p.mu.Lock()
	if p.ended != nil {
		p.mu.Unlock()
		return p.ended
	}
	p.last++
	id := p.last
	text, err := json.Marshal(message{ID: id, SessionID: session, Method: method, Params: body})
	if err == nil {
		p.waiting[id] = answer
		_, err = p.out.Write(append(text, 0))
	}
	p.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	select {
	case m, ok := <-answer:
		switch {
		case !ok:
			return fmt.Errorf("%s: %w", method, errors.New("the browser has gone"))
		case m.Error != nil:
			return fmt.Errorf("%s: %s %s", method, m.Error.Message, m.Error.Data)
		case result == nil:
			return nil
		}
		return json.Unmarshal(m.Result, result)
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", method, context.Cause(ctx))
	}
}
