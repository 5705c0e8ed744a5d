package transport

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/rpc"
)

// settings are what a URL's options say.
type settings struct {
	broker     amqp.Config
	layout     rpc.Layout
	format     rpc.Oslo
	replyRetry time.Duration

	tls        *bool // the option ssl; nil if it was not given
	stable     bool  // queues are named after the process
	host, proc string
}

// known is an option of oslo.messaging: how its value is read, and what that
// changes. Without a set it is read and changes nothing, for the reason that
// docs/SERVICES.md gives.
type known struct {
	kind string
	set  func(s *settings, v value) error
}

// value is an option's value as its kind reads it: on for a bool, n for an int,
// d for seconds, and text in any case.
type value struct {
	text string
	on   bool
	n    int
	d    time.Duration
}

// The kinds of option.
const (
	boolean = "true or false"
	integer = "a whole number from 0 up"
	seconds = "a number of seconds from 0 up"
	text    = "text"
)

// options are all of oslo.messaging's group oslo_messaging_rabbit, from 14 to
// 18, under its names.
var options = map[string]known{
	"amqp_durable_queues":             {boolean, func(s *settings, v value) error { s.layout.Durable = v.on; return nil }},
	"amqp_auto_delete":                {boolean, func(s *settings, v value) error { s.layout.AutoDelete = v.on; return nil }},
	"rabbit_ha_queues":                {boolean, func(s *settings, v value) error { s.layout.HA = v.on; return nil }},
	"rabbit_quorum_queue":             {boolean, func(s *settings, v value) error { s.layout.Quorum = v.on; return nil }},
	"rabbit_transient_quorum_queue":   {boolean, func(s *settings, v value) error { s.layout.TransientQuorum = v.on; return nil }},
	"rabbit_quorum_delivery_limit":    {integer, func(s *settings, v value) error { s.layout.DeliveryLimit = v.n; return nil }},
	"rabbit_quorum_max_memory_length": {integer, maxMemoryLength},
	"rabbit_quroum_max_memory_length": {integer, maxMemoryLength}, // as version 14 spells it
	"rabbit_quorum_max_memory_bytes":  {integer, maxMemoryBytes},
	"rabbit_quroum_max_memory_bytes":  {integer, maxMemoryBytes},
	"rabbit_stream_fanout":            {boolean, func(s *settings, v value) error { s.layout.StreamFanout = v.on; return nil }},
	"rabbit_transient_queues_ttl":     {seconds, transientTTL},
	"rabbit_qos_prefetch_count":       {integer, func(s *settings, v value) error { s.layout.Prefetch = v.n; return nil }},
	"enable_cancel_on_failover":       {boolean, func(s *settings, v value) error { s.layout.CancelOnFailover = v.on; return nil }},
	"use_queue_manager":               {boolean, func(s *settings, v value) error { s.stable = v.on; return nil }},
	"hostname":                        {text, func(s *settings, v value) error { s.host = v.text; return nil }},
	"processname":                     {text, func(s *settings, v value) error { s.proc = v.text; return nil }},

	"ssl":           {boolean, func(s *settings, v value) error { s.tls = &v.on; return nil }},
	"ssl_version":   {text, tlsVersion},
	"ssl_ca_file":   {text, func(s *settings, v value) error { s.broker.TLS.CAFile = v.text; return nil }},
	"ssl_cert_file": {text, func(s *settings, v value) error { s.broker.TLS.CertFile = v.text; return nil }},
	"ssl_key_file":  {text, func(s *settings, v value) error { s.broker.TLS.KeyFile = v.text; return nil }},
	"ssl_enforce_hostname_verification": {boolean, func(_ *settings, v value) error {
		if !v.on {
			return errors.New("the host's name is verified in any case; name the one in the certificate with Options.TLS if it is another")
		}
		return nil
	}},
	"ssl_enforce_fips_mode": {boolean, nil},
	"rabbit_login_method":   {text, loginMethod},

	"heartbeat_timeout_threshold": {seconds, heartbeat},
	"heartbeat_rate":              {integer, nil},
	"heartbeat_in_pthread":        {boolean, nil},
	"rabbit_retry_interval":       {seconds, retryInterval},
	"rabbit_retry_backoff":        {seconds, nil},
	"rabbit_interval_max":         {seconds, retryMax},
	"kombu_reconnect_delay":       {seconds, nil},
	"kombu_reconnect_splay":       {seconds, nil},
	"kombu_failover_strategy":     {text, failover},

	"kombu_compression":                    {text, compression},
	"kombu_missing_consumer_retry_timeout": {seconds, replyRetry},
	"direct_mandatory_flag":                {boolean, nil},
	"rpc_conn_pool_size":                   {integer, nil},
	"conn_pool_min_size":                   {integer, nil},
	"conn_pool_ttl":                        {seconds, nil},
}

// elsewhere are options that oslo.messaging does not take from a URL.
var elsewhere = map[string]string{
	"control_exchange":          "Options.Exchange",
	"rpc_response_timeout":      "Options.Timeout",
	"executor_thread_pool_size": "the Workers of a server",
	"rpc_ping_enabled":          "the endpoint rpc.Ping of a server",
	"transport_url":             "the URL itself",
}

// apply reads options into s.
func (s *settings) apply(list []option) error {
	for _, o := range list {
		k, ok := options[o.name]
		if !ok {
			return unknownOption(o.name)
		}
		v, err := k.read(o.value)
		if err == nil && k.set != nil {
			err = k.set(s, v)
		}
		if err != nil {
			return fmt.Errorf("option %s: %w", o.name, err)
		}
	}
	return nil
}

func (k known) read(s string) (value, error) {
	v := value{text: s}
	wrong := fmt.Errorf("%.64q is not %s", s, k.kind)
	switch k.kind {
	case boolean:
		switch strings.ToLower(s) {
		case "true", "1", "on", "yes":
			v.on = true
		case "false", "0", "off", "no":
		default:
			return v, wrong
		}
	case integer:
		n, err := strconv.ParseInt(s, 10, 32)
		if err != nil || n < 0 {
			return v, wrong
		}
		v.n = int(n)
	case seconds:
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || !(f >= 0 && f <= math.MaxInt32) {
			return v, wrong
		}
		v.d = time.Duration(f * float64(time.Second))
	}
	return v, nil
}

func maxMemoryLength(s *settings, v value) error { s.layout.MaxInMemoryLength = v.n; return nil }

func maxMemoryBytes(s *settings, v value) error { s.layout.MaxInMemoryBytes = v.n; return nil }

func transientTTL(s *settings, v value) error {
	s.layout.TransientTTL = v.d
	if v.d == 0 {
		s.layout.TransientTTL = rpc.NoTransientTTL
	}
	return nil
}

func tlsVersion(_ *settings, v value) error {
	switch strings.ToLower(v.text) {
	case "", "sslv23", "tls", "tlsv1_2", "tlsv1_3":
		return nil // TLS 1.2 and 1.3 are negotiated
	}
	return fmt.Errorf("%.64q is no version that is still safe; TLS 1.2 and 1.3 are used, leave the option out", v.text)
}

func loginMethod(s *settings, v value) error {
	switch strings.ToUpper(v.text) {
	case "PLAIN", "AMQPLAIN": // two spellings of one thing; the first is sent
		return nil
	case "EXTERNAL":
		s.broker.TLS.External = true
		return nil
	}
	return fmt.Errorf("%.64q is not spoken; PLAIN, AMQPLAIN and EXTERNAL are", v.text)
}

func heartbeat(s *settings, v value) error {
	if v.d < time.Second {
		return errors.New("it is at least 1 second: without heartbeats a broker that is gone is never missed")
	}
	s.broker.Heartbeat = v.d
	return nil
}

func retryInterval(s *settings, v value) error {
	s.broker.Backoff.Initial = max(v.d, time.Millisecond)
	return nil
}

func retryMax(s *settings, v value) error {
	s.broker.Backoff.Max = max(v.d, time.Millisecond)
	return nil
}

func replyRetry(s *settings, v value) error {
	s.replyRetry = max(v.d, time.Millisecond) // 0 would be the default
	return nil
}

func failover(_ *settings, v value) error {
	if v.text != "round-robin" && v.text != "shuffle" {
		return fmt.Errorf("%.64q is not round-robin or shuffle", v.text)
	}
	return nil // hosts are tried in random order, each once, before a pause
}

func compression(s *settings, v value) error {
	switch v.text {
	case "":
	case "gzip", "application/x-gzip":
		s.format.Compress = true
	case "bzip2", "bzip", "bz2", "application/x-bz2":
		return errors.New("bzip2 is read but not written; use gzip")
	default:
		return fmt.Errorf("%.64q is not gzip", v.text)
	}
	return nil
}

func unknownOption(name string) error {
	if instead, ok := elsewhere[name]; ok {
		return fmt.Errorf("%s is no option of a transport URL; use %s", name, instead)
	}
	best, found := 4, ""
	for k := range options {
		if d := distance(name, k); d < best || d == best && k < found {
			best, found = d, k
		}
	}
	if found == "" {
		return fmt.Errorf("unknown option %.64q; the options are those of oslo_messaging_rabbit", name)
	}
	return fmt.Errorf("unknown option %.64q; did you mean %s?", name, found)
}

// distance is the number of insertions, deletions and replacements that turn a
// into b, for names of which only near ones matter.
func distance(a, b string) int {
	a = strings.ToLower(strings.ReplaceAll(a[:min(len(a), 64)], "-", "_"))
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
