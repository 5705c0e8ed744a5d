package workbench

import "testing"

func TestOneLineHidesAndSteersNothing(t *testing.T) {
	for text, want := range map[string]string{
		"":                                "",
		"grüße, 你好 'x' \\ é \u00a0!":      "grüße, 你好 'x' \\ é \u00a0!",
		"a\nb\tc\r":                       `a b\tc\r`,
		"\x1b[2J\x00\x7f":                 `\x1b[2J\x00\x7f`,
		"c1 \u009b31m \u0085":             `c1 \u009b31m \u0085`,
		"raw \x9b31m":                     "raw \ufffd31m",
		"\u202egnp.exe\u2066\u2028\ufeff": `\u202egnp.exe\u2066\u2028\ufeff`,
	} {
		if got := OneLine(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
