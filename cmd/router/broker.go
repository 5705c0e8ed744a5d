package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/wasmrouter/router/broker"
)

func newBroker() *cobra.Command {
	var listen, user string
	var memory int64
	var classic, verbose bool
	cmd := &cobra.Command{
		Use:   "broker",
		Short: "Run the embedded broker alone, for development and tests",
		Long: `broker listens for AMQP 0-9-1 clients of this machine until SIGTERM or SIGINT.
It does what RabbitMQ does, in memory: nothing in it outlives it. In production
use RabbitMQ. docs/BROKER.md says what it has and what not.

ROUTER_BROKER_PASSWORD sets the user's password; without it, it is guest.`,
		Example: `  router broker
  router broker --listen 127.0.0.1:0 --user me`,
		Args: noArguments,
	}
	f := cmd.Flags()
	f.StringVar(&listen, "listen", "127.0.0.1:5672", "HOST:PORT of this machine to listen to; port 0 is any free one")
	f.StringVar(&user, "user", "guest", "the user that may log in")
	f.Int64Var(&memory, "max-memory", 256<<20, "bytes that messages may take before publishers are blocked")
	f.BoolVar(&classic, "quorum-as-classic", false, "take quorum queues and streams for classic queues instead of refusing them")
	f.BoolVarP(&verbose, "verbose", "v", false, "log refused logins to standard error")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if memory < 1<<20 {
			return fmt.Errorf("--max-memory %d: it is at least 1048576, a MiB", memory)
		}
		cfg := broker.Config{
			Users:     map[string]string{user: cmp.Or(os.Getenv("ROUTER_BROKER_PASSWORD"), "guest")},
			MaxMemory: memory, AnyQueueType: classic, Version: build().Version,
		}
		if verbose {
			cfg.Logger = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
		}
		s := broker.New(cfg)
		defer s.Close()
		address, err := s.Listen(cmd.Context(), listen)
		switch {
		case errors.Is(err, broker.ErrNotLocal):
			return err
		case err != nil:
			return failed(err)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "amqp://%s@%s/\n", user, address)
		<-cmd.Context().Done()
		return nil
	}
	return cmd
}
