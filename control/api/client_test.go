package api

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// serve answers on a unix socket with the handler until the test ends.
func serve(t *testing.T, handler http.Handler) *Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "ebnet.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	client := NewClient(socket)
	t.Cleanup(func() {
		client.Close()
		_ = server.Close()
	})
	return client
}

// calls is every method of the client, with a plain argument.
func calls(ctx context.Context, c *Client) map[string]func() error {
	drop := func(_ any, err error) error { return err }
	return map[string]func() error{
		"Networks":      func() error { return drop(c.Networks(ctx)) },
		"Network":       func() error { return drop(c.Network(ctx, "default")) },
		"CreateNetwork": func() error { return drop(c.CreateNetwork(ctx, NetworkCreate{Name: "blue"})) },
		"RemoveNetwork": func() error { return c.RemoveNetwork(ctx, "docker/blue") },
		"ConnectNetwork": func() error {
			return drop(c.ConnectNetwork(ctx, "docker/blue", NetworkConnect{Sandbox: "web"}))
		},
		"DisconnectNetwork": func() error {
			return c.DisconnectNetwork(ctx, "docker/blue", NetworkDisconnect{Sandbox: "web"})
		},
		"ChangeAllow":   func() error { return drop(c.ChangeAllow(ctx, AllowChange{Any: true})) },
		"Sandboxes":     func() error { return drop(c.Sandboxes(ctx)) },
		"Sandbox":       func() error { return drop(c.Sandbox(ctx, "docker/web")) },
		"CreateSandbox": func() error { return drop(c.CreateSandbox(ctx, SandboxCreate{Name: "web"})) },
		"RemoveSandbox": func() error { return c.RemoveSandbox(ctx, "docker/web") },
		"Publishes":     func() error { return drop(c.Publishes(ctx, "web")) },
		"Publish":       func() error { return drop(c.Publish(ctx, PublishCreate{})) },
		"Unpublish":     func() error { return drop(c.Unpublish(ctx, HostSpec{HostPort: 80, HostPortEnd: 80, Proto: "tcp"})) },
		"Flows":         func() error { return drop(c.Flows(ctx)) },
		"FlushFlows":    func() error { return drop(c.FlushFlows(ctx, FlowsFlush{All: true})) },
		"Status":        func() error { return drop(c.Status(ctx)) },
		"Purge":         func() error { return c.Purge(ctx, Purge{}) },
		"Version":       func() error { return drop(c.Version(ctx)) },
	}
}

func TestClientCarriesRequestAndAnswer(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("DELETE /v1/publishes", func(w http.ResponseWriter, r *http.Request) {
		host, err := ParseHostSpec(r.URL.Query().Get("spec"))
		if err != nil {
			t.Error(err)
		}
		_ = WriteJSON(w, []Publish{{Proto: host.Proto, HostIP: host.HostIP.String(), HostPort: host.HostPort, HostPortEnd: host.HostPortEnd}})
	})
	mux.HandleFunc("GET /v1/sandboxes/{name}", func(w http.ResponseWriter, r *http.Request) {
		_ = WriteJSON(w, Sandbox{Name: r.PathValue("name")})
	})
	client := serve(t, mux)
	host := HostSpec{HostIP: netip.MustParseAddr("::1"), HostPort: 8000, HostPortEnd: 8010, Proto: "udp"}
	removed, err := client.Unpublish(t.Context(), host)
	if err != nil {
		t.Fatal(err)
	}
	if len(removed) != 1 || removed[0].Host() != host {
		t.Errorf("got %v, want %v", removed, host)
	}
	sandbox, err := client.Sandbox(t.Context(), "docker/web")
	if err != nil {
		t.Fatal(err)
	}
	if sandbox.Name != "docker/web" {
		t.Errorf("asked for docker/web, got %q", sandbox.Name)
	}
}

func TestClientRefusesOddNames(t *testing.T) {
	client := NewClient(filepath.Join(t.TempDir(), "none"))
	for _, name := range []string{"", "..", "a/../b", "a?b", "a b", "/v1", strings.Repeat("a", MaxName+1)} {
		if _, err := client.Sandbox(t.Context(), name); !errors.Is(err, ErrBadRequest) {
			t.Errorf("%q: got %v, want ErrBadRequest", name, err)
		}
	}
}

func TestClientErrorsCrossTheWire(t *testing.T) {
	for _, row := range []struct {
		code     string
		sentinel error
	}{
		{CodeBadRequest, ErrBadRequest},
		{CodeNotFound, ErrNotFound},
		{CodeConflict, ErrConflict},
		{CodeUnprocessable, ErrUnprocessable},
		{CodeNotReady, ErrNotReady},
		{CodeInternal, nil},
	} {
		client := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			sent := Errorf(row.code, "no sandbox web")
			w.WriteHeader(sent.Status())
			_ = WriteJSON(w, ErrorReply{Error: *sent})
		}))
		err := client.RemoveSandbox(t.Context(), "web")
		var got *Error
		if !errors.As(err, &got) || got.Code != row.code || err.Error() != "no sandbox web" {
			t.Errorf("%s: got %v", row.code, err)
		}
		for _, sentinel := range []error{ErrBadRequest, ErrNotFound, ErrConflict, ErrUnprocessable, ErrNotReady} {
			if errors.Is(err, sentinel) != (sentinel == row.sentinel) {
				t.Errorf("%s: errors.Is(err, %v) is %v", row.code, sentinel, errors.Is(err, sentinel))
			}
		}
	}
}

func TestClientReadsForeignErrors(t *testing.T) {
	client := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "404 page\nnot found", http.StatusNotFound)
	}))
	_, err := client.Status(t.Context())
	if want := "the agent answered 404 Not Found: 404 page not found"; !errors.Is(err, ErrNotFound) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestClientWithoutAgent(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, "stale.sock")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	for _, socket := range []string{filepath.Join(dir, "none.sock"), filepath.Join(dir, "none", "ebnet.sock"), stale, filepath.Join(stale, "x")} {
		_, err := NewClient(socket).Status(t.Context())
		want := "no agent is running at " + socket + `: start one with "ebnet agent"`
		if !errors.Is(err, ErrNoAgent) || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestClientWithoutPermission(t *testing.T) {
	client := NewClient("/run/ebnet/ebnet.sock")
	err := client.explain(&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", fs.ErrPermission)})
	want := "no permission to use /run/ebnet/ebnet.sock: be root or in the group ebnet"
	if !errors.Is(err, fs.ErrPermission) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestClientAgentGoesAway(t *testing.T) {
	client := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		connection, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_ = connection.Close()
	}))
	_, err := client.Status(t.Context())
	if err == nil || errors.Is(err, ErrNoAgent) || !strings.Contains(err.Error(), "closed the connection without an answer") {
		t.Errorf("got %v", err)
	}
}
