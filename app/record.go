package app

import (
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/wasmrouter/router/admin"
	"github.com/wasmrouter/router/app/record"
	"github.com/wasmrouter/router/config"
)

// RecordRequest asks for a recording.
type RecordRequest struct {
	Routes []string        `json:"routes"` // none are all
	Sample float64         `json:"sample"` // the share of messages, above 0 and up to 1; 0 is 1
	For    config.Duration `json:"for"`    // 0 is until it is stopped
}

// MediaTypeRecording is the type of a recording.
const MediaTypeRecording = "application/vnd.wasmrouter.recording"

func (a *App) recordEndpoints() []admin.Endpoint {
	return []admin.Endpoint{
		{Pattern: "GET /api/record", Do: func(context.Context, *admin.Request) (any, error) { return a.recorder.Status(), nil }},
		{Pattern: "POST /api/record", Stream: a.startRecording, MediaType: MediaTypeRecording},
		{Pattern: "DELETE /api/record/{route}", Do: func(_ context.Context, r *admin.Request) (any, error) {
			if route := r.Path("route"); !a.recorder.Stop(route) {
				return nil, admin.Refuse(http.StatusNotFound, "route %q is not being recorded", route)
			}
			return nil, nil
		}},
	}
}

// startRecording records for as long as the client reads. What is in messages
// leaves the router, which admin.bodies has to permit.
func (a *App) startRecording(ctx context.Context, r *admin.Request, w io.Writer) error {
	want := RecordRequest{Sample: 1}
	if err := r.Body(&want); err != nil {
		return err
	}
	cfg := a.table.Load().cfg
	if !cfg.Admin.Bodies {
		return noRecording()
	}
	routes := slices.Sorted(maps.Keys(cfg.Routes))
	if len(want.Routes) == 0 {
		want.Routes = routes
	}
	slices.Sort(want.Routes)
	want.Routes = slices.Compact(want.Routes)
	for _, name := range want.Routes {
		if !slices.Contains(routes, name) {
			return admin.Refuse(http.StatusNotFound, "there is no route %q; there are: %s", name, strings.Join(routes, ", "))
		}
	}
	if want.Sample < 0 || want.Sample > 1 {
		return admin.Refuse(http.StatusBadRequest, "sample is %v; it is a share above 0 and up to 1", want.Sample)
	}
	take, err := a.recorder.Start(record.Options{Routes: want.Routes, Sample: cmp.Or(want.Sample, 1), For: want.For.Std()})
	if err != nil {
		if errors.Is(err, record.ErrBusy) {
			return admin.Refuse(http.StatusConflict, "%w already; wait until that has ended, or end it: DELETE /api/record/ROUTE, or interrupt the router record that runs", err)
		}
		return err
	}
	if !a.table.Load().cfg.Admin.Bodies { // a reload came between, which has not seen this one
		take.Stop(bodiesForbidden)
		return noRecording()
	}
	a.log.Info("recording", "routes", want.Routes, "sample", want.Sample, "for", time.Duration(want.For).String())
	ctx, cancel := a.whileAlive(ctx)
	defer cancel()
	err = take.Write(ctx, w)
	a.log.Info("recording ended", "routes", want.Routes, "why", take.Why())
	return err
}

func noRecording() error {
	return admin.Refuse(http.StatusForbidden, "recordings hold what is in messages; set admin.bodies = true to permit that")
}

// bodiesForbidden is why recordings end when a reload forbids them.
const bodiesForbidden = "a reload has set admin.bodies = false"

// endRecordings ends them all.
func (a *App) endRecordings() {
	if n := a.recorder.StopAll(bodiesForbidden); n > 0 {
		a.log.Warn("recordings were ended, as admin.bodies = false forbids what they hold", "recordings", n)
	}
}
