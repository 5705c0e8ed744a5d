package app

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wasmrouter/router/admin"
	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/app/deadletters"
	"github.com/wasmrouter/router/config"
	"github.com/wasmrouter/router/router"
)

// Bounds of what is asked of dead letters over the API. An answer must be there
// before the listener gives up on the client.
const (
	letterStates = 10 * time.Second // to ask for the queues' states
	letterWork   = 75 * time.Second // to list, replay or purge
	letterList   = 50               // letters that a list has unless told otherwise
	letterLimit  = 1000             // and at most
)

func (a *App) letterEndpoints() []admin.Endpoint {
	in := letterTurns{known: func(queue string) bool { return deadLetterQueues(a.table.Load().cfg).Has(queue) }}
	return []admin.Endpoint{
		{Pattern: "GET /api/dead-letters", Do: a.letterQueues},
		{Pattern: "GET /api/dead-letters/{queue}", Query: []string{
			"limit", "reason", "route", "filter", "older_than", "younger_than", "header",
		}, Do: in.turn(a.listLetters)},
		{Pattern: "GET /api/dead-letters/{queue}/{id}", Query: []string{"body"}, Do: in.turn(a.showLetter)},
		{Pattern: "POST /api/dead-letters/{queue}/replay", Do: in.turn(a.replayLetters)},
		{Pattern: "POST /api/dead-letters/{queue}/purge", Do: in.turn(a.purgeLetters)},
	}
}

// letterTurns lets one caller at a time work on a queue: two would each see what the
// other has not.
type letterTurns struct {
	known func(queue string) bool
	mu    sync.Mutex // protects turns
	turns map[string]chan struct{}
}

// turn has do wait for its turn, and bounds it.
func (t *letterTurns) turn(do func(context.Context, *admin.Request) (any, error)) func(context.Context, *admin.Request) (any, error) {
	return func(ctx context.Context, r *admin.Request) (any, error) {
		queue := r.Path("queue")
		if !t.known(queue) {
			return nil, admin.Refuse(http.StatusNotFound, "no route has its dead letters in %q; GET /api/dead-letters lists the queues", queue)
		}
		t.mu.Lock()
		if t.turns == nil {
			t.turns = map[string]chan struct{}{}
		}
		busy := t.turns[queue]
		if busy == nil {
			busy = make(chan struct{}, 1)
			t.turns[queue] = busy
		}
		t.mu.Unlock()
		select {
		case busy <- struct{}{}:
			defer func() { <-busy }()
		case <-time.After(letterStates):
			return nil, admin.Refuse(http.StatusConflict, "somebody else is at work on the dead letters of %q", queue)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		return do(ctx, r)
	}
}

// LetterQueues is the answer to which queues of dead letters there are.
type LetterQueues struct {
	Queues []LetterQueue `json:"queues"`
}

// LetterQueue is a queue of dead letters at this moment.
type LetterQueue struct {
	DeadLetterQueue
	Messages  int    `json:"messages"` // ready; of a quorum queue as it was some seconds ago
	Consumers int    `json:"consumers"`
	Error     string `json:"error,omitempty"` // why that is not known
}

func (a *App) letterQueues(ctx context.Context, _ *admin.Request) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, letterStates)
	defer cancel()
	return LetterQueues{LetterQueuesOf(ctx, a.broker.Load().Broker, deadLetterQueues(a.table.Load().cfg))}, nil
}

// LetterQueuesOf asks for the queues' states.
func LetterQueuesOf(ctx context.Context, b *amqp.Broker, of *DeadLetterQueues) []LetterQueue {
	all := []LetterQueue{}
	for _, q := range of.All {
		l := LetterQueue{DeadLetterQueue: q}
		s, err := b.State(ctx, q.Queue)
		if l.Messages, l.Consumers = s.Messages, s.Consumers; err != nil {
			l.Error = err.Error()
		}
		all = append(all, l)
	}
	return all
}

// letterQueue returns the queue that a request names, of which [letterTurns] has seen
// that it is one of the routes' own: others are not this listener's business.
func (a *App) letterQueue(r *admin.Request) (*deadletters.Queue, *config.Config) {
	cfg := a.table.Load().cfg
	known := deadLetterQueues(cfg)
	return &deadletters.Queue{Broker: a.broker.Load().Broker, Name: r.Path("queue"), Source: known.Source}, cfg
}

// LetterList is the answer to which letters a queue has.
type LetterList struct {
	Queue string `json:"queue"`
	deadletters.Scan
	More    bool                  `json:"more"` // whether there may be more of them
	Letters []deadletters.Summary `json:"letters"`
}

func (a *App) listLetters(ctx context.Context, r *admin.Request) (any, error) {
	q, cfg := a.letterQueue(r)
	limit, err := r.Int("limit", letterList, 1, letterLimit)
	if err != nil {
		return nil, err
	}
	s := LetterSelection{Reason: r.Query("reason"), Route: r.Query("route"), Filter: r.Query("filter"), OlderThan: r.Query("older_than"), YoungerThan: r.Query("younger_than")}
	if h := r.Query("header"); h != "" {
		s.Headers = []string{h}
	}
	sel, err := s.selection()
	if err != nil {
		return nil, err
	}
	work, cancel := context.WithTimeoutCause(ctx, letterWork, errLetterTime)
	defer cancel()
	list, now := LetterList{Queue: q.Name, Letters: []deadletters.Summary{}}, time.Now()
	list.Scan, err = q.Walk(work, &sel, limit, func(l *deadletters.Letter) bool {
		sum := l.Summary(now)
		if !cfg.Admin.Bodies {
			sum.Hide()
		}
		list.Letters = append(list.Letters, sum)
		return true
	})
	if list.More, err = timeUp(ctx, err); err != nil {
		return nil, err
	}
	list.More = list.More || list.Scanned < list.Ready
	return list, nil
}

// errLetterTime ends what would take longer than a client waits.
var errLetterTime = errors.New("it takes too long for one request")

// timeUp reports whether err is only that the time of one request is up.
func timeUp(ctx context.Context, err error) (bool, error) {
	if err != nil && errors.Is(err, errLetterTime) && ctx.Err() == nil {
		return true, nil
	}
	return false, err
}

func (a *App) showLetter(ctx context.Context, r *admin.Request) (any, error) {
	q, cfg := a.letterQueue(r)
	form := r.Query("body")
	switch {
	case form != "" && !slices.Contains(deadletters.Forms, form):
		return nil, admin.Refuse(http.StatusBadRequest, "body is %q; it is one of %s", form, strings.Join(deadletters.Forms, ", "))
	case form != "" && !cfg.Admin.Bodies:
		return nil, admin.Refuse(http.StatusForbidden, "bodies are not shown here unless the configuration has bodies = true in [admin]")
	}
	sel, err := (&LetterSelection{IDs: []string{r.Path("id")}}).selection()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, letterWork, errLetterTime)
	defer cancel()
	var found *deadletters.Detail
	scan, err := q.Walk(ctx, &sel, 0, func(l *deadletters.Letter) bool {
		d := l.Detail(time.Now(), form)
		if !cfg.Admin.Bodies {
			d.Hide()
		}
		found = &d
		return false
	})
	switch {
	case err != nil:
		return nil, err
	case found == nil:
		return nil, admin.Refuse(http.StatusNotFound, "no letter %s among the %d that are ready in %q; another list, replay or consumer may have it at the moment", r.Path("id"), scan.Ready, q.Name)
	}
	return *found, nil
}

// LetterSelection says in a request which letters are meant: those that meet all of
// it. Ages are written as in the configuration file, "36h".
type LetterSelection struct {
	IDs         []string `json:"ids"`
	Reason      string   `json:"reason"`
	Route       string   `json:"route"`
	Filter      string   `json:"filter"`
	OlderThan   string   `json:"older_than"`
	YoungerThan string   `json:"younger_than"`
	Headers     []string `json:"headers"` // NAME or NAME=VALUE
	All         bool     `json:"all"`     // every letter; needed where nothing else is said
}

func (s *LetterSelection) selection() (deadletters.Selection, error) {
	sel := deadletters.Selection{IDs: s.IDs, Reason: s.Reason, Route: s.Route, Filter: s.Filter}
	var err error
	for _, age := range []struct {
		text string
		to   *time.Duration
	}{{s.OlderThan, &sel.OlderThan}, {s.YoungerThan, &sel.YoungerThan}} {
		if age.text == "" {
			continue
		}
		if *age.to, err = time.ParseDuration(age.text); err != nil {
			return sel, admin.Refuse(http.StatusBadRequest, "%q is no age; write it as 36h or 10m", age.text)
		}
	}
	for _, h := range s.Headers {
		m, err := deadletters.ParseMatch(h)
		if err != nil {
			return sel, admin.Refuse(http.StatusBadRequest, "%w", err)
		}
		sel.Headers = append(sel.Headers, m)
	}
	if err := sel.Validate(); err != nil {
		return sel, admin.Refuse(http.StatusBadRequest, "%w", err)
	}
	return sel, nil
}

// chosen is selection for what does something to the letters.
func (s *LetterSelection) chosen() (deadletters.Selection, error) {
	sel, err := s.selection()
	if err == nil && sel.All() != s.All {
		err = admin.Refuse(http.StatusBadRequest, `say which letters: "ids", conditions such as "reason", or "all": true without any`)
	}
	return sel, err
}

// LetterReplay is a request to send letters again.
type LetterReplay struct {
	LetterSelection
	To     string  `json:"to"`    // a target; "" is where each came from
	Edit   string  `json:"edit"`  // a filter of the configuration that each message passes first
	Rate   float64 `json:"rate"`  // letters in a second at most; 0 is no bound
	Limit  int     `json:"limit"` // letters at most; 0 is no bound
	DryRun bool    `json:"dry_run"`
}

// LetterReplayed is what came of it.
type LetterReplayed struct {
	deadletters.Result
	More bool `json:"more"` // the time of one request was up before all was done
}

func (a *App) replayLetters(ctx context.Context, r *admin.Request) (any, error) {
	q, _ := a.letterQueue(r)
	var want LetterReplay
	if err := r.Body(&want); err != nil {
		return nil, err
	}
	o := deadletters.Replay{Rate: want.Rate, Limit: want.Limit, DryRun: want.DryRun}
	var err error
	if o.Selection, err = want.chosen(); err != nil {
		return nil, err
	}
	if want.Rate < 0 || want.Limit < 0 {
		return nil, admin.Refuse(http.StatusBadRequest, "rate and limit are 0 or more")
	}
	if want.To != "" {
		if o.To, err = router.ParseTarget(want.To); err != nil {
			return nil, admin.Refuse(http.StatusBadRequest, "to: %w", err)
		}
	}
	if want.Edit != "" {
		f, ok := a.table.Load().filters[want.Edit]
		if !ok {
			return nil, admin.Refuse(http.StatusBadRequest, "edit: there is no filter %q in the configuration", want.Edit)
		}
		if o.Edit, err = deadletters.NewEditor(ctx, f.Filter); err != nil {
			return nil, err
		}
		defer o.Edit.Close()
	}
	work, cancel := context.WithTimeoutCause(ctx, letterWork, errLetterTime)
	defer cancel()
	var answer LetterReplayed
	answer.Result, err = q.Replay(work, o)
	answer.More, err = timeUp(ctx, err)
	a.log.Info("dead letters replayed", "queue", q.Name, "replayed", answer.Replayed, "failed", answer.Failed, "dry_run", o.DryRun, "complete", err == nil && !answer.More)
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// LetterPurge is a request to remove letters for good.
type LetterPurge struct {
	LetterSelection
	Confirm string `json:"confirm"` // the queue's name once more
}

// LetterPurged is what came of it.
type LetterPurged struct {
	deadletters.Scan      // Matched are those that were removed
	More             bool `json:"more"`
}

func (a *App) purgeLetters(ctx context.Context, r *admin.Request) (any, error) {
	q, _ := a.letterQueue(r)
	var want LetterPurge
	if err := r.Body(&want); err != nil {
		return nil, err
	}
	sel, err := want.chosen()
	if err != nil {
		return nil, err
	}
	if want.Confirm != q.Name {
		return nil, admin.Refuse(http.StatusBadRequest, `letters are removed for good: "confirm" has to be the queue's name`)
	}
	work, cancel := context.WithTimeoutCause(ctx, letterWork, errLetterTime)
	defer cancel()
	var answer LetterPurged
	answer.Scan, err = q.Remove(work, &sel, 0)
	answer.More, err = timeUp(ctx, err)
	a.log.Info("dead letters purged", "queue", q.Name, "purged", answer.Matched, "complete", err == nil && !answer.More)
	if err != nil {
		return nil, err
	}
	return answer, nil
}
