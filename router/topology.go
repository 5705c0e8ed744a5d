package router

// Topology is what must exist at the broker. It is declared in the order
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
	// Shared says that others declare it too, with properties of their choice:
	// what exists with others is taken as it is.
	Shared    bool
	Arguments map[string]any
}

// Queue is one queue to declare, or with Passive only to check for. Arguments
// are as TOML decodes them, or any value that a header may hold.
type Queue struct {
	Name       string
	Type       string // classic or quorum; the default leaves it to the broker and the arguments
	Durable    bool
	AutoDelete bool
	Exclusive  bool
	Passive    bool
	// Shared says that others declare it too, with properties of their choice:
	// what exists with others is taken as it is, and where the broker permits
	// no queue that is neither durable nor exclusive, it is made durable.
	Shared    bool
	Arguments map[string]any
}

// Binding binds a queue to an exchange.
type Binding struct {
	Exchange  string
	Queue     string
	Key       string
	Arguments map[string]any
}

// Empty reports whether there is nothing to declare.
func (t Topology) Empty() bool { return len(t.Exchanges)+len(t.Queues)+len(t.Bindings) == 0 }

// Join returns what is in t and what is in u.
func (t Topology) Join(u Topology) Topology {
	return Topology{
		Exchanges: append(t.Exchanges[:len(t.Exchanges):len(t.Exchanges)], u.Exchanges...),
		Queues:    append(t.Queues[:len(t.Queues):len(t.Queues)], u.Queues...),
		Bindings:  append(t.Bindings[:len(t.Bindings):len(t.Bindings)], u.Bindings...),
	}
}
