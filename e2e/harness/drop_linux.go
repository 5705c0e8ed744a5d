package harness

import (
	"math"
	"net"

	"golang.org/x/sys/unix"
)

// randomWord is the address at which a socket filter loads 32 random bits: SKF_AD_OFF
// and SKF_AD_RANDOM of linux/filter.h.
const randomWord = math.MaxUint32 - 0x1000 + 1 + 56

// drop has the kernel drop a share of the packets that arrive on a connection, in
// percent: a socket filter of four instructions throws dice for each, before TCP sees
// it, and what is dropped counts as never arrived. With 0 that is over.
func drop(c *net.TCPConn, percent int) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: randomWord},
		{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, Jf: 1, K: uint32(percent * (math.MaxUint32 / 100))},
		{Code: unix.BPF_RET | unix.BPF_K, K: math.MaxUint32}, // above: the whole packet
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},              // below: nothing
	}
	if percent >= 100 {
		program = program[3:]
	}
	var result error
	err = raw.Control(func(fd uintptr) {
		if percent <= 0 {
			if result = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0); result == unix.ENOENT {
				result = nil // there is none
			}
			return
		}
		result = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
			&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	})
	if err != nil {
		return err
	}
	return result
}
