package rabbitnode

import (
	"errors"
	"net"
	"strconv"
	"sync"
)

// fabric is the network between the nodes of a cluster. It stands where Erlang's
// port mapper, epmd, stands otherwise: each node has a mapper of its own, which
// names for each other node the port of a link of the fabric, not the node's. All
// that a node says to another goes through its link, and can be held up there, as
// a network that loses every packet does, without the rights that a firewall needs.
type fabric struct {
	wg sync.WaitGroup // every goroutine of the fabric

	mu      sync.Mutex // protects the fields below
	members []*member
	others  map[string]int // ports of what is no member, such as rabbitmqctl
	changed chan struct{}  // closed and replaced when a cut is made or mended
	open    map[net.Conn]struct{}
	closed  bool
}

// member is one node as the fabric has it.
type member struct {
	name   string // without the host
	mapper net.Listener
	links  map[string]net.Listener // to the other members, by name
	port   int                     // where the node listens to others; 0 while it does not run
	cut    bool
}

// newFabric returns the running network of members with these names.
func newFabric(names []string) (*fabric, error) {
	f := &fabric{others: map[string]int{}, changed: make(chan struct{}), open: map[net.Conn]struct{}{}}
	for _, name := range names {
		m := &member{name: name, links: map[string]net.Listener{}}
		f.members = append(f.members, m)
		var err error
		if m.mapper, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			f.close()
			return nil, err
		}
		for _, other := range names {
			if other == name {
				continue
			}
			if m.links[other], err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
				f.close()
				return nil, err
			}
		}
	}
	for _, m := range f.members {
		f.serve(m.mapper, func(c net.Conn) { f.answer(m, c) })
		for other, l := range m.links {
			f.serve(l, func(c net.Conn) { f.link(m, f.member(other), c) })
		}
	}
	return f, nil
}

func (f *fabric) member(name string) *member {
	for _, m := range f.members {
		if m.name == name {
			return m
		}
	}
	return nil
}

// port is what the mapper of m says about a name, 0 if nobody has it.
func (f *fabric) port(m *member, name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch asked := f.member(name); {
	case asked == nil:
		return f.others[name]
	case asked == m:
		return m.port
	default:
		// A node that is cut off, or down, cannot be told from one that does not
		// answer: its link is always there.
		return m.links[name].Addr().(*net.TCPAddr).Port
	}
}

// register notes where a name listens; port 0 takes it back.
func (f *fabric) register(name string, port int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m := f.member(name); m != nil {
		m.port = port
		return
	}
	f.others[name] = port
}

// setCut cuts a member off from all others, or mends that.
func (f *fabric) setCut(name string, cut bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.member(name).cut = cut
	close(f.changed)
	f.changed = make(chan struct{})
}

var errFabricClosed = errors.New("the fabric of the cluster is closed")

// pass waits until what a says can reach b.
func (f *fabric) pass(a, b *member) error {
	for {
		f.mu.Lock()
		closed, passable, changed := f.closed, !a.cut && !b.cut, f.changed
		f.mu.Unlock()
		if closed {
			return errFabricClosed
		}
		if passable {
			return nil
		}
		<-changed
	}
}

// link carries a connection that a makes to b.
func (f *fabric) link(a, b *member, near net.Conn) {
	if f.pass(a, b) != nil {
		return
	}
	f.mu.Lock()
	port := b.port
	f.mu.Unlock()
	far, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil || !f.keep(far) {
		return
	}
	defer f.drop(far)
	back := make(chan struct{})
	go func() {
		defer close(back)
		f.carry(near, far, b, a)
	}()
	f.carry(far, near, a, b)
	<-back
}

// carry hands on what src says until it ends. Its end, too, takes its time while
// the way is cut.
func (f *fabric) carry(dst, src net.Conn, from, to *member) {
	buf := make([]byte, 64<<10)
	for {
		n, err := src.Read(buf)
		if f.pass(from, to) == nil && n > 0 {
			_, werr := dst.Write(buf[:n])
			err = errors.Join(err, werr)
		}
		if err != nil {
			// Each direction closes both ends, and so ends the other one.
			_ = dst.Close()
			_ = src.Close()
			return
		}
	}
}

// serve answers the connections of a listener, each in a goroutine of its own,
// until the fabric closes.
func (f *fabric) serve(l net.Listener, handle func(net.Conn)) {
	f.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if !f.keep(c) {
				return
			}
			f.wg.Go(func() {
				defer f.drop(c)
				handle(c)
			})
		}
	})
}

// keep notes an open connection; a closed fabric closes it instead.
func (f *fabric) keep(c net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		_ = c.Close()
		return false
	}
	f.open[c] = struct{}{}
	return true
}

func (f *fabric) drop(c net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.open, c)
	_ = c.Close()
}

// close ends every connection and waits for the goroutines.
func (f *fabric) close() {
	f.mu.Lock()
	if !f.closed {
		f.closed = true
		close(f.changed)
	}
	for _, m := range f.members {
		for _, l := range m.links {
			_ = l.Close()
		}
		if m.mapper != nil {
			_ = m.mapper.Close()
		}
	}
	for c := range f.open {
		_ = c.Close()
	}
	f.mu.Unlock()
	f.wg.Wait()
}

// mapperPort is the port of a member's mapper.
func (f *fabric) mapperPort(name string) int {
	return f.member(name).mapper.Addr().(*net.TCPAddr).Port
}
