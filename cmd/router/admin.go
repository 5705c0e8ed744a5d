package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/wasmrouter/router/app/remote"
)

// adminFlags say which running router a command asks.
func adminFlags(cmd *cobra.Command, o *remote.Options) {
	configFlag(cmd, &o.Config)
	f := cmd.Flags()
	f.StringVar(&o.Address, "admin", "", "HOST:PORT or URL of the router's admin listener; overrides admin.listen, and works without a usable configuration: ROUTER_ADMIN_TOKEN then has the token")
	f.StringVar(&o.CAFile, "ca", "", "PEM file with authorities to trust for HTTPS, besides the system's and admin.cert_file")
	f.StringVar(&o.CertFile, "cert", "", "PEM file with the certificate to show a listener that has admin.client_ca_file")
	f.StringVar(&o.KeyFile, "key", "", "PEM file with the key of --cert")
	cmd.MarkFlagsRequiredTogether("cert", "key")
	for _, name := range []string{"ca", "cert", "key"} {
		_ = cmd.MarkFlagFilename(name, "pem", "crt", "key")
	}
	o.Token = os.Getenv("ROUTER_ADMIN_TOKEN")
}

// unreachable marks an error as one of running if it is the network's: what the
// router refuses, and what is wrong with the configuration, is the caller's.
func unreachable(err error) error {
	if errors.Is(err, remote.ErrUnreachable) {
		return failed(err)
	}
	return err
}
