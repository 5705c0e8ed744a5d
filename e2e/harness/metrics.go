package harness

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Metric returns the sum of the samples of a metric whose labels hold all of
// the given parts, for example `route="orders"`.
func (p *Process) Metric(name string, labels ...string) float64 {
	p.t.Helper()
	code, body, err := p.Get("/metrics")
	if err != nil || code != http.StatusOK {
		p.t.Fatalf("metrics: %d %v", code, err)
	}
	v, err := SumOf(body, name, labels...)
	if err != nil {
		p.t.Fatal(err)
	}
	return v
}

// Resources is what a process holds.
type Resources struct {
	Memory     int `json:"memory"` // resident, in bytes
	Files      int `json:"files"`  // open descriptors
	Goroutines int `json:"goroutines"`
}

// Resources returns what the router holds now.
func (p *Process) Resources() Resources {
	p.t.Helper()
	return Resources{
		Memory:     int(p.Metric("process_resident_memory_bytes")),
		Files:      int(p.Metric("process_open_fds")),
		Goroutines: int(p.Metric("go_goroutines")),
	}
}

// SumOf adds up samples in Prometheus' text format.
func SumOf(text, name string, labels ...string) (sum float64, err error) {
	found := false
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), name)
		if !ok || rest == "" || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		found = true
		i := strings.LastIndexByte(rest, ' ')
		all := true
		for _, l := range labels {
			all = all && strings.Contains(rest[:i], l)
		}
		if !all {
			continue
		}
		v, err := strconv.ParseFloat(rest[i+1:], 64)
		if err != nil {
			return 0, fmt.Errorf("sample %q: %w", line, err)
		}
		sum += v
	}
	if !found {
		return 0, errors.New("there is no metric " + name)
	}
	return sum, nil
}

// Retransmitted returns how many TCP segments this machine has sent more than once.
func Retransmitted(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/net/snmp")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != "Tcp:" {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		if i := slices.Index(names, "RetransSegs"); i > 0 && i < len(fields) {
			if n, err := strconv.Atoi(fields[i]); err == nil {
				return n
			}
		}
	}
	t.Fatal("/proc/net/snmp does not say how many TCP segments were sent again")
	return 0
}
