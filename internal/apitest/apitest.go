// Package apitest holds answers of an HTTP API against the OpenAPI file that
// describes it. Only tests use it.
package apitest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// API is an OpenAPI 3.1 file. It is not safe for concurrent use.
type API struct {
	doc      map[string]any
	compiler *jsonschema.Compiler
}

const here = "openapi.json"

// Load reads a file and looks whether every $ref in it leads somewhere.
func Load(text []byte) (*API, error) {
	var doc any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("reading the OpenAPI file: %w", err)
	}
	plain, err := json.Marshal(doc) // as JSON has it, numbers too
	if err != nil {
		return nil, fmt.Errorf("reading the OpenAPI file: %w", err)
	}
	if doc, err = jsonschema.UnmarshalJSON(bytes.NewReader(plain)); err != nil {
		return nil, fmt.Errorf("reading the OpenAPI file: %w", err)
	}
	a := &API{compiler: jsonschema.NewCompiler()}
	a.compiler.DefaultDraft(jsonschema.Draft2020)
	a.compiler.AssertFormat()
	a.doc, _ = doc.(map[string]any)
	if err := a.compiler.AddResource(here, doc); err != nil {
		return nil, fmt.Errorf("reading the OpenAPI file: %w", err)
	}
	return a, a.dangling(doc)
}

// dangling reports the references that lead nowhere, and schemas that nothing
// refers to.
func (a *API) dangling(doc any) error {
	var errs []error
	used := map[string]bool{}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				used[ref] = true
				if _, err := a.at(ref); err != nil {
					errs = append(errs, err)
				}
			}
			for _, item := range v {
				walk(item)
			}
		case []any:
			for _, item := range v {
				walk(item)
			}
		}
	}
	walk(doc)
	schemas, _ := a.at("#/components/schemas")
	all, _ := schemas.(map[string]any)
	for name := range all {
		if ref := "#/components/schemas/" + name; !used[ref] {
			errs = append(errs, fmt.Errorf("nothing uses %s", ref))
		}
	}
	return errors.Join(errs...)
}

// at returns what a pointer into the file leads to.
func (a *API) at(ref string) (any, error) {
	var v any = a.doc
	for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		m, _ := v.(map[string]any)
		v = m[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)]
	}
	if v == nil {
		return nil, fmt.Errorf("%s leads nowhere", ref)
	}
	return v, nil
}

// Operations returns "METHOD PATH" of everything that the file describes, sorted.
func (a *API) Operations() []string {
	var all []string
	for path, methods := range a.paths() {
		for method := range methods {
			if method != "parameters" {
				all = append(all, strings.ToUpper(method)+" "+path)
			}
		}
	}
	slices.Sort(all)
	return all
}

func (a *API) paths() map[string]map[string]any {
	all := map[string]map[string]any{}
	paths, _ := a.doc["paths"].(map[string]any)
	for path, item := range paths {
		all[path], _ = item.(map[string]any)
	}
	return all
}

// Parameters returns the names of an operation's parameters of the kind "path" or
// "query", sorted.
func (a *API) Parameters(operation, kind string) ([]string, error) {
	method, path, _ := strings.Cut(operation, " ")
	item := a.paths()[path]
	op, ok := item[strings.ToLower(method)].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s is not described", operation)
	}
	var names []string
	for _, list := range []any{item["parameters"], op["parameters"]} {
		params, _ := list.([]any)
		for _, p := range params {
			m, _ := p.(map[string]any)
			if ref, ok := m["$ref"].(string); ok {
				target, err := a.at(ref)
				if err != nil {
					return nil, err
				}
				m, _ = target.(map[string]any)
			}
			if name, _ := m["name"].(string); m["in"] == kind {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names, nil
}

// Check returns what is wrong with an answer to an operation: a code or a content
// type that the file does not have there, or a body that is not as it says.
func (a *API) Check(operation string, code int, contentType string, body []byte) error {
	method, path, _ := strings.Cut(operation, " ")
	ref := "#/paths/" + escape(path) + "/" + strings.ToLower(method) + "/responses/" + strconv.Itoa(code)
	response, err := a.at(ref)
	if err != nil {
		return fmt.Errorf("%s answers %d, which is not described: %.300s", operation, code, body)
	}
	m, _ := response.(map[string]any)
	if to, ok := m["$ref"].(string); ok {
		ref = to
		if response, err = a.at(ref); err != nil {
			return err
		}
		m, _ = response.(map[string]any)
	}
	kind, _, _ := strings.Cut(contentType, ";")
	content, _ := m["content"].(map[string]any)
	if _, ok := content[kind]; !ok {
		return fmt.Errorf("%s answers %d with %q, not with %q", operation, code, contentType, slices.Sorted(maps.Keys(content)))
	}
	if kind != "application/json" {
		return nil
	}
	return a.valid(ref+"/content/"+escape(kind)+"/schema", operation, body)
}

// Valid returns what is wrong with a JSON text of the schema of that name.
func (a *API) Valid(schema string, text []byte) error {
	return a.valid("#/components/schemas/"+schema, schema, text)
}

func (a *API) valid(ref, what string, text []byte) error {
	fragment, err := url.PathUnescape(ref)
	if err != nil {
		return err
	}
	schema, err := a.compiler.Compile(here + (&url.URL{Fragment: strings.TrimPrefix(fragment, "#")}).String())
	if err != nil {
		return fmt.Errorf("the schema of %s: %w", what, err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("%s: not JSON: %w: %.300s", what, err, text)
	}
	if err := schema.Validate(v); err != nil {
		return fmt.Errorf("%s: %w: %.2000s", what, err, text)
	}
	return nil
}

func escape(part string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(part)
}
