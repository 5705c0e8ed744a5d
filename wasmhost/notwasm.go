package wasmhost

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// wasmMagic begins every module and component.
const wasmMagic = "\x00asm"

// kinds are what people hand over in place of a module, by how it begins.
var kinds = []struct{ magic, kind, advice string }{
	{"\x7fELF", "a native program (ELF)", buildForWasm},
	{"MZ", "a native program (PE)", buildForWasm},
	{"\xcf\xfa\xed\xfe", "a native program (Mach-O)", buildForWasm},
	{"\xca\xfe\xba\xbe", "a native program (Mach-O) or Java class", buildForWasm},
	{"!<arch>\n", "a library archive", "link it to a module first"},
	{"\x1f\x8b", "compressed with gzip", "unpack it with gunzip"},
	{"\x28\xb5\x2f\xfd", "compressed with zstd", "unpack it with unzstd"},
	{"\xfd7zXZ\x00", "compressed with xz", "unpack it with unxz"},
	{"BZh", "compressed with bzip2", "unpack it with bunzip2"},
	{"PK\x03\x04", "a zip archive", "unpack it"},
	{"version https://git-lfs.github.com/", "a pointer of Git LFS", "fetch the file with `git lfs pull`"},
	{"<", "a web page or XML", "download the file itself"},
}

const buildForWasm = "build it for WebAssembly, for example with `router filter build`"

// notAModule says what a file is that is no WebAssembly at all, and the way out.
// It returns nil for what may be a module.
func notAModule(file []byte) error {
	if bytes.HasPrefix(file, []byte(wasmMagic)) {
		return nil
	}
	kind, advice := "something else", "name the file that the compiler wrote"
	trimmed := bytes.TrimLeft(file, " \t\r\n")
	switch {
	case len(file) == 0:
		kind, advice = "an empty file", "build it again"
	case bytes.HasPrefix(trimmed, []byte("(")) || bytes.HasPrefix(trimmed, []byte(";;")):
		kind, advice = "its text format", "build it with wat2wasm or `router filter build`"
	case utf8.Valid(file[:min(len(file), 256)]) && !bytes.ContainsRune(file[:min(len(file), 256)], 0):
		kind = "text"
	}
	for _, k := range kinds {
		if bytes.HasPrefix(file, []byte(k.magic)) {
			kind, advice = k.kind, k.advice
		}
	}
	return fmt.Errorf("it is not a WebAssembly module but %s; %s", kind, advice)
}
