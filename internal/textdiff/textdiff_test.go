package textdiff

import "testing"

func TestDiffKeepsWhatIsCommon(t *testing.T) {
	got := Lines("a\nb\nc\nd\n", "a\nc\nx\nd\n")
	if want := "    a\n  - b\n    c\n  + x\n    d\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
