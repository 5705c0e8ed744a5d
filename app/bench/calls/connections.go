package calls

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// connections returns how many TCP connections a process has to the port of
// the broker's URL, 0 if the system does not tell.
func connections(pid int, broker string) int {
	u, err := url.Parse(broker)
	if err != nil {
		return 0
	}
	port := 5672
	if p, err := strconv.Atoi(u.Port()); err == nil {
		port = p
	} else if strings.HasSuffix(u.Scheme, "s") {
		port = 5671
	}
	sockets := map[string]bool{}
	dir := fmt.Sprintf("/proc/%d", pid)
	files, err := filepath.Glob(dir + "/fd/*")
	if err != nil {
		return 0
	}
	for _, file := range files {
		if link, err := os.Readlink(file); err == nil {
			if inode, ok := strings.CutPrefix(link, "socket:["); ok {
				sockets[strings.TrimSuffix(inode, "]")] = true
			}
		}
	}
	n := 0
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile(filepath.Join(dir, "net", table))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			// sl, local, remote, state, queues, timer, retransmits, uid, timeout, inode
			f := strings.Fields(line)
			const established = "01"
			if len(f) > 9 && f[3] == established && strings.HasSuffix(f[2], fmt.Sprintf(":%04X", port)) && sockets[f[9]] {
				n++
			}
		}
	}
	return n
}
