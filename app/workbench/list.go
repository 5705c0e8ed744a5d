package workbench

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/wasmrouter/router/filters"
	"github.com/wasmrouter/router/wasmhost"
)

// Stock is one of the filters that are built in.
type Stock struct {
	Name    string   `json:"name"` // as in stock:NAME
	Summary string   `json:"summary"`
	Stages  []string `json:"stages"`
	Grants  []string `json:"grants"` // that it wants
	Bytes   int      `json:"bytes"`
	SHA256  string   `json:"sha256"`
}

// ListStock describes the stock filters, sorted by name.
func ListStock() ([]Stock, error) {
	var all []Stock
	for _, name := range filters.List() {
		if strings.Contains(name, ":") {
			continue // of the demo
		}
		module, _ := filters.Lookup(name)
		info, err := wasmhost.Inspect(module, wasmhost.Limits{})
		if err != nil {
			return nil, fmt.Errorf("stock:%s: %w", name, err)
		}
		s := Stock{Name: name, Summary: summary(name), Stages: []string{}, Grants: list(info.Grants), Bytes: info.Size, SHA256: info.SHA256}
		for _, stage := range stagesOf(info.Stages) {
			s.Stages = append(s.Stages, stage.String())
		}
		all = append(all, s)
	}
	return all, nil
}

// summary is what a stock filter does, in one sentence: the description of its
// configuration, or the first sentence of its manual.
func summary(name string) string {
	var schema struct{ Description string }
	if text, ok := filters.Schema(name); ok && json.Unmarshal(text, &schema) == nil && schema.Description != "" {
		return strings.TrimSuffix(schema.Description, ".")
	}
	readme, _ := filters.README(name)
	_, text, _ := strings.Cut(string(readme), "\n")
	paragraph, _, _ := strings.Cut(strings.TrimSpace(text), "\n\n")
	sentence, _, _ := strings.Cut(strings.ReplaceAll(paragraph, "\n", " "), ". ")
	return strings.TrimSuffix(sentence, ".")
}

// WriteStock writes the stock filters for people, one a line.
func WriteStock(w io.Writer, all []Stock) error {
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, s := range all {
		fmt.Fprintf(tw, "stock:%s\t%s\t%d bytes\tsha256 %s\t%s\n", s.Name, strings.Join(s.Stages, " "), s.Bytes, s.SHA256[:12], s.Summary)
	}
	return tw.Flush()
}

// StockText returns the README or the configuration's JSON Schema of a stock
// filter.
func StockText(name string, schema bool) ([]byte, error) {
	name = strings.TrimPrefix(name, "stock:")
	if _, ok := filters.README(name); !ok {
		return nil, fmt.Errorf("there is no stock filter %q; `router filter list` shows them", name)
	}
	if schema {
		text, ok := filters.Schema(name)
		if !ok {
			return nil, fmt.Errorf("stock:%s has no schema", name)
		}
		return text, nil
	}
	text, _ := filters.README(name)
	return text, nil
}
