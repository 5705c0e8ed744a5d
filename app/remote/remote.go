// Package remote asks the admin listener of a running router.
package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// Client asks one router. It is safe for concurrent use.
type Client struct {
	base  string
	token string
	file  string // the configuration that gave no token because it cannot be used; "" otherwise
	http  *http.Client
}

// Address returns the URL of the listener.
func (c *Client) Address() string { return c.base }

// Call makes a request, such as "POST", "/api/reload", with in as its body unless
// it is nil, and decodes the answer into out unless that is nil. A refusal is an
// [*Error].
func (c *Client) Call(ctx context.Context, method, path string, in, out any) error {
	body, err := c.Stream(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer body.Close()
	if out == nil {
		_, err = io.Copy(io.Discard, body)
		return err
	}
	if err := json.NewDecoder(body).Decode(out); err != nil {
		return fmt.Errorf("%s%s: the answer cannot be read: %w; %s", c.base, path, err, isItThere)
	}
	return nil
}

// Stream is Call for an answer that the caller reads and closes.
func (c *Client) Stream(ctx context.Context, method, path string, in any) (io.ReadCloser, error) {
	var body io.Reader = http.NoBody
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.failure(err)
	}
	if resp.StatusCode/100 == 2 {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	return nil, c.refusal(resp)
}
