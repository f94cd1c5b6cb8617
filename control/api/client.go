package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
)

// Client talks to an agent over its unix socket. Its methods return an *Error
// for what the agent refuses, and errors that wrap ErrNoAgent or
// fs.ErrPermission where the agent cannot be reached.
type Client struct {
	socket string
	http   *http.Client
}

// NewClient makes a client of the agent that listens at the socket's path. It
// connects with the first request.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	return &Client{socket: socket, http: &http.Client{Transport: &http.Transport{DialContext: dial}}}
}

// Close closes connections that wait for a next request.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Networks lists all networks.
func (c *Client) Networks(ctx context.Context) ([]Network, error) {
	return get[[]Network](ctx, c, "/v1/networks")
}

// Network is the network of that name, or ErrNotFound.
func (c *Client) Network(ctx context.Context, name string) (Network, error) {
	if err := ValidRef(name); err != nil {
		return Network{}, err
	}
	return get[Network](ctx, c, "/v1/networks/"+url.PathEscape(name))
}

// CreateNetwork creates a network, whole or not at all.
func (c *Client) CreateNetwork(ctx context.Context, create NetworkCreate) (Network, error) {
	var network Network
	err := c.do(ctx, http.MethodPost, "/v1/networks", create, &network)
	return network, err
}

// RemoveNetwork removes a network that nothing is attached to.
func (c *Client) RemoveNetwork(ctx context.Context, name string) error {
	if err := ValidRef(name); err != nil {
		return err
	}
	return c.do(ctx, http.MethodDelete, "/v1/networks/"+url.PathEscape(name), nil, nil)
}

// ConnectNetwork attaches a sandbox to the network of that name and returns the
// sandbox as it is then.
func (c *Client) ConnectNetwork(ctx context.Context, name string, connect NetworkConnect) (Sandbox, error) {
	var sandbox Sandbox
	if err := errors.Join(ValidRef(name), ValidRef(connect.Sandbox)); err != nil {
		return sandbox, err
	}
	err := c.do(ctx, http.MethodPost, "/v1/networks/"+url.PathEscape(name)+"/connect", connect, &sandbox)
	return sandbox, err
}

// DisconnectNetwork ends a sandbox's attachment to the network of that name,
// and what is published at its address there.
func (c *Client) DisconnectNetwork(ctx context.Context, name string, disconnect NetworkDisconnect) error {
	if err := errors.Join(ValidRef(name), ValidRef(disconnect.Sandbox)); err != nil {
		return err
	}
	return c.do(ctx, http.MethodPost, "/v1/networks/"+url.PathEscape(name)+"/disconnect", disconnect, nil)
}

// Sandboxes lists all sandboxes.
func (c *Client) Sandboxes(ctx context.Context) ([]Sandbox, error) {
	return get[[]Sandbox](ctx, c, "/v1/sandboxes")
}

// Sandbox is the sandbox of that name, or ErrNotFound.
func (c *Client) Sandbox(ctx context.Context, name string) (Sandbox, error) {
	if err := ValidRef(name); err != nil {
		return Sandbox{}, err
	}
	return get[Sandbox](ctx, c, "/v1/sandboxes/"+url.PathEscape(name))
}

// CreateSandbox creates a sandbox with its attachments and published ports,
// whole or not at all.
func (c *Client) CreateSandbox(ctx context.Context, create SandboxCreate) (Sandbox, error) {
	var sandbox Sandbox
	err := c.do(ctx, http.MethodPost, "/v1/sandboxes", create, &sandbox)
	return sandbox, err
}

// RemoveSandbox removes a sandbox and all that it has.
func (c *Client) RemoveSandbox(ctx context.Context, name string) error {
	if err := ValidRef(name); err != nil {
		return err
	}
	return c.do(ctx, http.MethodDelete, "/v1/sandboxes/"+url.PathEscape(name), nil, nil)
}

// Publishes lists what is published, of one sandbox if its name is not empty.
func (c *Client) Publishes(ctx context.Context, sandbox string) ([]Publish, error) {
	path := "/v1/publishes"
	if sandbox != "" {
		if err := ValidRef(sandbox); err != nil {
			return nil, err
		}
		path += "?" + url.Values{"sandbox": {sandbox}}.Encode()
	}
	return get[[]Publish](ctx, c, path)
}

// Publish publishes a port or range, whole or not at all. It returns what is published
// then: without a host address that can be one for each family.
func (c *Client) Publish(ctx context.Context, create PublishCreate) ([]Publish, error) {
	var publish Publish
	if err := c.do(ctx, http.MethodPost, "/v1/publishes", create, &publish); err != nil {
		return nil, err
	}
	all := append([]Publish{publish}, publish.Also...)
	all[0].Also = nil
	return all, nil
}

// Unpublish ends what is published at the host side and returns what that was.
func (c *Client) Unpublish(ctx context.Context, host HostSpec) ([]Publish, error) {
	var removed []Publish
	path := "/v1/publishes?" + url.Values{"spec": {host.String()}}.Encode()
	err := c.do(ctx, http.MethodDelete, path, nil, &removed)
	return removed, err
}

// ChangeAllow changes who may connect to what is published at a host side, and
// returns that as it is then.
func (c *Client) ChangeAllow(ctx context.Context, change AllowChange) ([]Publish, error) {
	var changed []Publish
	if err := change.Check(); err != nil {
		return nil, err
	}
	err := c.do(ctx, http.MethodPatch, "/v1/publishes/allow", change, &changed)
	return changed, err
}

// Flows lists the translated flows.
func (c *Client) Flows(ctx context.Context) ([]Flow, error) {
	return get[[]Flow](ctx, c, "/v1/flows")
}

// FlushFlows ends flows; their next packet is treated as a new one.
func (c *Client) FlushFlows(ctx context.Context, flush FlowsFlush) (FlowsFlushed, error) {
	var flushed FlowsFlushed
	err := c.do(ctx, http.MethodPost, "/v1/flows/flush", flush, &flushed)
	return flushed, err
}

// Status tells how the agent and the kernel are.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return get[Status](ctx, c, "/v1/status")
}

// Purge makes the agent remove all that ebnet put into the kernel, and exit.
func (c *Client) Purge(ctx context.Context, purge Purge) error {
	return c.do(ctx, http.MethodPost, "/v1/purge", purge, nil)
}

// Version is the agent's version.
func (c *Client) Version(ctx context.Context) (Version, error) {
	return get[Version](ctx, c, "/v1/version")
}

func get[T any](ctx context.Context, c *Client, path string) (T, error) {
	var reply T
	err := c.do(ctx, http.MethodGet, path, nil, &reply)
	return reply, err
}

// do sends one request and decodes its answer into reply, unless that is nil.
func (c *Client) do(ctx context.Context, method, path string, body, reply any) error {
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		content = bytes.NewReader(encoded)
	}
	// The host's name means nothing on a unix socket, but HTTP/1.1 wants one.
	request, err := http.NewRequestWithContext(ctx, method, "http://ebnet"+path, content)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(request)
	if err != nil {
		return c.explain(err)
	}
	defer response.Body.Close()
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return readError(response)
	}
	if reply == nil {
		return nil
	}
	if err := json.NewDecoder(response.Body).Decode(reply); err != nil {
		return fmt.Errorf("read the agent's answer: %w", err)
	}
	return nil
}

// explain says what a person can do about a request that got no answer.
func (c *Client) explain(err error) error {
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err
	}
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%w at %s: start one with \"ebnet agent\"", ErrNoAgent, c.socket)
	case errors.Is(err, fs.ErrPermission):
		return &permissionError{c.socket}
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fmt.Errorf("the agent at %s closed the connection without an answer: %w", c.socket, err)
	}
	return fmt.Errorf("ask the agent at %s: %w", c.socket, err)
}

type permissionError struct{ socket string }

func (e *permissionError) Error() string {
	return fmt.Sprintf("no permission to use %s: be root or in the group ebnet", e.socket)
}

func (e *permissionError) Unwrap() error { return fs.ErrPermission }

// readError makes an *Error of an answer that is not a success, also of one
// that is not the agent's own JSON.
func readError(response *http.Response) error {
	const most = 64 << 10 // bytes; no message is near it
	content, err := io.ReadAll(io.LimitReader(response.Body, most))
	if err != nil {
		return fmt.Errorf("read the agent's answer: %w", err)
	}
	var reply ErrorReply
	if json.Unmarshal(content, &reply) == nil && reply.Error.Message != "" {
		return &reply.Error
	}
	text := shorten(strings.Join(strings.Fields(string(content)), " "))
	return Errorf(CodeOfStatus(response.StatusCode), "the agent answered %s: %s", response.Status, text)
}
