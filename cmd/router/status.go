package main

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/wasmrouter/router/app"
	"github.com/wasmrouter/router/app/remote"
	"github.com/wasmrouter/router/app/top"
)

func newStatus() *cobra.Command {
	var o remote.Options
	var output string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how a running router is, once",
		Long: `status asks the admin listener of a running router and shows its routes, filters
and connections. The router's address and token are those of its configuration.

It exits with 0 if the router is ready, and with 2 if it is not or does not
answer.`,
		Example: `  router status
  router status -o json | jq .reasons`,
		Args: noArguments,
	}
	adminFlags(cmd, &o)
	outputFlag(cmd, &output)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(output); err != nil {
			return err
		}
		c, err := remote.Open(o)
		if err != nil {
			return err
		}
		var raw json.RawMessage
		if err := c.Call(cmd.Context(), http.MethodGet, "/api/status", nil, &raw); err != nil {
			return failed(err)
		}
		var s app.Status
		if err := json.Unmarshal(raw, &s); err != nil {
			return failed(err)
		}
		if output == "json" {
			err = printJSON(cmd, raw)
		} else {
			err = top.WriteStatus(cmd.OutOrStdout(), c.Address(), &s)
		}
		if err == nil && !s.Ready {
			err = silent(errors.New("not ready"))
		}
		return failed(err)
	}
	return cmd
}
