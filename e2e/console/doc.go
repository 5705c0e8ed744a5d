// Package console tests the console in a real browser, on a router under load.
//
//	go test ./e2e/console -screens DIR
//
// leaves pictures of every page in DIR, to be looked at.
package console
