package config

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"30s": 30 * time.Second, "1m30s": 90 * time.Second, "200ms": 200 * time.Millisecond, "1.5h": 90 * time.Minute, "0s": 0, "0": 0,
	} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d.Std() != want {
			t.Errorf("%q: %v, %v", text, d, err)
		}
	}
	for _, text := range []string{"", "10", "-1s", "1 s", "1d", "s", "1s1", "9999999999h"} {
		d := Duration(7)
		if err := d.UnmarshalText([]byte(text)); err == nil || d != 7 {
			t.Errorf("%q: %v, %v", text, d, err)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "0s", time.Minute: "1m", time.Hour: "1h", 25 * time.Second: "25s", 90 * time.Minute: "1h30m", 10 * time.Minute: "10m", time.Hour + time.Second: "1h0m1s",
	} {
		if got := Duration(d).String(); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]Size{
		"0B": 0, "1500B": 1500, "4KiB": 4096, "4 MiB": 4 << 20, "2GiB": 2 << 30, "3kB": 3000, "3KB": 3000, "1MB": 1e6, "1GB": 1e9,
		"8589934591GiB": 8589934591 << 30,
	} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%q: %d, %v", text, s, err)
		}
	}
	for _, text := range []string{"", "4", "4M", "MiB", "-1B", "1.5MiB", "4  MiB", "+4B", "0x4B", "8589934592GiB", "9223372036854775808B", "4mib"} {
		s := Size(7)
		if err := s.UnmarshalText([]byte(text)); err == nil || s != 7 {
			t.Errorf("%q: %d, %v", text, s, err)
		}
	}
}

func TestUnitsReadWhatTheyWrite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, "duration"))
		if rapid.Bool().Draw(t, "whole") {
			d -= d % Duration(time.Minute)
		}
		s := Size(rapid.Int64Range(0, math.MaxInt64).Draw(t, "size")) &^ (1<<rapid.IntRange(0, 40).Draw(t, "zeroes") - 1)
		var d2 Duration
		var s2 Size
		if err := d2.UnmarshalText([]byte(d.String())); err != nil || d2 != d {
			t.Errorf("%d: %s: %d, %v", d, d, d2, err)
		}
		if err := s2.UnmarshalText([]byte(s.String())); err != nil || s2 != s {
			t.Errorf("%d: %s: %d, %v", s, s, s2, err)
		}
	})
}

func TestNearestName(t *testing.T) {
	known := []string{"prefetch", "listen", "send", "on_error", "url", "urls"}
	for name, want := range map[string]string{
		"prefecth": "prefetch", "Listen": "listen", "snd": "send", "on-error": "on_error", "onerror": "on_error", "ur": "url", "x": "", "": "",
		"completely_else": "", "prefe": "", "prefet": "prefetch",
	} {
		if got := nearest(name, known); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestDistanceIsAMetricOfEdits(t *testing.T) {
	words := rapid.SliceOfN(rapid.RuneFrom([]rune("abü")), 0, 6)
	rapid.Check(t, func(t *rapid.T) {
		a, b := words.Draw(t, "a"), words.Draw(t, "b")
		d := distance(a, b)
		if d != distance(b, a) || (d == 0) != (string(a) == string(b)) || d > max(len(a), len(b)) || d < max(len(a)-len(b), len(b)-len(a)) {
			t.Errorf("%q %q: %d", string(a), string(b), d)
		}
	})
	if got := distance([]rune("prefecth"), []rune("prefetch")); got != 1 {
		t.Errorf("a swap counts %d", got)
	}
}
