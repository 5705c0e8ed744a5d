package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
)

// TestTheBrokerByHand runs the embedded broker alone and sends through it.
func TestTheBrokerByHand(t *testing.T) {
	t.Setenv("ROUTER_BROKER_PASSWORD", "secret")
	ctx, stop := context.WithCancel(t.Context())
	read, write := io.Pipe()
	var errs bytes.Buffer
	code := make(chan int, 1)
	go func() {
		code <- execute(ctx, []string{"broker", "--listen", "127.0.0.1:0", "--user", "me"}, strings.NewReader(""), write, &errs)
		_ = write.Close()
	}()
	line, err := bufio.NewReader(read).ReadString('\n')
	if err != nil {
		t.Fatalf("%v: %s", err, &errs)
	}
	url := strings.Replace(strings.TrimSpace(line), "me@", "me:secret@", 1)

	var got bytes.Buffer
	listening := make(chan int, 1)
	go func() {
		listening <- execute(ctx, []string{"listen", "--url", url, "--topic", "t", "--priority", "info", "--count", "1"}, strings.NewReader(""), &got, &errs)
	}()
	if c := execute(t.Context(), []string{"notify", "--url", url, "--topic", "t", "--priority", "info", "--event-type", "it.works", "--payload", `{"n":1}`}, strings.NewReader(""), io.Discard, &errs); c != exitOK {
		t.Fatalf("notify: %d: %s", c, &errs)
	}
	if c := <-listening; c != exitOK || !strings.Contains(got.String(), "it.works") {
		t.Errorf("listen: %d, %q: %s", c, &got, &errs)
	}
	stop()
	if c := <-code; c != exitOK {
		t.Errorf("the broker ended with %d: %s", c, &errs)
	}
}
