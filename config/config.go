// Package config reads router.toml: strictly, reporting every problem at once
// with its line and column, and never showing a secret.
//
// [Load] reads, interpolates, checks and completes a file; what it returns is
// ready to build from, except for what only the application can judge (whether
// a filter compiles, whether a target can be published to); [Config.Errorf]
// makes positioned errors for that.
package config

// Config is a whole router.toml. It is made by [Load] or [Parse] and must not
// be changed afterwards; reading it is safe for concurrent use.
type Config struct {
	// How to reach RabbitMQ.
	Broker Broker `toml:"broker" json:"broker"`
	// Exchanges to declare before anything is consumed or published, by name.
	Exchanges map[string]Exchange `toml:"exchanges" json:"exchanges"`
	// Queues to declare before anything is consumed or published, by name. A
	// name with dots is written in quotes: [queues."orders.in"].
	Queues map[string]Queue `toml:"queues" json:"queues"`
	// WebAssembly filters, by the name that routes, logs and metrics use.
	Filters map[string]Filter `toml:"filters" json:"filters"`
	// Routes, by the name that logs and metrics use. Each listens to one
	// queue.
	Routes map[string]Route `toml:"routes" json:"routes"`
	// The process itself.
	Process Process `toml:"process" json:"process"`
	// The HTTP listener for health, metrics and profiles.
	Admin Admin `toml:"admin" json:"admin"`
	// Logging, to standard error.
	Log Log `toml:"log" json:"log"`
	// Traces, to an OpenTelemetry collector. What is not written here the
	// OTEL_* variables of the environment say; what is written counts.
	Telemetry Telemetry `toml:"telemetry" json:"telemetry"`

	doc *document // where every key was written; nil in a Config not parsed
}

// Broker says how to reach RabbitMQ.
type Broker struct {
	// Where the broker listens: amqp://[USER[:PASSWORD]@]HOST[:PORT][/VHOST],
	// or amqps:// for TLS. The default is amqp://127.0.0.1:5672/ when urls is
	// empty too. With embedded:// the router is the broker itself, for
	// development and tests: it listens to that address of this machine, and
	// keeps nothing when it stops.
	URL URL `toml:"url" json:"url"`
	// Several brokers of one cluster instead of url. They are tried in random
	// order; all must agree in scheme, user and virtual host.
	URLs []URL `toml:"urls" json:"urls"`
	// The user's name; overrides the one in the URL.
	Username string `toml:"username" json:"username"`
	// The user's password; overrides the one in the URL and needs no
	// percent-encoding.
	Password Secret `toml:"password" json:"password"`
	// The virtual host; overrides the one in the URL.
	VHost string `toml:"vhost" json:"vhost"`
	// The name that RabbitMQ shows for the connections. The purpose of each
	// connection is added to it.
	ConnectionName string `toml:"connection_name" json:"connection_name" rule:"max=128"`
	// How often the two sides show each other that they live. A peer that is
	// silent for two intervals is given up.
	Heartbeat Duration `toml:"heartbeat" json:"heartbeat" rule:"min=1s,max=10m"`
	// How long connecting to one host may take, TLS and login included.
	DialTimeout Duration `toml:"dial_timeout" json:"dial_timeout" rule:"min=100ms,max=10m"`
	// How long one write to the connection may stall before the connection is
	// given up.
	WriteTimeout Duration `toml:"write_timeout" json:"write_timeout" rule:"min=100ms,max=10m"`
	// How long a publish waits for the broker's confirm before it counts as
	// failed and is tried again.
	ConfirmTimeout Duration `toml:"confirm_timeout" json:"confirm_timeout" rule:"min=100ms,max=1h"`
	// Send the password in clear over amqp:// to a host that is not this
	// machine.
	AllowPlaintext bool `toml:"allow_plaintext" json:"allow_plaintext"`
	// With embedded://, take quorum queues for classic ones. Without it they are
	// refused, as they promise what the embedded broker does not keep.
	QuorumAsClassic bool `toml:"quorum_as_classic" json:"quorum_as_classic"`
	// TLS, for amqps:// URLs.
	TLS TLS `toml:"tls" json:"tls"`
}

// TLS is used with amqps URLs. Without any key the host's certificate is
// verified against the system's authorities.
type TLS struct {
	// PEM file with the authorities to trust instead of the system's.
	CAFile string `toml:"ca_file" json:"ca_file"`
	// PEM file with the client certificate; needs key_file.
	CertFile string `toml:"cert_file" json:"cert_file"`
	// PEM file with the client certificate's key; needs cert_file.
	KeyFile string `toml:"key_file" json:"key_file"`
	// The name that the broker's certificate must carry instead of the URL's
	// host.
	ServerName string `toml:"server_name" json:"server_name"`
	// Log in with the client certificate (SASL EXTERNAL) instead of a
	// password.
	External bool `toml:"external" json:"external"`
	// Accept any certificate. The connection can then be read and changed by
	// others; a warning is logged at every start.
	InsecureSkipVerify bool `toml:"insecure_skip_verify" json:"insecure_skip_verify"`
}

// Exchange is one exchange to declare.
type Exchange struct {
	// How the exchange chooses queues. With x-consistent-hash it spreads routing
	// keys over queues, bound with a weight as binding key, and sends equal ones
	// to the same; that needs RabbitMQ's plugin
	// rabbitmq_consistent_hash_exchange.
	Type string `toml:"type" json:"type" rule:"required,one=direct|topic|fanout|headers|x-consistent-hash"`
	// Survives a restart of the broker.
	Durable bool `toml:"durable" json:"durable"`
	// Deleted when its last binding goes.
	AutoDelete bool `toml:"auto_delete" json:"auto_delete"`
	// Cannot be published to, only bound to other exchanges.
	Internal bool `toml:"internal" json:"internal"`
	// Whether to create the exchange, or only to check that it exists.
	Declare string `toml:"declare" json:"declare" rule:"one=create|passive"`
	// Further arguments, such as alternate-exchange.
	Arguments Table `toml:"arguments" json:"arguments"`
}

// Queue is one queue to declare.
type Queue struct {
	// Classic, or quorum (replicated).
	Type string `toml:"type" json:"type" rule:"one=classic|quorum"`
	// Survives a restart of the broker. Quorum queues must be durable.
	Durable bool `toml:"durable" json:"durable"`
	// Deleted when its last consumer goes.
	AutoDelete bool `toml:"auto_delete" json:"auto_delete"`
	// Usable by the declaring connection only, and deleted with it.
	Exclusive bool `toml:"exclusive" json:"exclusive"`
	// Whether to create the queue, or only to check that it exists.
	Declare string `toml:"declare" json:"declare" rule:"one=create|passive"`
	// Further arguments, such as x-max-length; integers, strings, booleans and
	// nested tables keep their type.
	Arguments Table `toml:"arguments" json:"arguments"`
	// Bindings of the queue to exchanges.
	Bind []Binding `toml:"bind" json:"bind"`
}

// Binding ties a queue to an exchange.
type Binding struct {
	// The exchange to bind to; it must exist or be in [exchanges].
	Exchange string `toml:"exchange" json:"exchange" rule:"required,max=255"`
	// The binding key; "#" and "*" are wildcards with a topic exchange.
	Key string `toml:"key" json:"key" rule:"max=255"`
	// Arguments of the binding, such as the headers to match.
	Arguments Table `toml:"arguments" json:"arguments"`
}

// Route takes messages from one queue, through filters, to targets.
type Route struct {
	// The queue to consume. Without an entry in [queues] it must exist. With
	// format = "oslo" it may be topic:[EXCHANGE/]TOPIC,
	// server:[EXCHANGE/]TOPIC.SERVER, fanout:TOPIC or
	// notify:[EXCHANGE/]TOPIC.PRIORITY: then the queue, its exchange and its
	// binding are declared as oslo.messaging does, unless they exist.
	Listen string `toml:"listen" json:"listen" rule:"required,max=255"`
	// How many messages may be in hand, unacknowledged, at once.
	Prefetch int `toml:"prefetch" json:"prefetch" rule:"min=1,max=65535"`
	// Consumer priority; the broker prefers higher ones.
	Priority int `toml:"priority" json:"priority" rule:"min=-2147483648,max=2147483647"`
	// Be the only consumer of the queue.
	Exclusive bool `toml:"exclusive" json:"exclusive"`
	// How bytes become context and payload. With plain, the headers are the
	// context and the body is the payload. With oslo, messages are those of
	// oslo.messaging: filters see the inner message, and its context as headers.
	Format string `toml:"format" json:"format" rule:"one=plain|oslo"`
	// With format = "oslo": answer a call that reaches nobody, because it is
	// rejected, dropped, not understood or not deliverable, with a failure
	// instead of letting its caller wait for a timeout.
	ErrorReplies bool `toml:"error_replies" json:"error_replies"`
	// With format = "oslo": who servers answer. With forward it is the caller
	// itself. With proxy the router calls in its own name, and brings the replies
	// to the caller, through reply_filters.
	Mode string `toml:"mode" json:"mode" rule:"one=forward|proxy"`
	// With mode = "proxy": names of filters, in the order in which replies pass
	// them.
	ReplyFilters []string `toml:"reply_filters" json:"reply_filters"`
	// With mode = "proxy": how long the router waits for the reply, or the next
	// keep-alive, to a call whose message has no expiration.
	ProxyTimeout Duration `toml:"proxy_timeout" json:"proxy_timeout" rule:"min=1s,max=24h"`
	// With mode = "proxy": how many calls may wait for their reply; more are
	// answered with a failure at once.
	ProxyCalls int `toml:"proxy_calls" json:"proxy_calls" rule:"min=1,max=10000000"`
	// Names of filters, in the order in which messages pass them.
	Filters []string `toml:"filters" json:"filters"`
	// Targets of messages that no filter decided on: queue:NAME,
	// exchange:NAME/KEY, topic:[EXCHANGE/]TOPIC,
	// server:[EXCHANGE/]TOPIC.SERVER, fanout:TOPIC or
	// notify:[EXCHANGE/]TOPIC.PRIORITY.
	Send []string `toml:"send" json:"send"`
	// Patterns of the targets that filters may choose, such as queue:orders.*.
	// Required when a filter of the route decides.
	Allow []string `toml:"allow" json:"allow"`
	// Which messages stay in order: all of the queue, those with the same key,
	// or none.
	Order string `toml:"order" json:"order" rule:"one=queue|key|none"`
	// The key of order = "key", as it is when the message arrives: header:NAME,
	// property:NAME (app_id, correlation_id, message_id, reply_to, type,
	// user_id) or routing_key.
	OrderBy string `toml:"order_by" json:"order_by"`
	// How many messages are handled at the same time. It is 1 with order =
	// "queue", else 4 by default.
	Parallel int `toml:"parallel" json:"parallel" rule:"min=1,max=1024"`
	// What becomes of a message on which a filter fails.
	OnError string `toml:"on_error" json:"on_error" rule:"one=dead-letter|retry|drop|pass"`
	// The queue for dead letters; by default the listened queue's name with
	// ".dead" added. Unless it is in [queues] it is declared durable and
	// classic.
	DeadLetter string `toml:"dead_letter" json:"dead_letter" rule:"max=255"`
	// The largest body; larger messages become dead letters unread.
	MaxMessage Size `toml:"max_message" json:"max_message" rule:"min=1KiB,max=512MiB"`
	// Let the headers CC and BCC through, with which a sender names further
	// routing keys of its own.
	AllowCC bool `toml:"allow_cc" json:"allow_cc"`
	// How often and how soon a failed message is tried again.
	Retry Retry `toml:"retry" json:"retry"`
	// The window in which messages that come again are dropped.
	Dedup Dedup `toml:"dedup" json:"dedup"`
}

// Retry says how a message that failed for a reason that may pass is tried
// again.
type Retry struct {
	// Attempts in all, the first included; after the last the message becomes
	// a dead letter.
	MaxAttempts int `toml:"max_attempts" json:"max_attempts" rule:"min=1,max=1000000"`
	// The wait before the second attempt; it grows with each further one.
	Backoff Duration `toml:"backoff" json:"backoff" rule:"min=1ms,max=1h"`
	// The longest wait.
	MaxBackoff Duration `toml:"max_backoff" json:"max_backoff" rule:"min=1ms,max=24h"`
	// Try a message that no queue takes again too, for targets whose queues,
	// bindings or exchanges come and go, instead of making it a dead letter at
	// once. A route that keeps order stands still meanwhile.
	Unroutable bool `toml:"unroutable" json:"unroutable"`
}

// Dedup remembers which messages were sent where, so that a redelivered message
// is not sent twice.
type Dedup struct {
	// How many messages are remembered; 0 remembers none.
	Window int `toml:"window" json:"window" rule:"min=0,max=16777216"`
	// How long each is remembered.
	TTL Duration `toml:"ttl" json:"ttl" rule:"min=1s,max=168h"`
}

// Process holds what concerns the process as a whole.
type Process struct {
	// How long a stopping router may take to finish the messages in hand; the
	// broker delivers the rest again.
	DrainTimeout Duration `toml:"drain_timeout" json:"drain_timeout" rule:"min=0s,max=1h"`
	// Where compiled filters are kept. The default is wasmrouter in the user's
	// cache directory.
	CacheDir string `toml:"cache_dir" json:"cache_dir"`
	// How much of them is kept there. What was not used for longest goes first.
	CacheSize Size `toml:"cache_size" json:"cache_size" rule:"min=1MiB,max=1024GiB"`
	// Allow filter files outside the configuration file's directory.
	AllowOutsidePaths bool `toml:"allow_outside_paths" json:"allow_outside_paths"`
	// Refuse filter files that have no sha256.
	RequirePins bool `toml:"require_pins" json:"require_pins"`
	// Ed25519 public keys, as PEM or the base64 in it. When there are any, each
	// filter file must have a signature of its bytes by one of them beside it,
	// in a file of its name with .sig added; any other is refused.
	Signers []string `toml:"signers" json:"signers"`
}

// Admin is the HTTP listener for health, metrics and profiles.
type Admin struct {
	// HOST:PORT to listen on; empty turns it off. An address that is not this
	// machine's own (loopback) needs a token or client_ca_file.
	Listen string `toml:"listen" json:"listen"`
	// Offer Go's profiles under /debug/pprof/.
	Pprof bool `toml:"pprof" json:"pprof"`
	// What callers must present as a bearer token; none when empty.
	Token Secret `toml:"token" json:"token"`
	// PEM file with a certificate: the listener then speaks HTTPS alone. Both
	// files are read again when they change.
	CertFile string `toml:"cert_file" json:"cert_file"`
	// PEM file with the certificate's key.
	KeyFile string `toml:"key_file" json:"key_file"`
	// PEM file with the authorities of which callers need a certificate; with it
	// no token is needed.
	ClientCAFile string `toml:"client_ca_file" json:"client_ca_file"`
	// Show callers what is in messages, where the listener tells of single ones:
	// bodies, the values of headers and properties, and the words in which a filter
	// says why. Without it they get names and sizes, routing keys, content types and
	// message ids.
	Bodies bool `toml:"bodies" json:"bodies"`
}

// Log says what is logged and how.
type Log struct {
	// The least severity that is logged.
	Level string `toml:"level" json:"level" rule:"one=debug|info|warn|error"`
	// One of text and json; auto is text on a terminal and JSON otherwise.
	Format string `toml:"format" json:"format" rule:"one=auto|text|json"`
}

// Telemetry says where the spans of messages go.
type Telemetry struct {
	// URL of what listens for OTLP over HTTP, such as http://127.0.0.1:4318;
	// /v1/traces is added. Empty leaves it to OTEL_EXPORTER_OTLP_ENDPOINT, and
	// without that there are no traces, and they cost nothing.
	Endpoint string `toml:"endpoint" json:"endpoint"`
	// Headers of each request, NAME=VALUE with commas between them; a value is
	// percent-encoded.
	Headers Secret `toml:"headers" json:"headers"`
	// PEM file with the authorities to trust instead of the system's, for https.
	CAFile string `toml:"ca_file" json:"ca_file"`
	// The name of this service in traces. Empty leaves it to OTEL_SERVICE_NAME,
	// and without that it is router.
	ServiceName string `toml:"service_name" json:"service_name" rule:"max=255"`
	// Of the traces that begin here, one in so many is kept. 0 leaves it to
	// OTEL_TRACES_SAMPLER, and without that all are. A message that brings a
	// trace's context is kept if whoever began the trace keeps it.
	SampleOneIn int `toml:"sample_one_in" json:"sample_one_in" rule:"min=0,max=1000000000"`
}
