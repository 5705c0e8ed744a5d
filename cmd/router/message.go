package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wasmrouter/router/oslo"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
)

// maxBody bounds what is read from a file or standard input.
const maxBody = 128 << 20

// message is what send and call are told to send.
type message struct {
	body        string
	file        string
	headers     []string
	properties  []string
	method      string
	args        string
	context     string
	namespace   string
	version     string
	contentType string
	monitor     time.Duration // of a call
}

func (m *message) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&m.body, "body", "", "body of the message (plain)")
	f.StringVar(&m.file, "body-file", "", "read the body, or with oslo the arguments, from a file, - for standard input")
	f.StringArrayVarP(&m.headers, "header", "H", nil, "NAME=VALUE, repeatable: a header, or with oslo a key of the context; VALUE is JSON or else a string")
	f.StringArrayVarP(&m.properties, "property", "P", nil, "NAME=VALUE, repeatable: correlation_id, message_id, reply_to, type, app_id, expiration, priority, content_encoding (plain)")
	f.StringVar(&m.contentType, "content-type", "application/json", "content type of the body (plain)")
	f.StringVar(&m.method, "method", "", "method to call (oslo; the property type with plain)")
	f.StringVar(&m.args, "args", "", "named arguments as a JSON object (oslo)")
	f.StringVar(&m.context, "context", "", "context as a JSON object (oslo)")
	f.StringVar(&m.namespace, "namespace", "", "namespace of the method (oslo)")
	f.StringVar(&m.version, "rpc-version", "", "version of the method, MAJOR.MINOR (oslo)")
	cmd.MarkFlagsMutuallyExclusive("body", "body-file", "args")
	_ = cmd.MarkFlagFilename("body-file")
}

// osloFlags are those that only a request of oslo.messaging has a place for.
var osloFlags = []string{"args", "context", "namespace", "rpc-version", "monitor"}

// isOslo reports whether a flag was given that only oslo.messaging has.
func isOslo(cmd *cobra.Command) bool {
	return slices.ContainsFunc(osloFlags, cmd.Flags().Changed)
}

// request returns the message as a request of the format.
func (m *message) request(cmd *cobra.Command, asOslo bool) (rpc.Request, error) {
	if asOslo {
		return m.osloRequest(cmd)
	}
	req := rpc.Request{Method: m.method, ContentType: m.contentType}
	if len(m.properties) > 0 {
		return req, errors.New("--property is for send")
	}
	err := m.plain(cmd)
	if err != nil {
		return req, err
	}
	if req.Context, err = pairs("--header", m.headers); err != nil {
		return req, err
	}
	req.Payload, err = m.read(cmd)
	return req, err
}

func (m *message) osloRequest(cmd *cobra.Command) (rpc.Request, error) {
	req := rpc.Request{Method: m.method, Version: m.version, Monitor: m.monitor}
	if cmd.Flags().Changed("namespace") {
		req.Namespace = &m.namespace
	}
	switch {
	case m.method == "":
		return req, errors.New("--method is missing, which oslo.messaging's requests have; --format plain sends others")
	case len(m.properties) > 0 || m.body != "" || cmd.Flags().Changed("content-type"):
		return req, errors.New("--body, --property and --content-type are for --format plain; --args are the arguments of --method")
	case m.monitor != 0 && m.monitor < 2*time.Second:
		return req, fmt.Errorf("--monitor %s: it is 2s or more; servers give a sign of life once a second at most", m.monitor)
	}
	args := []byte(m.args)
	var err error
	if m.file != "" {
		if args, err = m.read(cmd); err != nil {
			return req, err
		}
	}
	if m.args != "" || m.file != "" {
		if _, err := oslo.ParseObject(args); err != nil {
			return req, fmt.Errorf("--args %.200q is not a JSON object: %w", args, err)
		}
		req.Payload = args
	}
	req.Context, err = contextOf(m.context, m.headers)
	return req, err
}

// contextOf returns what --context and --header say of oslo.messaging's
// context. Numbers stay as they are written.
func contextOf(text string, headers []string) (map[string]any, error) {
	context := map[string]any{}
	if text != "" {
		o, err := oslo.ParseObject([]byte(text))
		if err != nil {
			return nil, fmt.Errorf("--context %.200q is not a JSON object: %w", text, err)
		}
		for key, value := range o.All() {
			context[key] = value
		}
	}
	for _, h := range headers {
		name, value, ok := strings.Cut(h, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("--header %q: write it as NAME=VALUE", h)
		}
		context[name] = value
		if json.Valid([]byte(value)) {
			context[name] = oslo.Raw(value)
		}
	}
	return context, nil
}

// plain refuses what the plain format has no place for.
func (m *message) plain(cmd *cobra.Command) error {
	if isOslo(cmd) {
		return errors.New("--args, --context, --namespace, --rpc-version and --monitor are for --format oslo")
	}
	return nil
}

// read returns the body from where the flags say it is.
func (m *message) read(cmd *cobra.Command) ([]byte, error) {
	switch m.file {
	case "":
		return []byte(m.body), nil
	case "-":
		return readAll("standard input", cmd.InOrStdin())
	}
	f, err := os.Open(m.file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(m.file, f)
}

func readAll(name string, r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxBody+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(data) > maxBody {
		return nil, fmt.Errorf("%s: more than %d MiB", name, maxBody>>20)
	}
	return data, nil
}

// envelope returns the message as a plain AMQP message.
func (m *message) envelope(cmd *cobra.Command) (router.Envelope, error) {
	if err := m.plain(cmd); err != nil {
		return router.Envelope{}, err
	}
	headers, err := pairs("--header", m.headers)
	if err != nil {
		return router.Envelope{}, err
	}
	body, err := m.read(cmd)
	if err != nil {
		return router.Envelope{}, err
	}
	env := router.NewEnvelope(headers, body)
	env.ContentType, env.DeliveryMode, env.Type = m.contentType, 2, m.method
	env.MessageID = newID()
	env.Timestamp = time.Now()
	return env, m.setProperties(&env.Properties)
}

func (m *message) setProperties(p *router.Properties) error {
	text := map[string]*string{
		"correlation_id": &p.CorrelationID, "message_id": &p.MessageID, "reply_to": &p.ReplyTo, "type": &p.Type,
		"app_id": &p.AppID, "expiration": &p.Expiration, "content_encoding": &p.ContentEncoding,
	}
	for _, s := range m.properties {
		name, value, ok := strings.Cut(s, "=")
		field, known := text[name]
		switch {
		case !ok:
			return fmt.Errorf("--property %q: write it as NAME=VALUE", s)
		case name == "priority":
			n, err := strconv.ParseUint(value, 10, 8)
			if err != nil {
				return fmt.Errorf("--property %q: a priority is 0 to 255", s)
			}
			p.Priority = uint8(n)
		case !known:
			return fmt.Errorf("--property %q: no such property; it is one of correlation_id, message_id, reply_to, type, app_id, expiration, priority, content_encoding", s)
		default:
			*field = value
		}
	}
	return nil
}

// pairs reads NAME=VALUE flags; a value that is JSON has JSON's type.
func pairs(flag string, list []string) (map[string]any, error) {
	m := make(map[string]any, len(list))
	for _, s := range list {
		name, value, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("%s %q: write it as NAME=VALUE", flag, s)
		}
		m[name] = value
		if !json.Valid([]byte(value)) {
			continue
		}
		dec := json.NewDecoder(strings.NewReader(value))
		dec.UseNumber()
		var v any
		if dec.Decode(&v) == nil {
			m[name] = headerValue(v)
		}
	}
	return m, nil
}

// headerValue turns a decoded JSON value into one that a header may hold.
func headerValue(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		if f, err := v.Float64(); err == nil {
			return f
		}
		return v.String()
	case []any:
		for i := range v {
			v[i] = headerValue(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = headerValue(v[k])
		}
	}
	return v
}
