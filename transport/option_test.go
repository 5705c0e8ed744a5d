package transport

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wasmrouter/router/amqp"
	"github.com/wasmrouter/router/router"
	"github.com/wasmrouter/router/rpc"
)

func TestOptions(t *testing.T) {
	yes := true
	for query, want := range map[string]settings{
		"": {},
		"amqp_durable_queues=True&amqp_auto_delete=0&rabbit_quorum_queue=yes&rabbit_quorum_delivery_limit=3": {
			layout: rpc.Layout{Durable: true, Quorum: true, DeliveryLimit: 3},
		},
		"rabbit_quroum_max_memory_length=4&rabbit_quorum_max_memory_bytes=5": {
			layout: rpc.Layout{MaxInMemoryLength: 4, MaxInMemoryBytes: 5},
		},
		"rabbit_ha_queues=1&enable_cancel_on_failover=on&rabbit_qos_prefetch_count=7": {
			layout: rpc.Layout{HA: true, CancelOnFailover: true, Prefetch: 7},
		},
		"rabbit_transient_quorum_queue=1&rabbit_stream_fanout=1&rabbit_transient_queues_ttl=60": {
			layout: rpc.Layout{TransientQuorum: true, StreamFanout: true, TransientTTL: time.Minute},
		},
		"rabbit_transient_queues_ttl=0":                {layout: rpc.Layout{TransientTTL: rpc.NoTransientTTL}},
		"use_queue_manager=1&hostname=h&processname=p": {stable: true, host: "h", proc: "p"},
		"ssl=1&ssl_ca_file=ca&ssl_cert_file=c&ssl_key_file=k&ssl_version=TLSv1_2&ssl_enforce_hostname_verification=1&rabbit_login_method=EXTERNAL": {
			tls: &yes, broker: amqp.Config{TLS: amqp.TLSConfig{CAFile: "ca", CertFile: "c", KeyFile: "k", External: true}},
		},
		"heartbeat_timeout_threshold=20&rabbit_retry_interval=0.5&rabbit_interval_max=30": {
			broker: amqp.Config{Heartbeat: 20 * time.Second, Backoff: amqp.Backoff{Initial: 500 * time.Millisecond, Max: 30 * time.Second}},
		},
		"kombu_compression=gzip&kombu_missing_consumer_retry_timeout=5":                   {format: rpc.Oslo{Compress: true}, replyRetry: 5 * time.Second},
		"rabbit_login_method=AMQPLAIN&kombu_failover_strategy=shuffle&kombu_compression=": {},
		"heartbeat_rate=3&heartbeat_in_pthread=false&rabbit_retry_backoff=2&kombu_reconnect_delay=1.0&kombu_reconnect_splay=0&ssl_enforce_fips_mode=1&direct_mandatory_flag=0&rpc_conn_pool_size=30&conn_pool_min_size=2&conn_pool_ttl=1200": {},
	} {
		a, err := parse("rabbit://h/?" + query)
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		var got settings
		if err := got.apply(a.options); err != nil {
			t.Errorf("%s: %v", query, err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(settings{}), cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Dial" }, cmp.Ignore())); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
}

func TestOptionsThatAreRefused(t *testing.T) {
	for query, word := range map[string]string{
		"amqp_durable_queue=1":                     "did you mean amqp_durable_queues?",
		"heartbeat-rate=1":                         "did you mean heartbeat_rate?",
		"colour=1":                                 "the options are those of",
		"control_exchange=nova":                    "use Options.Exchange",
		"rpc_response_timeout=1":                   "use Options.Timeout",
		"ssl=maybe":                                `"maybe" is not true or false`,
		"ssl_version=TLSv1":                        "no version that is still safe",
		"ssl_enforce_hostname_verification=false":  "verified in any case",
		"rabbit_login_method=RABBIT-CR-DEMO":       "not spoken",
		"rabbit_qos_prefetch_count=-1":             "whole number",
		"rabbit_qos_prefetch_count=70000":          "Prefetch",
		"rabbit_retry_interval=NaN":                "number of seconds",
		"rabbit_transient_queues_ttl=0.1":          "TransientTTL",
		"heartbeat_timeout_threshold=0":            "at least 1 second",
		"kombu_failover_strategy=random":           "round-robin",
		"kombu_compression=bz2":                    "use gzip",
		"kombu_compression=lzma":                   "not gzip",
		"rabbit_ha_queues=1&rabbit_quorum_queue=1": "rabbit_ha_queues",
		"ssl=0": "demands TLS",
	} {
		_, err := Open("rabbits://h/?"+query, Options{})
		if !errors.Is(err, ErrURL) || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v; want something about %q", query, err, word)
		}
	}
}

func TestTheGuideNamesEveryOption(t *testing.T) {
	text, err := os.ReadFile("../docs/SERVICES.md")
	if err != nil {
		t.Fatal(err)
	}
	var named []string
	for line := range strings.Lines(string(text)) {
		if cell, ok := strings.CutPrefix(line, "| `"); ok {
			for name := range strings.SplitSeq(strings.Split(cell, " |")[0], ", ") {
				if name = strings.Trim(name, "`"); options[name].kind != "" {
					named = append(named, name)
				}
			}
		}
	}
	for name := range options {
		if !slices.Contains(named, name) {
			t.Errorf("docs/SERVICES.md does not say what becomes of %s", name)
		}
	}
	if len(named) != len(options) {
		t.Errorf("docs/SERVICES.md names %d options, of which there are %d", len(named), len(options))
	}
}

func TestTheCodeHasTheLastWord(t *testing.T) {
	retry := 0
	open := func(url string, o Options) *Transport {
		t.Helper()
		tr, err := Open(url, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = tr.Close(context.Background()) })
		return tr
	}
	tr := open("rabbit://localhost/?amqp_durable_queues=1&kombu_compression=gzip", Options{
		Exchange: "nova", Layout: func(l *rpc.Layout) { l.AutoDelete = true }, Format: rpc.Oslo{Flat: true}, Retry: &retry,
	})
	if diff := cmp.Diff(rpc.Layout{Exchange: "nova", Durable: true, AutoDelete: true}, tr.Layout()); diff != "" || tr.format != (rpc.Oslo{Flat: true}) {
		t.Errorf("%s %+v", diff, tr.format)
	}
	if got := tr.Remote(rpc.Target{Topic: "compute"}).String(); got != "topic:nova/compute" {
		t.Errorf("a remote at %s", got)
	}
	stable := open("rabbit://localhost/?use_queue_manager=1", Options{})
	if l := stable.Layout(); l.Host == "" || l.Process == "" {
		t.Errorf("%+v", l)
	}
	if _, err := Open("rabbit://u:secret@broker.example/", Options{}); !errors.Is(err, amqp.ErrPlaintext) || strings.Contains(err.Error(), "secret") {
		t.Errorf("a password in clear: %v", err)
	}
	open("rabbit://u:secret@broker.example/", Options{AllowPlaintext: true})
	if _, err := Open("rabbit://localhost/", Options{Timeout: -1}); err == nil {
		t.Error("a negative timeout was accepted")
	}
}

func TestAClientsSenderAndDeclareDoNotWait(t *testing.T) {
	tr, err := Open("rabbit://localhost:1/", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tr.Close(t.Context()) }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	env := router.NewEnvelope(nil, nil)
	sender := prompt{tr.broker.Sender("test")}
	defer sender.Close()
	if err := sender.Send(ctx, router.Target{Kind: router.TargetQueue, Queue: "q"}, &env, nil); !errors.Is(err, router.ErrDisconnected) {
		t.Errorf("send: %v", err)
	}
	if err := tr.declare(ctx, rpc.Topology{Queues: []rpc.Queue{{Name: "q"}}}); !errors.Is(err, router.ErrDisconnected) {
		t.Errorf("declare: %v", err)
	}
}
