package docker

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ebnet/ebnet/control/engine"
)

func TestFollow(t *testing.T) {
	for _, recording := range recordings {
		t.Run(recording, func(t *testing.T) {
			f := newFake(t, recording)
			l := follow(t, f, time.Hour)
			if got := describe(l.next()); got != expect(recording) {
				t.Errorf("got\n%swant\n%s", got, expect(recording))
			}
			if s := l.State(); !s.Connected || !strings.HasPrefix(s.Version, recording) || s.Err != nil {
				t.Errorf("state is %+v", s)
			}
			// The whole past comes once more, and changes nothing. One of its
			// containers is gone. Then comes something new.
			f.send(strings.Join(f.events[:len(f.events)-1], ""))
			id, path := f.container("made")
			f.change(path, `"Name":"/made"`, `"Name":"/remade"`)
			f.tell("rename", id)
			want := strings.Replace(expect(recording), "container made\n", "", 1)
			want = strings.Replace(want, "container web2", "container remade\ncontainer web2", 1)
			if got := describe(l.next()); got != want {
				t.Errorf("after a rename: got\n%swant\n%s", got, want)
			}
		})
	}
}

// Nothing may happen between the list and the events.
func TestListensFirst(t *testing.T) {
	f := newFake(t, "20.10")
	follow(t, f, time.Hour).next()
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, want := range []string{"/version", "/events?filters=", "/networks", "/containers/json?all=true"} {
		if !strings.Contains(f.asked[i], want) {
			t.Errorf("question %d is %s, want %s", i+1, f.asked[i], want)
		}
	}
}

func TestNetworkEvents(t *testing.T) {
	f := newFake(t, "20.10")
	l := follow(t, f, time.Hour)
	l.next()
	id, path := f.network("back")
	gone := f.replies[path]
	f.remove(path)
	f.send(`{"Type":"network","Action":"destroy","Actor":{"ID":"` + id + `","Attributes":{"name":"back"}}}`)
	w := l.next()
	if w.Networks[0].Name != "bridge" {
		t.Errorf("the first network is %s, want bridge", w.Networks[0].Name)
	}
	if c, _ := containerOf(w, "multi"); len(c.Endpoints) != 2 {
		t.Errorf("endpoints are left on a network that is gone: %+v", c.Endpoints)
	}
	f.mu.Lock()
	f.replies[path] = gone
	f.mu.Unlock()
	f.send(`{"Type":"network","Action":"create","Actor":{"ID":"` + id + `","Attributes":{"name":"back"}}}`)
	if got := describe(l.next()); got != recorded {
		t.Errorf("got\n%swant\n%s", got, recorded)
	}
	// A container that joins another network is told as an event of the network.
	container, path := f.container("multi")
	f.change(path, `"IPAddress":"10.6.0.2"`, `"IPAddress":"10.6.0.99"`)
	f.send(`{"Type":"network","Action":"connect","Actor":{"ID":"` + id + `","Attributes":{"container":"` + container + `"}}}`)
	if c, _ := containerOf(l.next(), "multi"); c.Endpoints[0].Addresses[0].String() != "10.6.0.99/24" {
		t.Errorf("the address of multi is %s", c.Endpoints[0].Addresses[0])
	}
}

// Docker answers nothing about a container that starts. That holds up nobody, and
// its answer is handed over at once.
func TestContainerThatStarts(t *testing.T) {
	f := newFake(t, "20.10")
	l := follow(t, f, time.Hour)
	l.next()
	starting, startPath := f.container("web2")
	other, otherPath := f.container("paused")
	release := f.hold(startPath)
	defer release()
	f.tell("start", starting)
	eventually(t, "web2 is asked about", func() bool { return f.count(startPath) == 2 })
	for range 5 {
		f.tell("start", starting)
	}
	f.change(startPath, `"HostPort":"8080"`, `"HostPort":"8088"`)
	f.change(otherPath, `"HostPort":"32770"`, `"HostPort":"32777"`)
	f.tell("start", other)
	w := l.next()
	if c, _ := containerOf(w, "paused"); c.Ports[2].HostPort != 32777 {
		t.Errorf("the ports of paused are %+v", c.Ports)
	}
	if c, _ := containerOf(w, "web2"); c.Ports[0].HostPort != 8080 {
		t.Errorf("the ports of web2 are %+v before the answer", c.Ports)
	}
	at := time.Now()
	release()
	if c, _ := containerOf(l.next(), "web2"); c.Ports[0].HostPort != 8088 {
		t.Errorf("the ports of web2 are %+v", c.Ports)
	}
	t.Logf("handed over %s after the answer", time.Since(at))

	// All events while it was asked about make one more question.
	eventually(t, "web2 is asked about once more", func() bool { return f.count(startPath) == 3 })
	f.change(otherPath, `"HostPort":"32777"`, `"HostPort":"32778"`)
	f.tell("start", other)
	l.next()
	if n := f.count(startPath); n != 3 {
		t.Errorf("web2 was asked about %d times, want 3", n)
	}
}

// The ports that a container was created with lead to it as soon as its network knows its
// address, until Docker says something else of it.
func TestContainerArrives(t *testing.T) {
	f := newFake(t, "26.1")
	l := follow(t, f, time.Hour)
	l.next()
	id, path := f.container("done")
	network, networkPath := f.network("front")
	release := f.hold(path)
	defer release()
	connect := `{"Type":"network","Action":"connect","Actor":{"ID":"` + network + `","Attributes":{"container":"` + id + `"}}}` + "\n"
	f.change(networkPath, `"Containers":{`, `"Containers":{"`+id+`":{"MacAddress":"02:42:0a:05:00:09","IPv4Address":"10.5.0.9/16"},`)
	f.send(connect)
	c, _ := containerOf(l.next(), "done")
	var b strings.Builder
	describeContainer(&b, c, "")
	if got, want := b.String(), "container done running front=10.5.0.9/16,02:42:0a:05:00:09,default tcp:127.0.0.1:9999-9999:99-99\n"; got != want {
		t.Errorf("before the answer: got %swant %s", got, want)
	}
	release()
	if c, _ := containerOf(l.next(), "done"); c.Running || len(c.Ports) > 0 || len(c.Endpoints) > 0 {
		t.Errorf("after the answer: %+v", c)
	}
}

// A container of which only the list is known is in the first world, and the
// answer about it completes it.
func TestContainerThatStartsAtFirst(t *testing.T) {
	f := newFake(t, "26.1")
	_, path := f.container("web2")
	release := f.hold(path)
	defer release()
	l := follow(t, f, time.Hour)
	if c, _ := containerOf(l.next(), "web2"); c.Netns != "" || len(c.Ports) != 3 {
		t.Errorf("web2 is %+v before the answer", c)
	}
	release()
	if got := describe(l.next()); got != expect("26.1") {
		t.Errorf("got\n%swant\n%s", got, expect("26.1"))
	}
}

func TestContainerGoneSinceTheList(t *testing.T) {
	f := newFake(t, "20.10")
	_, path := f.container("web2")
	f.remove(path)
	l := follow(t, f, time.Hour)
	w := l.next()
	if has(w, "web2") || len(w.Containers) != 8 {
		t.Errorf("got\n%s", describe(w))
	}
	if c, _ := containerOf(w, "joined"); c.Netns != "" {
		t.Errorf("joined is in %s, and nobody else is", c.Netns)
	}
	if s := l.State(); !s.Connected || s.Err != nil {
		t.Errorf("state is %+v", s)
	}
}

func TestContainerThatDies(t *testing.T) {
	f := newFake(t, "26.1")
	l := follow(t, f, time.Hour)
	l.next()
	id, path := f.container("web2")
	f.change(path, `"Running":true`, `"Running":false`)
	f.tell("die", id)
	if c, ok := containerOf(l.next(), "web2"); !ok || c.Running || c.Netns != "" || c.Endpoints != nil || c.Ports != nil {
		t.Errorf("web2 is %+v after it died", c)
	}
	f.remove(path)
	f.tell("destroy", id)
	if has(l.next(), "web2") {
		t.Error("web2 is there after it was removed")
	}
}

// An answer that is an error says nothing about the container.
func TestErrorIsAskedAgain(t *testing.T) {
	f := newFake(t, "20.10")
	l := follow(t, f, time.Hour)
	l.next()
	id, path := f.container("made")
	f.fail(path, true)
	f.change(path, `"Name":"/made"`, `"Name":"/remade"`)
	f.tell("rename", id)
	eventually(t, "made is asked about", func() bool { return f.count(path) == 2 })
	f.fail(path, false)
	if w := l.next(); !has(w, "remade") {
		t.Errorf("got\n%s", describe(w))
	}
}

// The list finds what no event told.
func TestMissedEvents(t *testing.T) {
	f := newFake(t, "20.10")
	l := follow(t, f, 10*time.Millisecond)
	l.next()
	_, path := f.container("made")
	f.change(path, `"Name":"/made"`, `"Name":"/remade"`)
	l.until(func(w engine.World) bool { return has(w, "remade") && !has(w, "made") })

	// Those that the list has no longer are asked about as well.
	id, path := f.container("done")
	list := f.version + "/containers/json?all=true"
	f.change(list, id, strings.Repeat("0", 64))
	before := f.count(list)
	eventually(t, "all is asked about without it", func() bool { return f.count(list) > before+2 })
	f.remove(path)
	l.until(func(w engine.World) bool { return !has(w, "done") })
}

func TestDockerRestarts(t *testing.T) {
	f := newFake(t, "20.10")
	l := follow(t, f, time.Hour)
	l.next()
	_, path := f.container("web2")
	defer f.hold(path)() // its question breaks with the connection
	id, _ := f.container("web2")
	f.tell("start", id)
	eventually(t, "web2 is asked about", func() bool { return f.count(path) == 2 })
	f.stop()
	eventually(t, "Docker is missed", func() bool { s := l.State(); return !s.Connected && s.Err != nil && s.Version != "" })

	// What happens while Docker is away is seen when it is back.
	_, made := f.container("made")
	f.change(made, `"Name":"/made"`, `"Name":"/remade"`)
	_, done := f.container("done")
	f.remove(done)
	if len(l.worlds) > 0 {
		t.Errorf("something was handed over:\n%s", describe(l.next()))
	}
	f.start()
	l.until(func(w engine.World) bool { return has(w, "remade") && !has(w, "done") }, func(w engine.World) error {
		if c, ok := containerOf(w, "web2"); !ok || c.Netns == "" {
			return errMissing
		}
		return nil
	})
	eventually(t, "Docker is found", func() bool { s := l.State(); return s.Connected && s.Err == nil })
}

func TestBrokenStream(t *testing.T) {
	for name, end := range map[string]string{"between events": "", "within an event": `{"Type":"contai`, "nonsense": "}"} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, "26.1")
			l := follow(t, f, time.Hour)
			l.next()
			_, path := f.container("made")
			f.change(path, `"Name":"/made"`, `"Name":"/remade"`)
			f.send(end)
			f.cut()
			l.until(func(w engine.World) bool { return has(w, "remade") })
		})
	}
}

// Changes while the consumer is busy come together.
func TestBusyConsumer(t *testing.T) {
	f := newFake(t, "20.10")
	e := New(Options{Socket: f.socket, Interval: time.Hour})
	worlds, free := make(chan engine.World), make(chan struct{})
	runEngine(t, e, func(w engine.World) {
		select {
		case worlds <- w:
		case <-t.Context().Done():
		}
		select {
		case <-free:
		case <-t.Context().Done():
		}
	})
	<-worlds
	names := []string{"again", "done", "made"}
	for _, name := range names {
		id, path := f.container(name)
		f.change(path, `"Name":"/`+name+`"`, `"Name":"/new`+name+`"`)
		f.tell("rename", id)
	}
	eventually(t, "all three are known", func() bool {
		w := e.known.world()
		return !slices.ContainsFunc(names, func(name string) bool { return !has(w, "new"+name) })
	})
	close(free)
	if w := <-worlds; slices.ContainsFunc(names, func(name string) bool { return !has(w, "new"+name) }) {
		t.Errorf("got\n%s", describe(w))
	}
	if len(e.known.changed) != 0 {
		t.Error("there is more to hand over, and nothing has changed")
	}
}
