package amqp

// Topology is what is declared on every new connection, in the order
// exchanges, queues, bindings.
type Topology struct {
	Exchanges []Exchange
	Queues    []Queue
	Bindings  []Binding
}

// Exchange is one exchange to declare, or with Passive only to check for.
type Exchange struct {
	Name       string
	Type       string // direct, topic, fanout, headers or a plugin's; the default is direct
	Durable    bool
	AutoDelete bool
	Internal   bool
	Passive    bool
	Arguments  map[string]any
}

// Queue is one queue to declare, or with Passive only to check for. Arguments
// are as TOML decodes them, or any value that a header may hold.
type Queue struct {
	Name       string
	Type       string // classic or quorum; the default leaves it to the broker
	Durable    bool
	AutoDelete bool
	Exclusive  bool
	Passive    bool
	Arguments  map[string]any
}

// Binding binds a queue to an exchange.
type Binding struct {
	Exchange  string
	Queue     string
	Key       string
	Arguments map[string]any
}
