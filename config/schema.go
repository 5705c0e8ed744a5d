package config

import (
	_ "embed"
	"slices"
)

//go:embed router.schema.json
var schema []byte

// Schema returns the JSON Schema of router.toml, for editors. It knows types,
// names and bounds of single keys; what depends on several keys only [Load]
// judges.
func Schema() []byte { return slices.Clone(schema) }
