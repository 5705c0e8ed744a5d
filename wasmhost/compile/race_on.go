//go:build race

package compile

// slowdown: the race detector makes the compiler that many times slower, which
// is no fault of the modules that tests compile.
const slowdown = 10
