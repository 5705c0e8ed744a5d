package app

import (
	"context"
	"log/slog"

	"github.com/wasmrouter/router/config"
	"github.com/wasmrouter/router/wasmhost"
	"github.com/wasmrouter/router/wasmhost/compile"
)

// NewHost returns a host for filters that keeps compiled modules in dir. When
// dir is empty it is the user's cache directory, and a directory that cannot be
// used is then a warning, not an error. The caller closes the host.
//
// Filters are compiled by processes of the same program, so that main, or
// TestMain, must call [compile.Main].
func NewHost(ctx context.Context, dir string, log *slog.Logger) (*wasmhost.Host, error) {
	cfg := config.Default().Config
	cfg.Process.CacheDir = dir
	return newHost(ctx, &cfg, log)
}

// newHost returns the filter host that a configuration asks for. Where the
// configuration names no directory to keep compiled filters in, and the user's
// cannot be had, they are compiled at each start.
func newHost(ctx context.Context, cfg *config.Config, log *slog.Logger) (*wasmhost.Host, error) {
	self, err := compile.Self()
	if err != nil {
		return nil, err
	}
	hc := wasmhost.Config{Compiler: self, CacheSize: cfg.Process.CacheSize.Bytes(), Logger: log}
	if hc.CacheDir, err = cfg.CacheDir(); err == nil {
		host, hostErr := wasmhost.New(ctx, hc)
		if hostErr == nil {
			return host, nil
		}
		if cfg.Process.CacheDir != "" {
			return nil, cfg.Errorf([]string{"process", "cache_dir"}, "", "%w", hostErr)
		}
		err = hostErr
	}
	log.Warn("compiled filters are kept in a temporary directory, so the next start takes longer; set process.cache_dir", "err", err)
	hc.CacheDir = ""
	return wasmhost.New(ctx, hc)
}
