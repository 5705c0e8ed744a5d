package manual

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAPage(t *testing.T) {
	p := Page{
		Name: "router-run", Section: 1, Summary: "run it", Version: "v1", Synopsis: "router run [flags]",
		Parts: []Part{
			{Title: "DESCRIPTION", Text: "One\n.two \\n\n\n  as it is\n\n  'here\n\nThree"},
			{Title: "OPTIONS", Entries: []Entry{{Term: "-c, --config", Text: "the\nfile"}}},
		},
	}
	const want = `.TH "ROUTER\-RUN" 1 "" "router v1" Router
.nh
.ad l
.SH NAME
router\-run \- run it
.SH SYNOPSIS
.B router run [flags]
.SH "DESCRIPTION"
One
\&.two \en
.PP
.PP
.RS 4
.nf
as it is
.sp
\(aqhere
.sp
.fi
.RE
.PP
Three
.SH "OPTIONS"
.TP
.B \-c, \-\-config
the file
`
	var b strings.Builder
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
	if got := p.FileName(); got != "router-run.1" {
		t.Error(got)
	}
}

func TestKeysOfASchema(t *testing.T) {
	const text = `{
"properties": {"routes": {"additionalProperties": {"$ref": "#/$defs/Route"}, "description": "Routes."}},
"$defs": {
  "Route": {"properties": {
    "listen": {"description": "The queue."},
    "order": {"anyOf": [{"enum": ["queue", "none"]}, {"$ref": "#/$defs/Interpolated"}], "description": "The order.", "default": "queue"},
    "bind": {"items": {"$ref": "#/$defs/Retry"}, "description": "Bindings."},
    "retry": {"$ref": "#/$defs/Retry", "description": "Again."}}, "additionalProperties": false},
  "Retry": {"properties": {"max": {"description": "How often.", "default": 5}}}
}}`
	want := []Part{
		{Title: "[routes.NAME]", Text: "Routes.", Entries: []Entry{{"listen", "The queue."}, {"order", `The order. One of queue, none. Default: "queue".`}}},
		{Title: "[[routes.NAME.bind]]", Text: "Bindings.", Entries: []Entry{{"max", "How often. Default: 5."}}},
		{Title: "[routes.NAME.retry]", Text: "Again.", Entries: []Entry{{"max", "How often. Default: 5."}}},
	}
	got, err := Keys([]byte(text))
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if _, err := Keys([]byte("{")); err == nil {
		t.Error("no error for half a schema")
	}
}
