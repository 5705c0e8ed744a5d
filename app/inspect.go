package app

import (
	"context"
	"net/http"
	"slices"

	"github.com/wasmrouter/router/admin"
	"github.com/wasmrouter/router/wasmhost"
)

// FilterReport is all about one filter.
type FilterReport struct {
	Plan   FilterPlan   `json:"plan"`
	Status FilterStatus `json:"status"`
	Module ModuleReport `json:"module"`
	Routes []string     `json:"routes"` // that use it
}

// ModuleReport is what a filter's module says about itself.
type ModuleReport struct {
	ABI       int      `json:"abi"` // version of the filter ABI
	Functions int      `json:"functions"`
	Imports   []string `json:"imports"`
	MemoryMin int64    `json:"memory_min"` // bytes, of one instance
	MemoryMax int64    `json:"memory_max"`
}

// Filter returns all about a filter, and false if there is none of that name.
func (a *App) Filter(name string) (*FilterReport, bool) {
	t := a.table.Load()
	f, ok := t.filters[name]
	if !ok {
		return nil, false
	}
	info := f.Info()
	r := &FilterReport{
		Plan: t.filterPlan(name), Status: f.status(name), Routes: []string{},
		Module: ModuleReport{
			ABI: wasmhost.ABI, Functions: info.Functions, Imports: append([]string{}, info.Imports...),
			MemoryMin: info.MemoryMin, MemoryMax: info.MemoryMax,
		},
	}
	for route, c := range t.cfg.Routes {
		if slices.Contains(c.Filters, name) || slices.Contains(c.ReplyFilters, name) {
			r.Routes = append(r.Routes, route)
		}
	}
	slices.Sort(r.Routes)
	return r, true
}

func (a *App) filterReport(_ context.Context, r *admin.Request) (any, error) {
	if report, ok := a.Filter(r.Path("filter")); ok {
		return report, nil
	}
	return nil, admin.Refuse(http.StatusNotFound, "there is no filter %q", r.Path("filter"))
}

// reloadFilter answers POST /api/filters/NAME/reload.
func (a *App) reloadFilter(ctx context.Context, r *admin.Request) (any, error) {
	if _, err := a.filterReport(ctx, r); err != nil {
		return nil, err
	}
	// A client that leaves does not leave half of it behind.
	if err := a.ReloadFilter(context.WithoutCancel(ctx), r.Path("filter")); err != nil {
		return nil, err
	}
	return a.filterReport(ctx, r)
}
