package workbench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// missing says how to get a compiler that is not there.
func missing(what, debian, elsewhere string) error {
	return fmt.Errorf("%s: on Debian and Ubuntu `%s`; elsewhere %s", what, debian, elsewhere)
}

// tool finds a program: what an environment variable names, or in PATH.
func tool(variable, name string) (string, bool) {
	if given := os.Getenv(variable); given != "" {
		name = given
	}
	path, err := exec.LookPath(name)
	return path, err == nil || errors.Is(err, exec.ErrDot)
}

const llvm = "take LLVM 14 or later with its linker lld from your package manager (Homebrew: `brew install llvm lld`, and put their bin directories first in PATH) or from https://releases.llvm.org"

// buildC compiles and links in two steps: a one-step link runs whatever wasm-opt
// is in PATH. The stack comes first in memory, so that running over it traps
// instead of writing into data.
func buildC(b *builder) error {
	clang, ok := tool("CLANG", "clang")
	if !ok {
		return missing("C needs clang, which is not in PATH", "apt install clang lld", llvm)
	}
	ld, ok := tool("WASM_LD", "wasm-ld")
	if !ok {
		return missing("C needs the linker wasm-ld, which is not in PATH", "apt install lld", llvm)
	}
	link := []string{"--no-entry", "--strip-all", "--stack-first", "-z", "stack-size=32768", "-o", b.out}
	for i, source := range b.sources {
		object := filepath.Join(b.tmp, strconv.Itoa(i)+".o")
		err := b.run(nil, clang, "--target=wasm32", "-std=c11", "-O2", "-mbulk-memory", "-msign-ext", "-mnontrapping-fptoint",
			"-ffreestanding", "-fno-ident", "-Wall", "-Wextra", "-I", "sdk", "-c", source, "-o", object)
		if says(err, "unable to create target", "No available targets", "unknown target triple") {
			return missing("this clang cannot compile to WebAssembly (Apple's cannot)", "apt install clang lld", llvm)
		}
		if err != nil {
			return err
		}
		link = append(link, object)
	}
	return b.run(nil, ld, link...)
}

const golang = "on Debian 13, Ubuntu 25.04 and later `apt install golang-go`; elsewhere take it from https://go.dev/dl"

func buildGo(b *builder) error {
	compiler, ok := tool("GO", "go")
	if !ok {
		return fmt.Errorf("Go 1.24 or later is needed, and there is no go in PATH: %s", golang)
	}
	env := []string{"GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOTOOLCHAIN=local", "GOFLAGS=", "GOWASM=", "GOWORK=off"}
	err := b.run(env, compiler, "build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", b.out, ".")
	if says(err, "-buildmode=c-shared not supported", "requires go >=", "invalid go version") {
		return fmt.Errorf("this Go is too old; 1.24 or later is needed: %s", golang)
	}
	return err
}

const wasmTarget = "wasm32-unknown-unknown"

// buildRust compiles the SDK as a crate and then the filter. Left alone, rustc
// gives each instance a stack of 1 MiB.
func buildRust(b *builder) error {
	source, err := only(b.language, b.sources)
	if err != nil {
		return err
	}
	rustc, err := findRust(b)
	if err != nil {
		return err
	}
	common := []string{"--edition", "2021", "--target", wasmTarget, "-O", "-C", "panic=abort", "-C", "target-feature=+bulk-memory"}
	sdk := filepath.Join(b.tmp, "librouter_filter.rlib")
	err = b.run(nil, rustc, append(common, "--crate-type", "rlib", "--crate-name", "router_filter", "-o", sdk, filepath.Join("sdk", "src", "lib.rs"))...)
	if err != nil {
		return err
	}
	return b.run(nil, rustc, append(common, "--crate-type", "cdylib", "--crate-name", "filter", "-C", "lto=fat", "-C", "strip=symbols",
		"-C", "link-arg=-zstack-size=65536", "--extern", "router_filter="+sdk, "-o", b.out, source)...)
}

// findRust finds a compiler that has the standard library for WebAssembly: a
// machine may have several, and the first in PATH need not be the one.
func findRust(b *builder) (string, error) {
	const debian, elsewhere = "apt install rustc libstd-rust-dev-wasm32", "`rustup target add " + wasmTarget + "` (https://rustup.rs)"
	candidates := []string{"rustc", "/usr/bin/rustc"}
	if given := os.Getenv("RUSTC"); given != "" {
		candidates = []string{given}
	}
	found := ""
	for _, name := range candidates {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		out, err := exec.CommandContext(b.ctx, path, "--print", "target-libdir", "--target", wasmTarget).Output()
		if err == nil {
			if cores, _ := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "libcore-*")); len(cores) > 0 {
				return path, nil
			}
		}
		found = path
	}
	if found != "" {
		return "", missing(found+" has no standard library for "+wasmTarget, debian, elsewhere)
	}
	return "", missing("Rust needs rustc 1.63 or later, which is not in PATH", debian, elsewhere)
}

func buildAS(b *builder) error {
	source, err := only(b.language, b.sources)
	if err != nil {
		return err
	}
	asc, ok := "", false
	for dir := b.dir; !ok && os.Getenv("ASC") == ""; dir = filepath.Join(dir, "..") {
		if asc, err = filepath.Abs(filepath.Join(dir, "node_modules", ".bin", "asc")); err != nil {
			return err
		}
		_, err := os.Stat(asc)
		ok = err == nil
		if abs, err := filepath.Abs(dir); err != nil || abs == filepath.Dir(abs) {
			break
		}
	}
	if !ok {
		asc, ok = tool("ASC", "asc")
	}
	if !ok {
		return missing("AssemblyScript needs asc, which is neither in node_modules/.bin nor in PATH", "apt install nodejs npm && npm install --global assemblyscript@0.27.37", "install Node.js 18 or later (https://nodejs.org), then the same npm command")
	}
	return b.run(nil, asc, source, "--outFile", b.out, "-O3", "--runtime", "incremental", "--exportStart", "_initialize")
}

// marker is the line of a WAT source that the SDK takes the place of.
const marker = ";; ROUTER SDK"

// buildWAT puts the SDK into the source; the text format has no includes.
func buildWAT(b *builder) error {
	source, err := only(b.language, b.sources)
	if err != nil {
		return err
	}
	wat2wasm, ok := tool("WAT2WASM", "wat2wasm")
	if !ok {
		return missing("WebAssembly text needs wat2wasm, which is not in PATH", "apt install wabt", "take WABT from your package manager (Homebrew: `brew install wabt`) or from https://github.com/WebAssembly/wabt/releases")
	}
	text, err := os.ReadFile(filepath.Join(b.dir, source))
	if err != nil {
		return fmt.Errorf("%s: %w", source, reason(err))
	}
	sdkFile := filepath.Join("sdk", "router.wat")
	sdk, err := os.ReadFile(filepath.Join(b.dir, sdkFile))
	if err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("%s: %w", sdkFile, reason(err))
	}
	whole, place := include(text, sdk)
	file := filepath.Join(b.tmp, source)
	if err := os.WriteFile(file, whole, 0o600); err != nil {
		return err
	}
	b.filter = func(line string) string {
		return position(line, file, func(n int) (string, int) {
			switch length := bytes.Count(sdk, []byte("\n")); {
			case place == 0 || n < place:
				return source, n
			case n < place+length:
				return sdkFile, n - place + 1
			default:
				return source, n - length + 1
			}
		})
	}
	return b.run(nil, wat2wasm, "-o", b.out, file)
}

// include replaces the first marker line of a text and returns its number, from
// 1; 0 when there is none.
func include(text, sdk []byte) (whole []byte, line int) {
	if len(sdk) > 0 && sdk[len(sdk)-1] != '\n' {
		sdk = append(sdk, '\n')
	}
	n := 0
	for l := range bytes.Lines(text) {
		n++
		if line == 0 && string(bytes.TrimSpace(l)) == marker {
			line = n
			whole = append(whole, sdk...)
			continue
		}
		whole = append(whole, l...)
	}
	return whole, line
}

var linePattern = regexp.MustCompile(`^:(\d+):`)

// position rewrites FILE:LINE: at the start of a message about a file that was
// put together.
func position(message, file string, origin func(line int) (string, int)) string {
	rest, ok := strings.CutPrefix(message, file)
	if !ok {
		return message
	}
	m := linePattern.FindStringSubmatch(rest)
	if m == nil {
		return message
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return message
	}
	source, line := origin(n)
	return fmt.Sprintf("%s:%d:%s", source, line, rest[len(m[0]):])
}
