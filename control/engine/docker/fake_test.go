package docker

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// fake is a Docker daemon that replays what a real one has said.
type fake struct {
	t       *testing.T
	socket  string
	version string // in front of paths
	events  []string

	mu      sync.Mutex
	server  *http.Server
	accept  net.Listener
	replies map[string]string        // by path
	broken  map[string]bool          // paths with an error 500
	held    map[string]chan struct{} // paths whose reply waits
	asked   []string                 // paths in the order of requests
	streams map[chan string]bool
}

// newFake starts a daemon that replays a recording in testdata.
func newFake(t *testing.T, recording string) *fake {
	t.Helper()
	dir, err := os.MkdirTemp("", "docker") // t.TempDir can be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	content, err := os.ReadFile(filepath.Join("testdata", recording+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{
		t: t, socket: filepath.Join(dir, "docker.sock"),
		replies: map[string]string{}, broken: map[string]bool{},
		held: map[string]chan struct{}{}, streams: map[chan string]bool{},
	}
	replies, events, _ := strings.Cut(string(content), "\nEVENTS\n")
	f.events = strings.SplitAfter(strings.TrimSpace(events)+"\n", "\n")
	for part := range strings.SplitSeq(strings.TrimPrefix(replies, "GET "), "\nGET ") {
		path, body, _ := strings.Cut(part, "\n")
		f.replies[path] = body
		if before, ok := strings.CutSuffix(path, "/networks"); ok {
			f.version = before
		}
	}
	f.start()
	t.Cleanup(f.stop)
	return f
}

func (f *fake) start() {
	f.t.Helper()
	listener, err := net.Listen("unix", f.socket)
	if err != nil {
		f.t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	server := &http.Server{Handler: f}
	f.server, f.accept = server, listener
	go server.Serve(listener)
}

// stop breaks all connections and removes the socket.
func (f *fake) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.accept.Close() // the server may not have begun to serve it
	f.server.Close()
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.RequestURI()
	f.mu.Lock()
	f.asked = append(f.asked, path)
	held := f.held[path]
	f.mu.Unlock()
	if r.URL.Path == f.version+"/events" {
		f.stream(w, r)
		return
	}
	if held != nil {
		select {
		case <-held:
		case <-r.Context().Done():
			return
		}
	}
	f.mu.Lock()
	body, ok := f.replies[path]
	broken := f.broken[path]
	f.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case broken:
		w.WriteHeader(http.StatusInternalServerError)
		body = `{"message":"something is wrong"}`
	case !ok:
		w.WriteHeader(http.StatusNotFound)
		body = f.replies[f.version+"/containers/nope/json"]
	}
	io.WriteString(w, body)
}

func (f *fake) stream(w http.ResponseWriter, r *http.Request) {
	lines := make(chan string, 1000)
	f.mu.Lock()
	f.streams[lines] = true
	f.mu.Unlock()
	w.WriteHeader(http.StatusOK)
	flusher := w.(http.Flusher)
	flusher.Flush()
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				return
			}
			io.WriteString(w, line)
			flusher.Flush()
		case <-r.Context().Done():
			return
		}
	}
}

// send sends text to all that listen to events.
func (f *fake) send(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for stream := range f.streams {
		stream <- text
	}
}

// tell sends an event of a container.
func (f *fake) tell(action, id string) {
	f.send(`{"Type":"container","Action":"` + action + `","Actor":{"ID":"` + id + `","Attributes":{}}}` + "\n")
}

// cut ends the streams of events.
func (f *fake) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for stream := range f.streams {
		close(stream)
		delete(f.streams, stream)
	}
}

// hold keeps the replies of a path back until it is released.
func (f *fake) hold(path string) (release func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	held := make(chan struct{})
	f.held[path] = held
	return sync.OnceFunc(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.held, path)
		close(held)
	})
}

// change replaces text in the reply of a path.
func (f *fake) change(path, old, with string) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !strings.Contains(f.replies[path], old) {
		f.t.Fatalf("%q is not in the reply of %s", old, path)
	}
	f.replies[path] = strings.ReplaceAll(f.replies[path], old, with)
}

// remove makes a path one that is not there.
func (f *fake) remove(path string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.replies, path)
}

// fail makes a path one that has errors, or takes that back.
func (f *fake) fail(path string, broken bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken[path] = broken
}

// count is how often a path was asked for.
func (f *fake) count(path string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, asked := range f.asked {
		if asked == path {
			n++
		}
	}
	return n
}

// container is the ID of the container of that name, and the path of its
// inspection.
func (f *fake) container(name string) (id, path string) {
	return f.find("/containers/", `"Name":"/`+name+`"`, "/json")
}

// network is the same for a network.
func (f *fake) network(name string) (id, path string) {
	return f.find("/networks/", `{"Name":"`+name+`"`, "")
}

func (f *fake) find(prefix, content, suffix string) (id, path string) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for path, body := range f.replies {
		if id, ok := strings.CutPrefix(path, f.version+prefix); ok && strings.Contains(body, content) {
			return strings.TrimSuffix(id, suffix), path
		}
	}
	f.t.Fatalf("nothing in %s has %s", prefix, content)
	return "", ""
}
