package deploy_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/wasmrouter/router/internal/testkit"
	"github.com/wasmrouter/router/telemetry"
)

// exported are all metrics that a router can have, with the values of their labels:
// NAME → LABEL → VALUE.
type exported map[string]map[string]map[string]bool

type snapshot telemetry.Snapshot

func (s snapshot) Snapshot() telemetry.Snapshot { return telemetry.Snapshot(s) }

// registry returns what a router with everything exports.
func registry(t *testing.T) exported {
	t.Helper()
	var s telemetry.Snapshot
	testkit.Fill(&s, "tracing.Exemplar")
	s.Connections[0].Listens = true
	s.Proxies[0].Results = map[string]uint64{"answered": 1, "timeout": 1, "busy": 1, "stopped": 1}
	m, err := telemetry.New(telemetry.Config{Source: snapshot(s)})
	if err != nil {
		t.Fatal(err)
	}
	families, err := m.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := exported{}
	for _, f := range families {
		names := []string{f.GetName()}
		if len(f.GetMetric()) > 0 && f.GetMetric()[0].GetHistogram() != nil {
			names = []string{f.GetName() + "_bucket", f.GetName() + "_sum", f.GetName() + "_count"}
		}
		for _, name := range names {
			labels := map[string]map[string]bool{"instance": nil, "job": nil}
			if strings.HasSuffix(name, "_bucket") {
				labels["le"] = nil
			}
			for _, metric := range f.GetMetric() {
				for _, l := range metric.GetLabel() {
					if labels[l.GetName()] == nil {
						labels[l.GetName()] = map[string]bool{}
					}
					labels[l.GetName()][l.GetValue()] = true
				}
			}
			all[name] = labels
		}
	}
	return all
}

// chosen are the labels whose values the program chooses: a query for another value
// finds nothing, ever. The names of routes and the like an operator chooses.
var chosen = []string{"verdict", "result", "state", "level", "how", "kind"}

var (
	selector = regexp.MustCompile(`([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`([a-zA-Z_]+)\s*(=~|!~|!=|=)\s*"([^"]*)"`)
	grouping = regexp.MustCompile(`\b(by|without|on|ignoring)\s*\(([^)]*)\)`)
	function = regexp.MustCompile(`\b[a-z_0-9]+\s*\(`)
	window   = regexp.MustCompile(`\[[^\]]*\]`)
)

// check says what is wrong with a query: metrics that are not exported, labels that
// they do not have. It knows as much of PromQL as the queries here use.
func (all exported) check(query string) (faults []string) {
	rest := window.ReplaceAllString(query, "")
	var grouped []string
	for _, g := range grouping.FindAllStringSubmatch(rest, -1) {
		for l := range strings.SplitSeq(g[2], ",") {
			grouped = append(grouped, strings.TrimSpace(l))
		}
	}
	rest = grouping.ReplaceAllString(rest, " ")
	rest = function.ReplaceAllString(rest, " ")
	found := 0
	labels := map[string]bool{}
	for _, s := range selector.FindAllStringSubmatch(rest, -1) {
		name := s[1]
		if slices.Contains([]string{"and", "or", "unless", "bool"}, name) {
			continue
		}
		has, ok := all[name]
		if !ok {
			faults = append(faults, name+" is exported by no router")
			continue
		}
		found++
		for l := range has {
			labels[l] = true
		}
		for _, m := range matcher.FindAllStringSubmatch(s[2], -1) {
			values, ok := has[m[1]]
			switch {
			case !ok:
				faults = append(faults, name+" has no label "+m[1])
			case slices.Contains(chosen, m[1]):
				for v := range strings.SplitSeq(m[3], "|") {
					if !values[v] {
						faults = append(faults, name+" has never "+m[1]+"="+v)
					}
				}
			}
		}
	}
	for _, l := range grouped {
		if !labels[l] {
			faults = append(faults, "nothing that is queried has the label "+l)
		}
	}
	if found == 0 && faults == nil {
		faults = append(faults, "it queries nothing")
	}
	return faults
}

func TestTheCheckOfQueriesSeesMistakes(t *testing.T) {
	all := registry(t)
	for query, want := range map[string]string{
		`rate(router_messages_gotten_total[5m])`:        "router_messages_gotten_total is exported by no router",
		`router_held_messages{filter="x"}`:              "router_held_messages has no label filter",
		`sum by (queue) (router_held_messages)`:         "nothing that is queried has the label queue",
		`router_messages_sent_total{result=~"ok|lost"}`: "router_messages_sent_total has never result=lost",
		`router_message_duration_seconds > 1`:           "router_message_duration_seconds is exported by no router",
		`vector(1)`:                                     "it queries nothing",
	} {
		got := strings.Join(all.check(query), "; ")
		if got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	if faults := all.check(`histogram_quantile(0.9, sum by (le) (rate(router_message_duration_seconds_bucket{route=~"$route"}[5m]))) > 0 and on (instance) router_ready == 1`); len(faults) > 0 {
		t.Error(faults)
	}
}

func TestTheDashboardQueriesWhatThereIs(t *testing.T) {
	text, err := os.ReadFile("grafana/router.json")
	if err != nil {
		t.Fatal(err)
	}
	type target struct {
		Expr string `json:"expr"`
	}
	var board struct {
		Title      string `json:"title"`
		Templating struct {
			List []struct {
				Name       string `json:"name"`
				Definition string `json:"definition"`
			} `json:"list"`
		} `json:"templating"`
		Annotations struct {
			List []target `json:"list"`
		} `json:"annotations"`
		Panels []struct {
			ID      int      `json:"id"`
			Type    string   `json:"type"`
			Title   string   `json:"title"`
			Targets []target `json:"targets"`
			GridPos struct{ X, Y, W, H int }
		} `json:"panels"`
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	all, ids, queries := registry(t), map[int]bool{}, 0
	check := func(where, query string) {
		queries++
		for _, fault := range all.check(query) {
			t.Errorf("%s: %s: %s", where, fault, query)
		}
	}
	variables := map[string]bool{"__rate_interval": true, "__interval": true}
	for _, v := range board.Templating.List {
		variables[v.Name] = true
		if v.Definition != "" {
			query, label, ok := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(v.Definition, "label_values("), ")"), ", ")
			if i := strings.LastIndex(query+", "+label, ", "); ok {
				query, label = (query + ", " + label)[:i], (query + ", " + label)[i+2:]
			}
			check("the variable "+v.Name, "sum by ("+label+") ("+query+")")
		}
	}
	for _, a := range board.Annotations.List {
		if a.Expr != "" {
			check("an annotation", a.Expr)
		}
	}
	for _, p := range board.Panels {
		if ids[p.ID] || p.GridPos.W < 1 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %d, %q, has its number twice or does not fit", p.ID, p.Title)
		}
		ids[p.ID] = true
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q shows nothing", p.Title)
		}
		for _, q := range p.Targets {
			check(p.Title, q.Expr)
			for _, v := range regexp.MustCompile(`\$\{?([a-zA-Z_]+)`).FindAllStringSubmatch(q.Expr, -1) {
				if !variables[v[1]] {
					t.Errorf("%s: there is no variable %s", p.Title, v[1])
				}
			}
		}
	}
	if queries < 40 {
		t.Errorf("it makes %d queries", queries)
	}
}

func TestTheAlertsQueryWhatThereIs(t *testing.T) {
	text, err := os.ReadFile("prometheus/rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string `yaml:"name"`
			Rules []struct {
				Alert       string            `yaml:"alert"`
				Expr        string            `yaml:"expr"`
				For         string            `yaml:"for"`
				Labels      map[string]string `yaml:"labels"`
				Annotations map[string]string `yaml:"annotations"`
			} `yaml:"rules"`
		} `yaml:"groups"`
	}
	dec := yaml.NewDecoder(strings.NewReader(string(text)))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../docs/OBSERVE.md")
	if err != nil {
		t.Fatal(err)
	}
	all, seen := registry(t), map[string]bool{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			for _, fault := range all.check(r.Expr) {
				t.Errorf("%s: %s: %s", r.Alert, fault, r.Expr)
			}
			if _, err := time.ParseDuration(r.For); err != nil || seen[r.Alert] || !strings.HasPrefix(r.Alert, "Router") {
				t.Errorf("%s: for %q, %v; or it is there twice, or not called Router…", r.Alert, r.For, err)
			}
			seen[r.Alert] = true
			if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("%s says too little: %v, %v", r.Alert, r.Labels, r.Annotations)
			}
			for _, m := range regexp.MustCompile(`\$labels\.([a-z_]+)`).FindAllStringSubmatch(r.Annotations["summary"]+r.Annotations["description"], -1) {
				if keeps := regexp.MustCompile(`by \(([^)]*)\)`).FindStringSubmatch(r.Expr); keeps != nil && !strings.Contains(keeps[1], m[1]) {
					t.Errorf("%s: its alerts have no label %s", r.Alert, m[1])
				}
			}
			if !strings.Contains(string(page), "| "+r.Alert+" |") {
				t.Errorf("docs/OBSERVE.md does not say what to do about %s", r.Alert)
			}
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^\| (Router[A-Za-z]+) \|`).FindAllStringSubmatch(string(page), -1) {
		if !seen[m[1]] {
			t.Errorf("docs/OBSERVE.md names %s, which is no alert", m[1])
		}
	}
	if len(seen) < 15 {
		t.Errorf("there are %d alerts", len(seen))
	}
}
