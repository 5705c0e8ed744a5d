//go:build !unix

package wasmhost

import "io/fs"

// checkOwner trusts the access lists of systems without user ids.
func checkOwner(string, fs.FileInfo) error { return nil }
