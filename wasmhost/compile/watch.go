package compile

import (
	"runtime/metrics"
	"time"
)

// watchMemory calls full, once, when this process has taken that many bytes
// more than now. It is for systems whose limits do not count what Go maps, and
// goes on as long as the process.
func watchMemory(memory int64, full func()) {
	start := goMemory()
	go func() {
		for goMemory()-start < memory {
			time.Sleep(5 * time.Millisecond)
		}
		full()
	}()
}

// goMemory returns how much memory Go's runtime holds and has not given back.
func goMemory() int64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64() - s[1].Value.Uint64())
}
