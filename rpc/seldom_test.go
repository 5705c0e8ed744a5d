package rpc

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestSeldomIsTheFirstAndThenOneAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s seldom
		var got []time.Duration
		start := time.Now()
		for range 181 {
			if s.now() {
				got = append(got, time.Since(start))
			}
			time.Sleep(time.Second)
		}
		if len(got) != 4 || got[0] != 0 || got[1] != time.Minute || got[3] != 3*time.Minute {
			t.Errorf("let through after %v", got)
		}
	})
}
