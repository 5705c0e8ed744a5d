//go:build !unix

package compile

import "io/fs"

// checkOwner trusts the access lists of systems without user ids.
func checkOwner(string, fs.FileInfo) error { return nil }
