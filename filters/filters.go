// Package filters holds the filter modules that come with the router.
//
// Their sources, their golden cases and the SDKs that filter authors use lie
// in the directories beside this file. The modules are built by build.sh.
package filters

import (
	"embed"
	"io/fs"
	"slices"
	"strings"
)

//go:embed stock/*/*.wasm stock/*/*.json stock/*/README.md demo/*/*.wasm
var modules embed.FS

//go:embed sdk template
var sources embed.FS

// Sources holds what new filters are made of: the SDKs below sdk/, the templates
// below template/, whose README.md fixes their layout.
func Sources() fs.FS { return sources }

const demo = "demo:"

// Lookup returns the WebAssembly module of a stock filter, and whether there
// is one: "content-router" is what router.toml names "stock:content-router".
// The misbehaving filters of router demo have names that begin with "demo:",
// for example "demo:loop".
func Lookup(name string) ([]byte, bool) {
	dir := "stock/"
	if base, ok := strings.CutPrefix(name, demo); ok {
		dir, name = "demo/", base
	}
	module, err := modules.ReadFile(dir + name + "/" + name + ".wasm")
	return module, err == nil
}

// Schema returns the JSON Schema of a stock filter's configuration, and whether
// it has one.
func Schema(name string) ([]byte, bool) {
	schema, err := modules.ReadFile("stock/" + name + "/config.schema.json")
	return schema, err == nil
}

// README returns the manual of a stock filter, in Markdown, and whether there is
// such a filter.
func README(name string) ([]byte, bool) {
	text, err := modules.ReadFile("stock/" + name + "/README.md")
	return text, err == nil
}

// List returns the names that Lookup knows, sorted.
func List() []string {
	var names []string
	for dir, prefix := range map[string]string{"stock": "", "demo": demo} {
		entries, err := modules.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			names = append(names, prefix+e.Name())
		}
	}
	slices.Sort(names)
	return names
}
