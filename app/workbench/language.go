package workbench

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Language is one that filters are written in.
type Language struct {
	Name   string // as --lang has it
	Title  string
	suffix string // of its source files
	sdk    string // directory below sdk in filters.Sources
	build  func(*builder) error
}

// Languages are all of them, in the order in which help lists them.
func Languages() []Language {
	return []Language{
		{"c", "C", ".c", "c", buildC},
		{"go", "Go", ".go", "go", buildGo},
		{"rust", "Rust", ".rs", "rust", buildRust},
		{"as", "AssemblyScript", ".ts", "assemblyscript", buildAS},
		{"wat", "WebAssembly text", ".wat", "wat", buildWAT},
	}
}

// LanguageNames are the names that --lang may have.
func LanguageNames() []string {
	var names []string
	for _, l := range Languages() {
		names = append(names, l.Name)
	}
	return names
}

func languageNamed(name string) (Language, error) {
	for _, l := range Languages() {
		if l.Name == name {
			return l, nil
		}
	}
	if name == "" {
		return Language{}, fmt.Errorf("--lang is missing: it is one of %s", strings.Join(LanguageNames(), ", "))
	}
	return Language{}, fmt.Errorf("--lang %q: it is one of %s", name, strings.Join(LanguageNames(), ", "))
}

// detect finds the language of a project by the files of its directory, and
// returns its source files, sorted.
func detect(dir string) (Language, []string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return Language{}, nil, fmt.Errorf("%s: %w", dir, reason(err))
	}
	var found []Language
	var sources []string
	for _, l := range Languages() {
		n := len(sources)
		for _, e := range entries {
			name := e.Name()
			if !e.IsDir() && filepath.Ext(name) == l.suffix && !strings.HasSuffix(name, ".d.ts") && !strings.HasSuffix(name, "_test.go") {
				sources = append(sources, name)
			}
		}
		if len(sources) > n {
			found = append(found, l)
		}
	}
	switch len(found) {
	case 0:
		return Language{}, nil, fmt.Errorf("%s has no source: a file that ends in .c, .go, .rs, .ts or .wat", dir)
	case 1:
		return found[0], slices.Sorted(slices.Values(sources)), nil
	}
	return Language{}, nil, fmt.Errorf("%s has sources in %s and %s; a project has one language", dir, found[0].Title, found[1].Title)
}

// only returns the one source file of a language that is built from one.
func only(l Language, sources []string) (string, error) {
	if len(sources) == 1 {
		return sources[0], nil
	}
	main := "filter" + l.suffix
	if slices.Contains(sources, main) {
		return main, nil
	}
	return "", fmt.Errorf("%s: which of these is the filter? Call it %s; the others belong in a directory", strings.Join(sources, ", "), main)
}
