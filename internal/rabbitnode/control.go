package rabbitnode

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Ctl runs rabbitmqctl against the node and returns what it prints. It takes a
// second or more; Eval is quicker.
func (n *Node) Ctl(ctx context.Context, args ...string) (string, error) {
	out, err := n.tool(ctx, "", n.tools.ctl, append([]string{"--quiet", "-n", n.name}, args...)...)
	if err != nil {
		return out, fmt.Errorf("rabbitmqctl %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return out, nil
}

// calls numbers the callers of Eval: a broker refuses two of the same name.
var calls atomic.Int64

// Eval evaluates Erlang expressions, separated by commas, inside the broker and
// returns the value of the last as Erlang text. It takes a few milliseconds
// besides what the expressions do. A value that is an exception is an error.
func (n *Node) Eval(ctx context.Context, expressions string) (string, error) {
	expressions = strings.TrimRight(strings.TrimSpace(expressions), ".")
	if n.tools.call == "" {
		return n.Ctl(ctx, "eval", expressions+".")
	}
	// The broker formats the value: erl_call's own format shows no binaries.
	expressions = `lists:flatten(io_lib:format("~0p", [begin ` + expressions + " end])).\n"
	caller := fmt.Sprintf("router_%d_%d", os.Getpid(), calls.Add(1))
	out, err := n.tool(ctx, expressions, n.tools.call, "-h", caller, "-c", n.cookie, "-timeout", "600",
		"-address", net.JoinHostPort("127.0.0.1", strconv.Itoa(n.distPort)), "-e")
	if err != nil {
		return "", fmt.Errorf("evaluate in the broker: %w: %s", err, out)
	}
	value, ok := strings.CutPrefix(out, "{ok, ")
	if !ok || !strings.HasSuffix(value, "}") {
		return "", fmt.Errorf("evaluate in the broker: %s", out)
	}
	// erl_call puts the text in quotes and escapes nothing in it.
	return strings.TrimSuffix(strings.TrimPrefix(value, `"`), `"}`), nil
}

func (n *Node) tool(ctx context.Context, stdin, path string, args ...string) (string, error) {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = n.env(), n.dir, &out, &out
	cmd.Stdin = strings.NewReader(stdin)
	cmd.SysProcAttr = attributes()
	cmd.WaitDelay = 10 * time.Second
	err := cmd.Run()
	if ctx.Err() != nil {
		err = errors.Join(context.Cause(ctx), err)
	}
	return strings.TrimSpace(out.String()), err
}

// CloseConnections is CloseAllConnections for those whose name begins with name, so
// that tests which run beside each other on one node leave each other alone. It
// returns how many there were.
func (n *Node) CloseConnections(ctx context.Context, name, reason string) (int, error) {
	out, err := n.Eval(ctx, named(name)+fmt.Sprintf("length([catch rabbit_networking:close_connection(P, <<%q>>) || P <- rabbit_networking:connections(), Named(P)])", reason))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(out)
}

// CloseAllConnections makes the broker close every client connection with that
// reason, and returns when it has.
func (n *Node) CloseAllConnections(ctx context.Context, reason string) error {
	_, err := n.Eval(ctx, "[catch rabbit_networking:close_connection(P, <<"+strconv.Quote(reason)+">>) || P <- rabbit_networking:connections()], ok")
	return err
}

// Connections returns how many client connections are open whose name begins with
// name.
func (n *Node) Connections(ctx context.Context, name string) (int, error) {
	out, err := n.Eval(ctx, named(name)+"length([P || P <- rabbit_networking:connections(), Named(P)])")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(out)
}

// named is Erlang that defines Named, which reports whether the name of a connection
// begins with name.
func named(name string) string {
	return fmt.Sprintf(`Named = fun(P) ->
		Properties = case catch rabbit_networking:connection_info(P, [client_properties]) of
			[{client_properties, L}] when is_list(L) -> L;
			_ -> []
		end,
		Name = case lists:keyfind(<<"connection_name">>, 1, Properties) of {_, _, V} -> V; false -> <<>> end,
		string:prefix(Name, <<%q>>) =/= nomatch
	end,
	`, name)
}

// StopApp stops the broker inside its virtual machine, as rabbitmqctl stop_app
// does: connections end and nobody listens until StartApp.
func (n *Node) StopApp(ctx context.Context) error {
	_, err := n.Eval(ctx, "ok = rabbit:stop()")
	return err
}

// StartApp starts the broker again after StopApp and returns when it accepts
// connections.
func (n *Node) StartApp(ctx context.Context) error {
	if _, err := n.Eval(ctx, "ok = rabbit:start()"); err != nil {
		return err
	}
	n.mu.Lock()
	server := n.server
	n.mu.Unlock()
	return n.awaitReady(ctx, server)
}

// QueueLen returns how many messages a queue of the default virtual host holds,
// those included that wait for an acknowledgement. It needs no connection. Of a
// quorum queue the leader is asked, so that a majority must live.
func (n *Node) QueueLen(ctx context.Context, queue string) (int, error) {
	// A quorum queue's own count is written down every few seconds only.
	out, err := n.Eval(ctx, fmt.Sprintf(`{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<%q>>)),
	case amqqueue:get_type(Q) of
		rabbit_quorum_queue ->
			{ok, {_, Total}, _} = ra:leader_query(amqqueue:get_pid(Q), fun rabbit_fifo:query_messages_total/1, 5000),
			Total;
		_ ->
			[{messages, Count}] = rabbit_amqqueue:info(Q, [messages]),
			Count
	end`, queue))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(out)
}
