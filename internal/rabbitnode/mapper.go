package rabbitnode

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
)

// The messages of Erlang's port mapper, epmd, as "Distribution Protocol" in the ERTS
// user's guide has them.
const (
	mapperAlive     = 120 // a node tells its name and port
	mapperAliveOK   = 121 // the answer to old nodes
	mapperAliveXOK  = 118 // the answer to nodes of version 6 and later
	mapperPlease    = 122 // where does this name listen?
	mapperPort      = 119 // the answer to that
	mapperNames     = 110 // every name there is
	mapperNormal    = 77
	mapperVersion   = 6
	mapperOldest    = 5
	mapperMaxLength = 1024
)

// answer serves one connection to the mapper of a member.
func (f *fabric) answer(m *member, c net.Conn) {
	head := make([]byte, 3)
	if _, err := io.ReadFull(c, head); err != nil {
		return
	}
	size := int(binary.BigEndian.Uint16(head))
	if size < 1 || size > mapperMaxLength {
		return
	}
	body := make([]byte, size-1)
	if _, err := io.ReadFull(c, body); err != nil {
		return
	}
	switch head[2] {
	case mapperAlive:
		name, port, version, err := aliveRequest(body)
		if err != nil {
			return
		}
		f.register(name, port)
		if _, err := c.Write(aliveAnswer(version)); err == nil {
			// The name lasts as long as the connection, on which nothing is said.
			_, _ = c.Read(head)
		}
		f.register(name, 0)
	case mapperPlease:
		_, _ = c.Write(portAnswer(string(body), f.port(m, string(body))))
	case mapperNames:
		_, _ = c.Write(f.namesAnswer(m))
	}
}

// aliveRequest reads the name and port of a node that starts, and the highest
// version that it knows.
func aliveRequest(b []byte) (name string, port, version int, err error) {
	const fixed = 10 // port, type, protocol, two versions, length of the name
	if len(b) < fixed {
		return "", 0, 0, errors.New("the registration of a node is too short")
	}
	length := int(binary.BigEndian.Uint16(b[8:]))
	if len(b) < fixed+length {
		return "", 0, 0, errors.New("the registration of a node ends within its name")
	}
	return string(b[fixed : fixed+length]), int(binary.BigEndian.Uint16(b)), int(binary.BigEndian.Uint16(b[4:])), nil
}

// aliveAnswer accepts a registration. The creation, which tells a node's lives apart,
// is left to the node from version 6 on.
func aliveAnswer(version int) []byte {
	if version >= mapperVersion {
		return []byte{mapperAliveXOK, 0, 0, 0, 0, 1}
	}
	return []byte{mapperAliveOK, 0, 0, 1}
}

func portAnswer(name string, port int) []byte {
	if port == 0 {
		return []byte{mapperPort, 1}
	}
	b := []byte{mapperPort, 0}
	b = binary.BigEndian.AppendUint16(b, uint16(port))
	b = append(b, mapperNormal, 0)
	b = binary.BigEndian.AppendUint16(b, mapperVersion)
	b = binary.BigEndian.AppendUint16(b, mapperOldest)
	b = binary.BigEndian.AppendUint16(b, uint16(len(name)))
	b = append(b, name...)
	return append(b, 0, 0) // nothing more
}

// namesAnswer lists the member itself, which looks whether its name is taken, and
// whatever else is registered.
func (f *fabric) namesAnswer(m *member) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := binary.BigEndian.AppendUint32(nil, uint32(m.mapper.Addr().(*net.TCPAddr).Port))
	if m.port != 0 {
		b = fmt.Appendf(b, "name %s at port %d\n", m.name, m.port)
	}
	for name, port := range f.others {
		if port != 0 {
			b = fmt.Appendf(b, "name %s at port %d\n", name, port)
		}
	}
	return b
}
