// Package conformance tests filters and hosts against docs/ABI.md.
//
// [Check] takes any filter module through what a router may do to it, and
// [CheckCommands] the conformance filter of SPEC.md, which every SDK has, through
// the golden vectors. Both drive the module through an [Engine], which calls
// its exports one by one. [CheckHost] takes a [Host] through what a filter may
// do to it.
//
// The package has its own encoder of frames and its own decoder of deltas,
// written from the text, so that a mistake of the router or of an SDK does not
// hide behind itself. It imports the standard library only.
package conformance
