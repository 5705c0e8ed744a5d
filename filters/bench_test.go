package filters_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/wasmrouter/router/router"
)

// order is about 1 KiB of JSON with the field type at three quarters.
var order = []byte(`{"id":"` + strings.Repeat("7", 40) + `","lines":[` + strings.Repeat(`{"sku":"abcdefgh","count":3,"price":12.5},`, 16) +
	`{}],"type":"created","customer":{"email":"a@example.org","tenant":"acme"},"note":"` + strings.Repeat("n", 180) + `"}`)

// request is a call of oslo.messaging with about 1 KiB of arguments.
var request = []byte(`{"oslo.version": "2.0", "oslo.message": "{\"method\": \"build_instance\", \"args\": {\"image\": \"` + strings.Repeat("i", 300) +
	`\", \"nets\": [` + strings.Repeat(`{\"id\": 12345, \"name\": \"net\"}, `, 12) + `1]}, \"version\": \"1.2\", \"_msg_id\": \"6563ccee3030418ea4411a593ec4129b\", \"_context_project_id\": \"p-1\"}"}`)

const orderSchema = `{"type":"object","required":["id","type","lines"],"properties":{"id":{"type":"string","pattern":"^[0-9]+$"},` +
	`"type":{"enum":["created","cancelled"]},"note":{"type":"string","maxLength":1000},` +
	`"customer":{"type":"object","properties":{"email":{"type":"string"},"tenant":{"type":"string"}},"additionalProperties":false},` +
	`"lines":{"type":"array","items":{"type":"object","additionalProperties":false,"properties":{"sku":{"type":"string","maxLength":20},` +
	`"count":{"type":"integer","minimum":1},"price":{"type":"number","exclusiveMinimum":0}}}}}}`

func BenchmarkStock(b *testing.B) {
	routes := func(n int) map[string]any {
		m := map[string]any{"created": "queue:orders.created"}
		for i := range n - 1 {
			m[fmt.Sprintf("type-%d", i)] = fmt.Sprintf("queue:q%d", i)
		}
		return m
	}
	for _, c := range []struct {
		name, filter string
		config       map[string]any
		stage        router.Stage
	}{
		{"content-router/header", "content-router", map[string]any{"field": "header:h3", "routes": map[string]any{"value": "queue:q"}}, router.Decide},
		{"content-router/body", "content-router", map[string]any{"field": "body:type", "routes": routes(3)}, router.Decide},
		{"content-router/body-10000-routes", "content-router", map[string]any{"field": "body:type", "routes": routes(10000)}, router.Decide},
		{"context-packer/unpack", "context-packer", map[string]any{"tenant": map[string]any{"from": "header:h3"}}, router.Unpack},
		{"context-packer/redact", "context-packer", map[string]any{"redact": map[string]any{"fields": []any{"customer.email"}}}, router.Pack},
		{"deduplicator/header", "deduplicator", map[string]any{"key": "header:h3"}, router.Unpack},
		{"deduplicator/body", "deduplicator", map[string]any{"key": "body:type"}, router.Unpack},
		{"rate-limiter/header", "rate-limiter", map[string]any{"limit": int64(1e9), "window": "1m", "key": "header:h3"}, router.Unpack},
		{"sampler/header", "sampler", map[string]any{"keep": 1.0, "key": "header:h3"}, router.Decide},
		{"rewrite/set", "rewrite", map[string]any{"set": map[string]any{"copy": "{header:h3}-{routing_key}", "n": int64(5)}, "remove": []any{"h4"}}, router.Unpack},
		{"rewrite/keep", "rewrite", map[string]any{"keep": []any{"h1*", "tenant"}}, router.Unpack},
		{"rewrite/body", "rewrite", map[string]any{"set": map[string]any{"kind": "{body:type}"}}, router.Unpack},
		{"oslo-router/call", "oslo-router", map[string]any{"rules": []any{
			map[string]any{"type": "notification", "action": "drop"},
			map[string]any{"method": "delete_*", "namespace": "", "send": "queue:deletions"},
			map[string]any{"method": "build_*", "version": "1.4", "project": "p-*", "send": "queue:builds"},
		}}, router.Decide},
		{"hmac/sign", "hmac", map[string]any{"mode": "sign", "keys": map[string]any{"k": "0123456789abcdef"}}, router.Encode},
		{"json-schema/valid", "json-schema", map[string]any{"schema_json": orderSchema}, router.Unpack},
		{"messagepack/encode", "messagepack", map[string]any{"encode": "json-to-msgpack"}, router.Encode},
		{"cbor/encode", "cbor", map[string]any{"encode": "json-to-cbor"}, router.Encode},
		{"cbor/encode-sorted", "cbor", map[string]any{"encode": "json-to-cbor", "sort_keys": true}, router.Encode},
	} {
		b.Run(c.name, func(b *testing.B) {
			f, err := loadFilter(b, c.filter, stock(b, c.filter), c.config)
			if err != nil {
				b.Fatal(err)
			}
			headers := map[string]any{}
			for i := range 12 {
				headers[fmt.Sprintf("h%d", i)] = "value"
			}
			ctx := context.Background()
			body := order
			if c.filter == "oslo-router" {
				body = request
			}
			template := router.NewEnvelope(headers, body)
			var d router.Decision
			b.SetBytes(int64(len(template.Body)))
			for b.Loop() {
				env := template.Clone()
				d.Reset()
				if err := f.Run(ctx, c.stage, &env, &d); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkJSON is one call of the same filter in each language: it finds a field
// and sets five headers.
func BenchmarkJSON(b *testing.B) {
	for _, r := range readers(b) {
		b.Run(r.language, func(b *testing.B) {
			ctx := context.Background()
			template := router.NewEnvelope(map[string]any{"path": "type", "is": "created"}, order)
			var d router.Decision
			for b.Loop() {
				env := template.Clone()
				d.Reset()
				if err := r.instance.Run(ctx, router.Decide, &env, &d); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
