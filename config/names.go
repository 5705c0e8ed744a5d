package config

import (
	"maps"
	"os"
	"slices"

	"github.com/BurntSushi/toml"
)

// Names are what a configuration file has tables for, sorted.
type Names struct{ Exchanges, Queues, Filters, Routes []string }

// ReadNames reads the names in a file without reading what it interpolates, and
// whether or not the rest of it is right: for completion on a command line.
func ReadNames(path string) (Names, error) {
	file, err := os.Open(path)
	if err != nil {
		return Names{}, err
	}
	defer file.Close()
	var f struct {
		Exchanges, Queues, Filters, Routes map[string]any
	}
	if _, err := toml.NewDecoder(file).Decode(&f); err != nil {
		return Names{}, err
	}
	sorted := func(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }
	return Names{sorted(f.Exchanges), sorted(f.Queues), sorted(f.Filters), sorted(f.Routes)}, nil
}
