// Command gen writes the files that are made from the code: router.schema.json,
// beside router.toml and in package config, which embeds it, docs/CONFIG.md and
// docs/METRICS.md. Run it in the repository's root: go run ./internal/gen
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if err := run("."); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// run writes every generated file below root that is not current.
func run(root string) error {
	files, err := generate(root)
	if err != nil {
		return err
	}
	for name, data := range files {
		path := filepath.Join(root, name)
		if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, data) {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// generate returns the content of every generated file by its path below root,
// where the sources are.
func generate(root string) (map[string][]byte, error) {
	comments, err := comments(root)
	if err != nil {
		return nil, err
	}
	tables := model(comments)
	schema, err := schema(comments, tables)
	if err != nil {
		return nil, err
	}
	metrics, err := metrics()
	if err != nil {
		return nil, err
	}
	return map[string][]byte{
		"router.schema.json":        schema,
		"config/router.schema.json": schema,
		"docs/CONFIG.md":            reference(tables),
		"docs/METRICS.md":           metrics,
	}, nil
}
