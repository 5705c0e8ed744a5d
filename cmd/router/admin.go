package main

import (
	"errors"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/wasmrouter/router/app/remote"
)

// adminFlags say which running router a command asks.
func adminFlags(cmd *cobra.Command, o *remote.Options) {
	configFlag(cmd, &o.Config)
	cmd.Flags().StringVar(&o.Address, "admin", "", "HOST:PORT or URL of the router's admin listener; overrides admin.listen")
}

// unreachable marks an error as one of running if it is the network's: what the
// router refuses, and what is wrong with the configuration, is the caller's.
func unreachable(err error) error {
	if _, ok := errors.AsType[*url.Error](err); ok || errors.Is(err, remote.ErrNobody) {
		return failed(err)
	}
	return err
}
