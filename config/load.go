package config

import "errors"

// Options changes how Load reads. The zero Options is what one wants outside
// of tests.
type Options struct {
	// Env looks up environment variables; nil is os.LookupEnv.
	Env func(name string) (value string, ok bool)
}

// Load reads the file at path. The error is [Errors].
func Load(path string, o Options) (*Config, []Warning, error) {
	return nil, nil, errors.ErrUnsupported
}

// Parse reads data as Load reads a file. Name stands for the file in errors;
// relative paths are relative to dir. The error is [Errors].
func Parse(name string, data []byte, dir string) (*Config, []Warning, error) {
	return nil, nil, errors.ErrUnsupported
}

type document struct{}

// Position returns where a key was written: the column of its value, or of the
// name in a table's header. An index in an array is given as a decimal number.
func (c *Config) Position(keys ...string) (line, col int, ok bool) { return 0, 0, false }

// Errorf returns an error at the position of a key, or of the nearest table
// above it that was written. Hint may be empty. It is meant for what only the
// application can judge.
func (c *Config) Errorf(keys []string, hint, format string, args ...any) *Error { return nil }

// ReadFilter returns the module of the named filter.
func (c *Config) ReadFilter(name string) ([]byte, error) { return nil, errors.ErrUnsupported }
