package main

import (
	"bytes"
	"context"
	"flag"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ebnet/ebnet/control/api"
)

// beMain makes the test binary be ebnet, for tests that need a process of its own.
const beMain = "EBNET_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(beReader) != "" {
		readLine()
		os.Exit(0)
	}
	if etcNetns := os.Getenv(beMain); etcNetns != "" {
		a := &app{getenv: os.Getenv, euid: os.Geteuid, stdin: os.Stdin, etcNetns: etcNetns}
		os.Exit(a.main(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	flag.Bool("update", false, "write testdata/*.golden anew")
	os.Exit(m.Run())
}

// updating tells whether -update was given.
func updating() bool {
	f := flag.Lookup("update")
	return f != nil && f.Value.String() == "true"
}

// result is what one command line did.
type result struct {
	status         int
	stdout, stderr string
}

// call runs a command line in this process, as root unless said otherwise.
func call(t *testing.T, socket string, euid int, words ...string) result {
	t.Helper()
	stdin, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	a := &app{
		getenv: func(name string) string { return map[string]string{"EBNET_SOCKET": socket}[name] },
		euid:   func() int { return euid },
		stdin:  stdin,
		config: "/does/not/exist/agent.json",
	}
	var stdout, stderr bytes.Buffer
	status := a.main(t.Context(), words, &stdout, &stderr)
	return result{status, stdout.String(), stderr.String()}
}

// socketPath is a path that is the same in every run once base names it, so
// that golden files may have it.
func socketPath(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "ebnet.sock")
}

// serve answers at a unix socket until the test ends.
func serve(t *testing.T, handler http.Handler) string {
	t.Helper()
	socket := socketPath(t)
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return socket
}

func reply(w http.ResponseWriter, status int, v any) {
	w.WriteHeader(status)
	_ = api.WriteJSON(w, v)
}

func refuse(w http.ResponseWriter, code, format string, args ...any) {
	err := api.Errorf(code, format, args...)
	reply(w, err.Status(), api.ErrorReply{Error: *err})
}

// fakeAgent answers as an agent does that has the sandboxes web and db, app if
// asked for it, and the networks default, blue and green.
func fakeAgent() *http.ServeMux {
	mux := http.NewServeMux()
	fakeNetworks(mux)
	sandboxes := map[string]api.Sandbox{"web": webSandbox(), "app": appSandbox(), "db": {Name: "db", ID: strings.Repeat("d", 64), Owner: "ebnet", Netns: "/run/netns/ebnet-db"}}
	mux.HandleFunc("GET /v1/sandboxes", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, []api.Sandbox{sandboxes["db"], sandboxes["web"]})
	})
	mux.HandleFunc("GET /v1/sandboxes/{name}", func(w http.ResponseWriter, r *http.Request) {
		sandbox, found := sandboxes[r.PathValue("name")]
		if !found {
			refuse(w, api.CodeNotFound, "no sandbox %s", r.PathValue("name"))
			return
		}
		reply(w, http.StatusOK, sandbox)
	})
	mux.HandleFunc("DELETE /v1/sandboxes/{name}", func(w http.ResponseWriter, r *http.Request) {
		if _, found := sandboxes[r.PathValue("name")]; !found {
			refuse(w, api.CodeNotFound, "no sandbox %s", r.PathValue("name"))
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /v1/sandboxes", func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, api.CodeConflict, "create sandbox web: there is one of this name")
	})
	mux.HandleFunc("GET /v1/publishes", func(w http.ResponseWriter, r *http.Request) {
		if name := r.URL.Query().Get("sandbox"); name != "" && name != "web" {
			refuse(w, api.CodeNotFound, "no sandbox %s", name)
			return
		}
		reply(w, http.StatusOK, webSandbox().Published)
	})
	mux.HandleFunc("POST /v1/publishes", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusCreated, webSandbox().Published[1])
	})
	mux.HandleFunc("DELETE /v1/publishes", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, api.CodeNotFound, "unpublish %s: nothing is published there", r.URL.Query().Get("spec"))
	})
	mux.HandleFunc("GET /v1/flows", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, []api.Flow{{
			Proto: "tcp", Src: "192.0.2.7:40000", Dst: "192.0.2.1:8080", NATSrc: "192.0.2.7:40000", NATDst: "172.18.0.2:80",
			Kind: "publish", State: "established", Sandbox: "web", AgeSeconds: 75, IdleSeconds: 1, Packets: 12, Bytes: 3456,
		}})
	})
	mux.HandleFunc("POST /v1/flows/flush", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, api.FlowsFlushed{Ended: 7})
	})
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, readyStatus())
	})
	mux.HandleFunc("GET /v1/version", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, api.Version{Version: "v1"})
	})
	return mux
}
