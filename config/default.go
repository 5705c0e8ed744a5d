package config

import "time"

// Preset is every default: the file's own tables, and what an entry of each
// named table starts from.
type Preset struct {
	Config   Config
	Exchange Exchange
	Queue    Queue
	Filter   Filter
	Route    Route
}

// DefaultURL is the broker's address when none is written.
const DefaultURL = "amqp://127.0.0.1:5672/"

// Default returns all defaults. Three depend on other keys and are filled in
// by [Load]: broker.url (unless urls is there), a route's parallel and its
// dead_letter.
func Default() Preset {
	return Preset{
		Config: Config{
			Broker: Broker{
				ConnectionName: "router",
				Heartbeat:      Duration(10 * time.Second),
				DialTimeout:    Duration(5 * time.Second),
				WriteTimeout:   Duration(5 * time.Second),
				ConfirmTimeout: Duration(30 * time.Second),
			},
			Process: Process{DrainTimeout: Duration(25 * time.Second), CacheSize: 512 * MiB},
			Admin:   Admin{Listen: "127.0.0.1:9690", Pprof: true},
			Log:     Log{Level: "info", Format: "auto"},
		},
		Exchange: Exchange{Durable: true, Declare: "create"},
		Queue:    Queue{Type: "classic", Durable: true, Declare: "create"},
		Filter: Filter{
			Limits: Limits{
				Time:           Duration(50 * time.Millisecond),
				StartTime:      Duration(2 * time.Second),
				Fuel:           1_000_000_000,
				StartFuel:      10_000_000_000,
				Memory:         16 * MiB,
				Table:          65_536,
				Stack:          16 * MiB,
				Output:         4 * MiB,
				ModuleSize:     16 * MiB,
				CompileTime:    Duration(30 * time.Second),
				CompileMemory:  512 * MiB,
				LogLines:       10,
				LogRate:        50,
				Targets:        16,
				Emit:           16,
				KVSize:         MiB,
				KVTTL:          Duration(time.Hour),
				Instances:      128,
				Recycle:        75,
				RestartBackoff: Duration(100 * time.Millisecond),
				MaxBackoff:     Duration(30 * time.Second),
			},
		},
		Route: Route{
			Prefetch:     256,
			Format:       "plain",
			ErrorReplies: true,
			Mode:         "forward",
			ProxyTimeout: Duration(time.Minute),
			ProxyCalls:   100_000,
			Order:        "queue",
			OnError:      "dead-letter",
			MaxMessage:   4 * MiB,
			Retry: Retry{
				MaxAttempts: 5,
				Backoff:     Duration(200 * time.Millisecond),
				MaxBackoff:  Duration(30 * time.Second),
			},
			Dedup: Dedup{Window: 8192, TTL: Duration(2 * time.Minute)},
		},
	}
}
