package main

import "slices"

// A claim is a row of the tables of docs/SECURITY.md.
type claim struct {
	begin    string // how the row begins
	defences []defence
}

// A defence is something that a claim rests on.
type defence struct {
	test  string // package and name of the test that fails without it, as the row names them
	what  string // what is the case without it
	edits []edit // how it is taken out
}

// An edit replaces text that is in a file once.
type edit struct{ file, old, new string }

// claims are the rows of docs/SECURITY.md, in its order.
func claims() []claim {
	return slices.Concat(filterClaims, messageClaims, brokerClaims, adminClaims, processClaims)
}
