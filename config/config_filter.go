package config

// Filter is one WebAssembly module with its configuration.
type Filter struct {
	// The module: a file relative to the configuration file's directory, or
	// stock:NAME for one that is built in.
	Path string `toml:"path" json:"path" rule:"required"`
	// The module's SHA-256 in hexadecimal. A module with another sum is
	// refused.
	SHA256 string `toml:"sha256" json:"sha256"`
	// The stages the filter takes part in, when fewer than the module offers.
	Stages []string `toml:"stages" json:"stages" rule:"one=decode|unpack|decide|pack|encode"`
	// What becomes of a message when this filter fails on it. The default is
	// the route's on_error.
	OnError string `toml:"on_error" json:"on_error" rule:"one=dead-letter|retry|drop|pass"`
	// Configuration handed to the filter when it starts.
	Config Table `toml:"config" json:"config"`
	// What the filter may use.
	Limits Limits `toml:"limits" json:"limits"`
	// What the filter is given besides the message. Nothing by default.
	Grants Grants `toml:"grants" json:"grants"`
	// A new version of the filter, which is tried beside it on the same messages.
	Shadow Shadow `toml:"shadow" json:"shadow"`
}

// Shadow is a new version of a filter. It has the filter's limits and grants, a
// kv cache of its own, and metrics under the filter's name with /shadow added.
type Shadow struct {
	// The new version's module, written as the filter's path is. It is given
	// copies of the messages, and what it makes of them has no effect until it is
	// promoted.
	Path string `toml:"path" json:"path" rule:"required"`
	// Its SHA-256 in hexadecimal. A module with another sum is refused.
	SHA256 string `toml:"sha256" json:"sha256"`
	// The stages that it takes part in. The default is the filter's stages.
	Stages []string `toml:"stages" json:"stages" rule:"one=decode|unpack|decide|pack|encode"`
	// Configuration handed to it when it starts. The default is the filter's
	// config.
	Config Table `toml:"config" json:"config"`
	// Which part of the messages it decides, in percent, before it decides all of
	// them. With 0 it goes from none to all in one step.
	Share int `toml:"share" json:"share" rule:"min=0,max=99"`
	// With how many messages it must have been tried, before each step, to be
	// promoted without a command. With 0 that takes a command.
	PromoteAfter int64 `toml:"promote_after" json:"promote_after" rule:"min=0"`
	// With promote_after: of how many messages it may make something else than
	// the version in use. With one more it is rolled back.
	MaxDifferences int64 `toml:"max_differences" json:"max_differences" rule:"min=0"`
	// The longest that 99 of 100 of its calls may take. If more take longer it is
	// rolled back. 0s is no bound.
	MaxLatency Duration `toml:"max_latency" json:"max_latency" rule:"min=0s,max=1m"`
}

// Limits bound what one filter may use.
type Limits struct {
	// The longest that one call may take.
	Time Duration `toml:"time" json:"time" rule:"min=1ms,max=1m"`
	// The longest that starting an instance may take.
	StartTime Duration `toml:"start_time" json:"start_time" rule:"min=1ms,max=1m"`
	// The most work of one call, in loop iterations and function entries.
	Fuel int64 `toml:"fuel" json:"fuel" rule:"min=1000"`
	// The most work of starting an instance, counted in the same way.
	StartFuel int64 `toml:"start_fuel" json:"start_fuel" rule:"min=1000"`
	// The most linear memory, rounded down to 64 KiB pages.
	Memory Size `toml:"memory" json:"memory" rule:"min=64KiB,max=2097088KiB"`
	// The most elements that the tables of an instance may have at the start,
	// together, and that each of them may grow to.
	Table int `toml:"table" json:"table" rule:"min=1,max=10000000"`
	// The most machine stack of one call, as seen when the call yields.
	Stack Size `toml:"stack" json:"stack" rule:"min=64KiB,max=48MiB"`
	// The most that one call may return.
	Output Size `toml:"output" json:"output" rule:"min=1KiB,max=128MiB"`
	// The largest module file.
	ModuleSize Size `toml:"module_size" json:"module_size" rule:"min=8B,max=128MiB"`
	// The longest that compiling the module may take, of wall time and, in full
	// seconds, of processor time.
	CompileTime Duration `toml:"compile_time" json:"compile_time" rule:"min=100ms,max=10m"`
	// The most memory that compiling the module may take.
	CompileMemory Size `toml:"compile_memory" json:"compile_memory" rule:"min=32MiB,max=64GiB"`
	// The most log lines per call; further ones are counted and dropped.
	LogLines int `toml:"log_lines" json:"log_lines" rule:"min=1,max=1000"`
	// The most log lines per second of all instances together, after a burst
	// of four times as many; further ones are counted and dropped.
	LogRate int `toml:"log_rate" json:"log_rate" rule:"min=1,max=10000"`
	// The most targets of one message.
	Targets int `toml:"targets" json:"targets" rule:"min=1,max=1024"`
	// The most messages that one call may make.
	Emit int `toml:"emit" json:"emit" rule:"min=1,max=1024"`
	// The most bytes in the cache of the grant kv, over all instances. Each
	// entry counts with its key, its value and 128 bytes.
	KVSize Size `toml:"kv_size" json:"kv_size" rule:"min=4KiB,max=1GiB"`
	// The longest that an entry of that cache lives.
	KVTTL Duration `toml:"kv_ttl" json:"kv_ttl" rule:"min=1ms,max=720h"`
	// The most instances at once, in all lanes of all routes, one spare
	// included.
	Instances int `toml:"instances" json:"instances" rule:"min=2,max=65536"`
	// An instance whose memory has grown past this share of its limit, in
	// percent, is replaced between two messages; with 100 never.
	Recycle int `toml:"recycle" json:"recycle" rule:"min=10,max=100"`
	// How long the filter rests before it is started anew when it keeps
	// failing; the rest doubles with each further failure.
	RestartBackoff Duration `toml:"restart_backoff" json:"restart_backoff" rule:"min=1ms,max=1m"`
	// The longest rest.
	MaxBackoff Duration `toml:"max_backoff" json:"max_backoff" rule:"min=1ms,max=1h"`
}

// Grants are what a filter is given besides the message.
type Grants struct {
	// The wall clock, to the nanosecond.
	Clock bool `toml:"clock" json:"clock"`
	// Random bytes.
	Random bool `toml:"random" json:"random"`
	// Its own metrics.
	Metrics bool `toml:"metrics" json:"metrics"`
	// A cache of keys and values that all instances of the filter share, in the
	// router's memory.
	KV bool `toml:"kv" json:"kv"`
}
