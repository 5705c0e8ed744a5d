// Command goguest is a filter in Go of the size that real ones have.
package main

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"
)

type document struct {
	Route  string            `json:"route"`
	Fields map[string]string `json:"fields"`
	Sizes  []float64         `json:"sizes"`
}

// decode parses a document n times and returns a checksum of what it found.
//
//go:wasmexport decode
func decode(n int32) int64 {
	var sum int64
	for i := range n {
		text := fmt.Sprintf(`{"route":"orders.%d","fields":{"a":"x","b":"%s"},"sizes":[1.5,2e3,%d]}`, i, strings.Repeat("y", int(i)%7), i)
		var d document
		if err := json.Unmarshal([]byte(text), &d); err != nil {
			return -1
		}
		keys := make([]string, 0, len(d.Fields))
		for k, v := range d.Fields {
			keys = append(keys, k+v)
		}
		sort.Strings(keys)
		for _, c := range strings.Join(keys, ",") + d.Route {
			sum = sum*31 + int64(c)
		}
		sum += int64(d.Sizes[1]) + int64(d.Sizes[2])
	}
	return sum
}

//go:wasmexport spin
func spin() {
	for {
	}
}

//go:wasmexport fail
func fail() { panic("failed on purpose") }

func main() {}
