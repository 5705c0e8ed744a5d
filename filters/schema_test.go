package filters_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/wasmrouter/router/app/workbench"
	"github.com/wasmrouter/router/filters"
)

// beyondSchema are the golden cases with a mistake that only the filter can find:
// it depends on the limits, the grants or on what a text stands for.
var beyondSchema = map[string]bool{
	"rewrite/config-rename-same":              true,
	"rewrite/config-rename-twice":             true,
	"rewrite/config-rename-removed":           true,
	"rewrite/config-rename-not-kept":          true,
	"rewrite/config-many-headers":             true,
	"rewrite/config-many-parts":               true,
	"oslo-router/config-version-range":        true,
	"oslo-router/config-context-keys":         true,
	"content-router/config-many-prefixes":     true,
	"deduplicator/config-long-window":         true,
	"rate-limiter/config-long-window":         true,
	"rate-limiter/config-too-long-window":     true,
	"rate-limiter/config-retry-without-clock": true,
	"hmac/config-secret-bad-base64":           true,
	"hmac/config-sign-which":                  true,
	"hmac/config-sign-unknown":                true,
	"json-schema/config-draft":                true,
	"json-schema/config-id":                   true,
	"json-schema/config-pattern-large":        true,
	"json-schema/config-pattern-reference":    true,
	"json-schema/config-pattern":              true,
	"json-schema/config-ref-circle":           true,
	"json-schema/config-ref-nowhere":          true,
	"json-schema/config-ref-outside":          true,
	"json-schema/config-twice":                true,
	"json-schema/config-typing-error":         true,
	"json-schema/config-unsupported":          true,
}

// A filter's schema accepts the configurations that the filter accepts, and
// refuses those that it refuses.
func TestConfigurationSchemas(t *testing.T) {
	for _, name := range filters.List() {
		text, ok := filters.Schema(name)
		if !ok {
			continue
		}
		t.Run(name, func(t *testing.T) {
			schema := compiled(t, text)
			cases, err := filepath.Glob(filepath.Join("stock", name, "cases", "*.txtar"))
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range cases {
				c, err := workbench.ReadCase(path)
				if err != nil {
					t.Fatal(err)
				}
				refused := strings.HasPrefix(c.Steps[0].Want, "refused: ")
				err = schema.Validate(asJSON(t, c.Config))
				switch {
				case err != nil && !refused:
					t.Errorf("%s: the schema refuses what the filter takes: %v", c.Name, err)
				case err == nil && refused && !beyondSchema[name+"/"+c.Name]:
					t.Errorf("%s: the schema takes what the filter refuses: %s", c.Name, c.Steps[0].Want)
				case err != nil && beyondSchema[name+"/"+c.Name]:
					t.Errorf("%s: the schema finds it: take it off the list", c.Name)
				}
			}
		})
	}
}

func compiled(t testing.TB, text []byte) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// asJSON is a configuration as JSON has it.
func asJSON(t *testing.T, config map[string]any) any {
	t.Helper()
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}
