package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/wasmrouter/router/e2e/harness"
)

// trial is what one run of the tests has shown.
type trial struct {
	seed    uint64
	verdict map[string]bool // by test: whether go test says that it passed
	results []harness.Result
}

// testName matches the tests of the matrix; the group is the row's number.
var testName = regexp.MustCompile(`^TestF(\d\d)[A-Z]\w*$`)

// number returns the row of a test, or of a subtest; 0 if it is of none.
func number(test string) int {
	name, _, _ := strings.Cut(test, "/")
	m := testName.FindStringSubmatch(name)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

// play runs the tests that match pattern once, with that seed, as often as the matrix
// asks for unless short. It writes the tests' verdicts to progress as they come, and
// the output of those that fail. What go test does not call passed has failed, so that
// a crash of the tests does not pass for a success.
func play(seed uint64, pattern string, short bool, progress io.Writer) (*trial, error) {
	dir, err := os.MkdirTemp("", "router-matrix-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	// Most of a row is waiting, so that more of them at once than cores save time.
	cmd := exec.Command("go", "test", "-tags=partition,clock", "-json", "-count=1", "-timeout=3h", "-parallel=4", "-run", pattern, "./e2e/matrix")
	cmd.Env = append(os.Environ(), fmt.Sprintf("ROUTER_E2E_SEED=%d", seed), "ROUTER_E2E_REPORTS="+dir)
	if !short {
		cmd.Env = append(cmd.Env, "ROUTER_E2E_FULL=1")
	}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start go test: %w", err)
	}
	verdict, err := follow(out, progress)
	ended := cmd.Wait()
	if err != nil {
		return nil, err
	}
	if ended != nil && len(verdict) == 0 {
		return nil, fmt.Errorf("go test ran no test: %w", ended)
	}
	t := &trial{seed: seed, verdict: verdict}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		doc, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		var r harness.Result
		if err := json.Unmarshal(doc, &r); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(name), err)
		}
		t.results = append(t.results, r)
	}
	return t, nil
}

// follow reads the events of go test -json to their end.
func follow(events io.Reader, progress io.Writer) (map[string]bool, error) {
	verdict, output := map[string]bool{}, map[string]*bytes.Buffer{}
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return verdict, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read from go test: %w", err)
		}
		var e struct {
			Action, Test, Output string
			Elapsed              float64
		}
		if json.Unmarshal(line, &e) != nil {
			fmt.Fprintf(progress, "%s", line) // the compiler's words
			continue
		}
		top, _, _ := strings.Cut(e.Test, "/")
		switch {
		case e.Test == "":
			if e.Action == "output" && strings.HasPrefix(e.Output, "panic:") {
				fmt.Fprint(progress, e.Output)
			}
		case e.Action == "run" && e.Test == top:
			verdict[top], output[top] = false, new(bytes.Buffer)
		case e.Action == "output" && output[top] != nil:
			output[top].WriteString(e.Output)
		case (e.Action == "pass" || e.Action == "fail" || e.Action == "skip") && e.Test == top:
			verdict[top] = e.Action == "pass"
			fmt.Fprintf(progress, "  %s %s %s\n", e.Action, top, time.Duration(e.Elapsed*float64(time.Second)).Round(time.Second))
			if e.Action == "fail" {
				_, _ = output[top].WriteTo(progress)
			}
			delete(output, top)
		}
	}
}
