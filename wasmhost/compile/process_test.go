package compile

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// programs run in place of a compiler, or of the router.
var programs = map[string]func(args []string){
	// say writes the first text to stdout, the second to stderr, and ends with
	// the code.
	"say": func(args []string) {
		fmt.Fprint(os.Stdout, args[0])
		fmt.Fprint(os.Stderr, args[1])
		code, _ := strconv.Atoi(args[2])
		os.Exit(code)
	},
	"panic": func([]string) { panic("no\x1b[31m good") },
	// eat takes memory until it cannot.
	"eat": func([]string) {
		if err := confine(32<<20, 60); err != nil {
			panic(err)
		}
		for kept := [][]byte{}; ; {
			kept = append(kept, bytes.Repeat([]byte{1}, 1<<20))
		}
	},
	// spin works until its processor time is up, and longer than there is a
	// signal of it.
	"spin": func([]string) {
		up := processorTime()
		if err := confine(32<<20, 1); err != nil {
			panic(err)
		}
		go func() {
			<-up
			fmt.Fprintln(os.Stdout, "up")
		}()
		for {
			_ = time.Now()
		}
	},
	// confined prints what it may do.
	"confined": func([]string) {
		_, had, err := mapped() // much, under the race detector
		if err != nil {
			panic(err)
		}
		if err := confine(32<<20, 7); err != nil {
			panic(err)
		}
		s := confinement()
		s.Had = had
		if err := json.NewEncoder(os.Stdout).Encode(s); err != nil {
			panic(err)
		}
	},
	// load loads a bomb from the directory, as a router would.
	"load": func(args []string) {
		command, err := Self()
		if err != nil {
			panic(err)
		}
		s, err := New(Config{Dir: args[0], Compiler: command})
		if err != nil {
			panic(err)
		}
		panic(s.Load(context.Background(), bomb(slow), plenty, func(string) error { return nil }))
	},
}

// state is what confine changes.
type state struct {
	Had             uint64 // bytes of data that were mapped before
	Data, CPU, Core uint64
	Nice            []int
	OOM             string
	Files           []string
	Environment     []string
}

func confinement() state {
	s := state{Environment: os.Environ()}
	for what, to := range map[int]*uint64{unix.RLIMIT_DATA: &s.Data, unix.RLIMIT_CPU: &s.CPU, unix.RLIMIT_CORE: &s.Core} {
		var l unix.Rlimit
		if err := unix.Getrlimit(what, &l); err != nil {
			panic(err)
		}
		*to = l.Max
	}
	tasks, err := filepath.Glob("/proc/self/task/*")
	if err != nil {
		panic(err)
	}
	for _, t := range tasks {
		id, _ := strconv.Atoi(filepath.Base(t))
		kernel, err := unix.Getpriority(unix.PRIO_PROCESS, id)
		if err != nil {
			panic(err)
		}
		s.Nice = append(s.Nice, 20-kernel)
	}
	score, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		panic(err)
	}
	s.OOM = strings.TrimSpace(string(score))
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		panic(err)
	}
	for _, l := range links {
		target, err := os.Readlink(l)
		if err == nil && !strings.HasPrefix(target, "anon_inode:") {
			kind, _, _ := strings.Cut(target, ":")
			s.Files = append(s.Files, kind)
		}
	}
	return s
}

func TestChildIsConfined(t *testing.T) {
	secret, err := os.Open("main_test.go")
	if err != nil {
		t.Fatal(err)
	}
	defer secret.Close()
	var out, in bytes.Buffer
	command := start(t, "confined")
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env, cmd.SysProcAttr = environment(), attributes()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = &in, &out, new(head)
	cmd.ExtraFiles = []*os.File{secret} // what the parent inherited is passed on like this
	if err := cmd.Run(); err != nil {
		t.Fatal(err, cmd.Stderr)
	}
	var have state
	if err := json.Unmarshal(out.Bytes(), &have); err != nil {
		t.Fatal(err)
	}
	if more := int64(have.Data - have.Had); more < 32<<20 || more > 256<<20 {
		t.Errorf("RLIMIT_DATA is %d, with %d in use", have.Data, have.Had)
	}
	kernel, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, nice := range have.Nice {
		if want := min(19, 20-kernel+lower); nice != want {
			t.Errorf("a thread has priority %d, want %d", nice, want)
		}
	}
	have.Had, have.Data, have.Nice = 0, 0, nil
	want := state{CPU: 8, OOM: "1000", Files: []string{"pipe", "pipe", "pipe"}, Environment: environment()}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Error(diff)
	}
	for _, v := range environment() {
		if name, _, _ := strings.Cut(v, "="); !strings.HasPrefix(name, "GO") {
			t.Errorf("a compiler inherits %s", name)
		}
	}
}

func TestEndsOfAChild(t *testing.T) {
	for _, c := range []struct {
		name   string
		text   string
		module bool // its fault
		run    []string
	}{
		{"killed", "ran out of memory; give it more", false, []string{"/bin/sh", "-c", "kill -s KILL $$"}},
		{"processor time", "longer than limits.compile_time (1m0s); raise it", true, []string{"/bin/sh", "-c", "kill -s XCPU $$"}},
		{"Go's panic", "crashed: panic: no", true, start(t, "panic")},
		{"memory", "more than limits.compile_memory (512 MiB); raise it", true, start(t, "eat")},
		{"Go's memory", "more than limits.compile_memory", true, start(t, "say", "", "fatal error: out of memory\n\nstack\n", "2")},
		{"another crash", "crashed: the end;", true, start(t, "say", "", "something\nthe end\n\n", "3")},
		{"nothing said", "crashed: exit status 3;", true, start(t, "say", "", "", "3")},
		{"no compiler", `answers "hello": the command that is to be started is none`, false, start(t, "say", "hello", "", "0")},
		{"no answer", `answers ""`, false, start(t, "say", "", "", "0")},
		{"no program", "cannot be started", false, []string{"/there/is/none"}},
		{"refused", "functions with no end", true, start(t, "say", `module "functions with no end"`, "", "0")},
		{"environment", "GOTRACEBACK=none", false, []string{"/bin/sh", "-c", `echo "other \"$(env -u PWD -u OLDPWD -u SHLVL -u _ | tr '\n' ' ')\""`}},
		{"its processor time", "limits.compile_time", true, start(t, "say", `time ""`, "", "0")},
		{"other", "impossible", false, start(t, "say", `other "impossible"`, "", "0")},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, logs := open(t, Config{Dir: t.TempDir(), Compiler: c.run})
			err := s.Load(t.Context(), module(1), plenty, func(string) error { t.Error("there is nothing to use"); return nil })
			if err == nil || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, want %q on a line", err, c.text)
			}
			if strings.Contains(fmt.Sprint(err), "HOME=") || strings.Contains(fmt.Sprint(err), "PATH=") {
				t.Errorf("a compiler inherits more than it needs: %v", err)
			}
			var fault *ModuleError
			if errors.As(err, &fault) != c.module {
				t.Errorf("the module's fault: %v, want %v", !c.module, c.module)
			}
			if left := entries(t, s); len(left) > 0 {
				t.Errorf("left %v", left)
			}
			if lines := logs.lines(); len(lines) > 0 {
				t.Errorf("logged %v", lines)
			}
		})
	}
}

func TestProcessorTime(t *testing.T) {
	command := start(t, "spin")
	cmd := exec.Command(command[0], command[1:]...)
	out, err := cmd.Output()
	if !killed(cmd.ProcessState) || string(out) != "up\n" {
		t.Errorf("%q, %v; want a word, and the end by force", out, err)
	}
}

// peak returns the most memory, in bytes, that this process ever had.
func peak(t *testing.T) int {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return int(u.Maxrss) << 10
}

func TestBombs(t *testing.T) {
	many := []byte("\x00asm\x01\x00\x00\x00") // functions: a forged count, which ends a process
	many = append(many, section(3, 0xff, 0xff, 0xff, 0xff, 0x0f)...)
	s, _ := open(t, Config{Dir: t.TempDir()})
	for _, c := range []struct {
		name   string
		module []byte
		limits Limits
		text   string
	}{
		{"memory", bomb(greedy), Limits{time.Minute, 48 << 20}, "compile_memory (48 MiB)"},
		{"time", bomb(slow), Limits{300 * time.Millisecond, 4 << 30}, "compile_time (300ms)"},
		{"count", many, Limits{time.Minute, 48 << 20}, "compile_memory (48 MiB)"},
		{"larger than the memory", make([]byte, 33<<20), Limits{time.Minute, 32 << 20}, "compile_memory (32 MiB)"},
		{"nonsense", []byte("hello"), plenty, "invalid magic number"},
	} {
		t.Run(c.name, func(t *testing.T) {
			runtime.GC()
			before := peak(t)
			err := s.Load(t.Context(), c.module, c.limits, func(string) error { t.Error("it compiled"); return nil })
			var fault *ModuleError
			if !errors.As(err, &fault) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%v, want %q", err, c.text)
			}
			if grown := peak(t) - before; grown > 64<<20 {
				t.Errorf("this process grew by %d MiB", grown>>20)
			}
		})
	}
	if err := run(t, s, module(1)); err != nil {
		t.Errorf("after the bombs: %v", err)
	}
	if left := entries(t, s); len(left) != 1 {
		t.Errorf("left %v", left)
	}
}

// compilers returns the ids of the processes that a process has started as
// compilers.
func compilers(t *testing.T, parent int) (ids []int) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range all {
		stat, _ := os.ReadFile(filepath.Join(dir, "stat"))
		line, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		_, rest, _ := strings.Cut(string(stat), ") ")
		fields := strings.Fields(rest)
		if len(fields) > 1 && fields[1] == strconv.Itoa(parent) && bytes.Contains(line, []byte("\x00"+verb+"\x00")) {
			id, _ := strconv.Atoi(filepath.Base(dir))
			ids = append(ids, id)
		}
	}
	return ids
}

// await polls until done says yes.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); !done(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("waited a minute for %s", what)
		}
	}
}

// compiling loads a bomb, and returns its compiler and where the error comes.
func compiling(ctx context.Context, t *testing.T, s *Store) (id int, end chan error) {
	t.Helper()
	end = make(chan error, 1)
	go func() { end <- s.Load(ctx, bomb(slow), plenty, func(string) error { return nil }) }()
	await(t, "a compiler", func() bool {
		ids := compilers(t, os.Getpid())
		if len(ids) == 1 {
			id = ids[0]
		}
		return id != 0
	})
	return id, end
}

func alive(id int) bool {
	_, err := os.Stat("/proc/" + strconv.Itoa(id))
	return err == nil
}

func TestKilledFromOutside(t *testing.T) {
	s, _ := open(t, Config{Dir: t.TempDir()})
	id, end := compiling(t.Context(), t, s)
	if err := syscall.Kill(id, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := <-end; err == nil || !strings.Contains(err.Error(), "was killed") {
		t.Error(err)
	}
	if left := entries(t, s); len(left) > 0 || alive(id) {
		t.Errorf("left %v, the process: %v", left, alive(id))
	}
}

func TestCancelled(t *testing.T) {
	s, _ := open(t, Config{Dir: t.TempDir()})
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	id, end := compiling(ctx, t, s)

	// One that waits for the same module, and one that waits for a place.
	for range cap(s.slots) - 1 {
		s.slots <- struct{}{}
	}
	waits, stop := context.WithCancelCause(t.Context())
	stop(cause)
	for _, m := range [][]byte{bomb(slow), module(1)} {
		if err := s.Load(waits, m, plenty, func(string) error { return nil }); !errors.Is(err, cause) {
			t.Error(err)
		}
	}

	cancel(cause)
	if err := <-end; !errors.Is(err, cause) {
		t.Error(err)
	}
	if left := entries(t, s); len(left) > 0 || alive(id) {
		t.Errorf("left %v, the process: %v", left, alive(id))
	}
}

func TestParentDies(t *testing.T) {
	dir := t.TempDir()
	command := start(t, "load", dir)
	parent := exec.Command(command[0], command[1:]...)
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var ids []int
	await(t, "a compiler", func() bool { ids = compilers(t, parent.Process.Pid); return len(ids) == 1 })
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	await(t, "the compiler's end", func() bool { return !alive(ids[0]) })

	left := filepath.Join(dir, versionName(), tmpPrefix+"*")
	if found, err := filepath.Glob(left); err != nil || len(found) != 1 {
		t.Fatalf("%v, %v: want what a dead process leaves", found, err)
	}
	open(t, Config{Dir: dir})
	if found, err := filepath.Glob(left); err != nil || len(found) > 0 {
		t.Errorf("%v is left, %v", found, err)
	}
}

func TestChildArguments(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"filters-1-old", "1000", "1"}, "restart the router"},
		{[]string{versionName(), "much", "1"}, "other"},
		{[]string{versionName(), "1000", "-1"}, "other"},
	} {
		var out bytes.Buffer
		if err := child(new(bytes.Buffer), &out, c.args); err != nil || !strings.Contains(out.String(), c.want) {
			t.Errorf("%v: %q, %v", c.args, &out, err)
		}
	}
	if err := child(new(bytes.Buffer), new(bytes.Buffer), nil); err == nil {
		t.Error("a compiler without arguments runs")
	}
}

func TestWatchMemory(t *testing.T) {
	full := make(chan struct{})
	watchMemory(64<<20, func() { close(full) })
	var kept [][]byte
	for {
		select {
		case <-full:
			if len(kept) < 16 {
				t.Errorf("full after %d MiB", len(kept))
			}
			runtime.KeepAlive(kept)
			return
		default:
			if len(kept) < 256 {
				kept = append(kept, bytes.Repeat([]byte{1}, 1<<20))
			}
		}
	}
}

func TestSelfNeedsMain(t *testing.T) {
	called.Store(false)
	defer called.Store(true)
	if command, err := Self(); err == nil || !strings.Contains(err.Error(), "compile.Main") {
		t.Errorf("%v, %v", command, err)
	}
}

// FuzzVerdict reads any answer of a child: only a proper one says that the code is
// there, and all others are errors that say something.
func FuzzVerdict(f *testing.F) {
	for _, kind := range []string{replyDone, replyModule, replyMemory, replyTime, replyStore, replyOther, "usage:", ""} {
		f.Add(kind, "no \"such\"\nfile", true)
		f.Add(kind, "", false)
	}
	f.Fuzz(func(t *testing.T, kind, text string, quoted bool) {
		answer := kind + " " + text
		if quoted {
			answer = kind + " " + strconv.Quote(text) + "\n"
		}
		err := verdict("/nowhere", answer, Limits{})
		if err == nil && !strings.HasPrefix(answer, replyDone+" ") {
			t.Errorf("%q passes", answer)
		}
		if quoted && kind == replyDone && err != nil {
			t.Errorf("%q: %v", answer, err)
		}
		if quoted && kind == replyModule && (err == nil || err.Error() != (&ModuleError{text}).Error()) {
			t.Errorf("%q: %v", answer, err)
		}
		if kind == "usage:" && (err == nil || !strings.Contains(err.Error(), "usage:")) {
			t.Errorf("%q: %v", answer, err)
		}
	})
}
