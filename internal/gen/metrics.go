package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"regexp"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wasmrouter/router/telemetry"
)

//go:embed metrics.md
var metricsHead string

// described is how a description shows itself; there is no other way to ask it.
var described = regexp.MustCompile(`^Desc{fqName: "([a-z0-9_]+)", help: "(.*?)", (?:unit: "[^"]*", )?constLabels: {}, variableLabels: {(.*)}}$`)

// nothing is a router without routes.
type nothing struct{}

func (nothing) Snapshot() telemetry.Snapshot { return telemetry.Snapshot{} }

// metrics returns docs/METRICS.md.
func metrics() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(metricsHead)
	descs := make(chan *prometheus.Desc)
	go func() { // ends with what it describes, all of which is received
		telemetry.NewCollector(nothing{}, telemetry.Build{}).Describe(descs)
		close(descs)
	}()
	var err error
	for d := range descs {
		m := described.FindStringSubmatch(d.String())
		if m == nil {
			err = fmt.Errorf("a metric is described in another way: %s", d)
			continue
		}
		labels := "-"
		if m[3] != "" {
			labels = "`" + strings.ReplaceAll(m[3], ",", "` `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", m[1], labels, strings.ReplaceAll(m[2], `\"`, `"`))
	}
	return b.Bytes(), err
}
