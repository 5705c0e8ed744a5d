package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A trial is one defence taken out, and what its test made of that.
type trial struct {
	claim string
	defence
	caught bool
	says   string // the first complaint of the test
	err    error  // why it could not be tried
}

func (t trial) String() string { return fmt.Sprintf("%s: %s (%s …)", t.test, t.what, t.claim) }

// trials runs tests of the module at root and keeps binaries in dir.
type trials struct {
	root, dir string
	jobs      int

	mu   sync.Mutex               // protects took
	took map[string]time.Duration // by each test with all defences, by package and name
}

// soundLimit bounds the tests of one package with all defences.
const soundLimit = 10 * time.Minute

// limit is how long a test may take without a defence: what it hangs for is caught.
func (ts *trials) limit(test string) time.Duration {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return 20*time.Second + 5*ts.took[test]
}

var passed = regexp.MustCompile(`(?m)^--- PASS: (\w+) \(([0-9.]+s)\)$`)

// sound runs the tests with all defences in place. An error names those that fail.
func (ts *trials) sound(ctx context.Context, chosen []trial) error {
	names := map[string][]string{}
	for _, t := range chosen {
		pkg, name, _ := strings.Cut(t.test, " ")
		if !slices.Contains(names[pkg], name) {
			names[pkg] = append(names[pkg], name)
		}
	}
	var errs []error
	pkgs := slices.Sorted(maps.Keys(names))
	ts.each(len(pkgs), func(i int) {
		pkg := pkgs[i]
		out, err := ts.test(ctx, "sound-"+strconv.Itoa(i), pkg, "^("+strings.Join(names[pkg], "|")+")$", soundLimit, nil)
		ts.mu.Lock()
		defer ts.mu.Unlock()
		for _, m := range passed.FindAllStringSubmatch(out, -1) {
			ts.took[pkg+" "+m[1]], _ = time.ParseDuration(m[2])
		}
		for _, name := range names[pkg] {
			if _, ran := ts.took[pkg+" "+name]; err == nil && !ran {
				err = fmt.Errorf("%s was not run", name)
			}
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s, with its defences: %w\n%s", pkg, err, excerpt(out)))
		}
	})
	return errors.Join(errs...)
}

// taken tries the defences and delivers each trial when it is over.
func (ts *trials) taken(ctx context.Context, chosen []trial) <-chan trial {
	done := make(chan trial)
	go func() {
		defer close(done)
		ts.each(len(chosen), func(i int) { done <- ts.try(ctx, strconv.Itoa(i), chosen[i]) })
	}()
	return done
}

// each calls do for the numbers below n, as many at the same time as there are jobs.
func (ts *trials) each(n int, do func(i int)) {
	var wg sync.WaitGroup
	places := make(chan struct{}, ts.jobs)
	for i := range n {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			do(i)
		})
	}
	wg.Wait()
}

func (ts *trials) try(ctx context.Context, id string, t trial) trial {
	pkg, name, _ := strings.Cut(t.test, " ")
	out, err := ts.test(ctx, id, pkg, "^"+name+"$", ts.limit(t.test), t.edits)
	var failed *exec.ExitError
	switch {
	case err == nil:
	case ctx.Err() == nil && errors.As(err, &failed) && strings.Contains(out, "=== RUN   "+name+"\n"):
		t.caught, t.says = true, complaint(out)
	default:
		t.err = fmt.Errorf("%w\n%s", err, excerpt(out))
	}
	return t
}

// test builds the tests of a package with some files changed and runs those that match the
// pattern. What the tests build themselves has the same changes.
func (ts *trials) test(ctx context.Context, id, pkg, pattern string, limit time.Duration, edits []edit) (output string, err error) {
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	dir := filepath.Join(ts.dir, id)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	texts, err := ts.changed(edits)
	if err != nil {
		return "", err
	}
	overlay, err := ts.overlay(dir, texts)
	if err != nil {
		return "", err
	}
	home, err := ts.home(ctx, dir, texts)
	if err != nil {
		return "", err
	}
	env := append(os.Environ(), "GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" -overlay="+overlay))
	binary := filepath.Join(dir, "tests")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-o", binary, "./"+pkg)
	build.Dir, build.Env = ts.root, env
	if out, err := build.CombinedOutput(); err != nil {
		return string(out), fmt.Errorf("build the tests: %w", err)
	}
	cmd := exec.CommandContext(ctx, binary, "-test.v", "-test.run", pattern, "-test.timeout", limit.String())
	cmd.Dir, cmd.Env = filepath.Join(home, pkg), env
	cmd.WaitDelay = 10 * time.Second // for what the test has left behind
	out, err := cmd.CombinedOutput()
	return "\n" + string(out), err
}

// changed returns the text of each file that edits change.
func (ts *trials) changed(edits []edit) (map[string]string, error) {
	texts := map[string]string{}
	for _, e := range edits {
		text, there := texts[e.file]
		if !there {
			source, err := os.ReadFile(filepath.Join(ts.root, e.file))
			if err != nil {
				return nil, err
			}
			text = string(source)
		}
		if n := strings.Count(text, e.old); n != 1 {
			return nil, fmt.Errorf("%s holds the text that is to be taken out %d times, want it once; write the defence anew:\n%s", e.file, n, e.old)
		}
		texts[e.file] = strings.Replace(text, e.old, e.new, 1)
	}
	return texts, nil
}

// overlay writes the changed files to dir, and the list of them that the go command reads.
func (ts *trials) overlay(dir string, texts map[string]string) (path string, err error) {
	list := struct{ Replace map[string]string }{map[string]string{}}
	for file, text := range texts {
		changed := filepath.Join(dir, strings.ReplaceAll(file, "/", "-"))
		list.Replace[filepath.Join(ts.root, file)] = changed
		if err := os.WriteFile(changed, []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	doc, err := json.Marshal(list)
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, doc, 0o600)
}

// home returns the root below which a test runs. What the go command does not read is
// changed in a copy of the tree.
func (ts *trials) home(ctx context.Context, dir string, texts map[string]string) (string, error) {
	others := maps.Clone(texts)
	maps.DeleteFunc(others, func(file, _ string) bool { return slices.Contains([]string{".go", ".wasm"}, filepath.Ext(file)) })
	if len(others) == 0 {
		return ts.root, nil
	}
	list := exec.CommandContext(ctx, "git", "ls-files", "-z")
	list.Dir = ts.root
	names, err := list.Output()
	if err != nil {
		return "", fmt.Errorf("git ls-files: %w", err)
	}
	home := filepath.Join(dir, "tree")
	for _, name := range strings.FieldsFunc(string(names), func(r rune) bool { return r == 0 }) {
		from, to := filepath.Join(ts.root, name), filepath.Join(home, name)
		info, err := os.Lstat(from)
		if err != nil {
			return "", err
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return "", err
		}
		if info.Mode()&os.ModeSymlink != 0 { // to another file of the tree
			target, err := os.Readlink(from)
			if err := errors.Join(err, os.Symlink(target, to)); err != nil {
				return "", err
			}
			continue
		}
		text, err := os.ReadFile(from)
		if err != nil {
			return "", err
		}
		if changed, ok := others[name]; ok {
			text = []byte(changed)
		}
		if err := os.WriteFile(to, text, info.Mode()); err != nil {
			return "", err
		}
	}
	return home, nil
}

var failures = regexp.MustCompile(`^\s*--- FAIL|_test\.go:\d+: |^(panic|fatal error): |\.go:\d+:\d+: `)

// excerpt returns the lines of an output that tell why something failed.
func excerpt(out string) string {
	var lines []string
	for line := range strings.Lines(out) {
		if len(lines) < 20 && failures.MatchString(line) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

var complaints = regexp.MustCompile(`(?m)^\s*\w+_test\.go:\d+: .*$|^(panic|fatal error): .*$|^\s+\w+\.go:\d+: .*$`)

// complaint picks the line of a test's output that says what is wrong.
func complaint(out string) string {
	line := []rune(strings.TrimSpace(complaints.FindString(out)))
	return string(line[:min(len(line), 120)])
}
