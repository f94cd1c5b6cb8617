package control

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/engine"
)

// TestAllowOfDocker: a source list of a port that Docker publishes stays with the
// container, also when the port gets another number on the host.
func TestAllowOfDocker(t *testing.T) {
	w := newWorld(t)
	web := func(ports ...string) engine.World {
		return w.dockerWorld(on(container("web", "bridge 172.17.0.2/16"), ports...))
	}
	web("8080:80", "8081:80", "49153:443")
	a := w.agent()
	for _, port := range []string{"8080", "49153"} {
		c := api.AllowChange{Spec: hostSpec(port), Set: prefixes("192.0.2.0/24")}
		if _, err := a.ChangeAllow(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	lists := func() string {
		var out []string
		for key, p := range w.publishes {
			if len(w.allowed[p.Slot]) > 0 {
				out = append(out, strings.TrimPrefix(key, "0.0.0.0:"))
			}
		}
		if len(out) == 2 && out[0] > out[1] {
			out[0], out[1] = out[1], out[0]
		}
		return strings.Join(out, " ")
	}
	for _, step := range []struct {
		what  string
		world engine.World
		want  string
	}{
		{"as it was", web("8080:80", "8081:80", "49153:443"), "49153/tcp 8080/tcp"},
		{"stopped", w.dockerWorld(stopped(container("web"))), ""},
		{"another port", web("8080:80", "8081:80", "49154:443"), "49154/tcp 8080/tcp"},
		{"one of two", web("8081:80", "8080:80"), "8080/tcp"},
	} {
		a.Adopt(step.world)
		for range 2 {
			if got := lists(); got != step.want {
				t.Errorf("%s: limited are %q, want %q", step.what, got, step.want)
			}
			a.reconcile()
		}
		w.docker.world = nil // and with an agent that starts while dockerd is away
		a = w.agent()
		if got := lists(); got != step.want {
			t.Errorf("%s, after a restart: limited are %q, want %q", step.what, got, step.want)
		}
	}
	a.Adopt(web("49154:443")) // whose list is that of 49153 so far
	if _, err := a.ChangeAllow(t.Context(), api.AllowChange{Spec: hostSpec("49154"), Set: prefixes("198.51.100.0/24")}); err != nil {
		t.Fatal(err)
	}
	a.Adopt(web("49155:443", "8080:80"))
	if got := a.want.published("docker/web")[1].Allow; fmt.Sprint(got) != "[198.51.100.0/24]" {
		t.Errorf("not the last list but %v", got)
	}
	if _, err := a.ChangeAllow(t.Context(), api.AllowChange{Spec: hostSpec("8080"), Any: true}); err != nil {
		t.Fatal(err)
	}
	a.Adopt(web("8080:80"))
	if got := lists(); got != "" {
		t.Errorf("opened again, but limited are %q", got)
	}
}

// TestPortConflicts: there is one registry, and whoever comes second hears who was first.
func TestPortConflicts(t *testing.T) {
	w := newWorld(t)
	w.dockerWorld()
	a := w.agent()
	if err := createSandbox("own", nil, "8080:80")(a); err != nil {
		t.Fatal(err)
	}
	web := on(container("web", "bridge 172.17.0.2/16"), "8079-8081:79-81", "127.0.0.1:8080:80", "9000:90")
	a.Adopt(w.dockerWorld(web))
	a.reconcile()
	own := a.want.sandboxes["own"].Attachments[0].Addresses[0].Addr().String()
	if got := w.published(); got != "0.0.0.0:8080/tcp "+own+":80, 0.0.0.0:9000/tcp 172.17.0.2:90, 127.0.0.1:8080/tcp 172.17.0.2:80" {
		t.Errorf("published %s", got)
	}
	want := `docker/web publishes 0.0.0.0:8079-8081/tcp, which is published to own already and stays so: "ebnet unpublish 8080" ends that`
	if len(a.problems) != 1 || a.problems[0] != want {
		t.Errorf("problems %q", a.problems)
	}
	if _, err := a.Publish(t.Context(), api.PublishCreate{Spec: spec("9001:90"), Sandbox: "web"}); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"9000:80":           `0.0.0.0:9000/tcp is published already to sandbox docker/web, by Docker: "docker rm web" ends that`,
		"8080:90":           `0.0.0.0:8080/tcp is published already to sandbox own: "ebnet unpublish 8080" ends that`,
		"9001:90":           `0.0.0.0:9001/tcp is published already to sandbox docker/web: "ebnet unpublish 9001" ends that`,
		"127.0.0.1:8080:80": "127.0.0.1:8080/tcp is published already to sandbox docker/web",
	} {
		_, err := a.Publish(t.Context(), api.PublishCreate{Spec: spec(text), Sandbox: "own"})
		if apiError(err).Code != api.CodeConflict || !strings.Contains(err.Error(), want) {
			t.Errorf("publish %s: %v", text, err)
		}
	}
	if _, err := a.Unpublish(t.Context(), hostSpec("8080")); err != nil {
		t.Fatal(err)
	}
	a.reconcile()
	if got := w.published(); !strings.Contains(got, "0.0.0.0:8079-8081/tcp 172.17.0.2:79") || len(a.problems) > 0 {
		t.Errorf("published %s, problems %q", got, a.problems)
	}
}

// TestTwoClaimOnePort: the newcomer has it, however often both are told of.
func TestTwoClaimOnePort(t *testing.T) {
	w := newWorld(t)
	old := on(container("first", "bridge 172.17.0.2/16"), "8080:80")
	young := on(container("second", "bridge 172.17.0.3/16"), "8080-8081:80-81")
	w.dockerWorld(old)
	a := w.agent()
	for range 3 {
		a.Adopt(w.dockerWorld(old, young)) // the old one's end has not been told yet
		if got := w.published(); got != "0.0.0.0:8080-8081/tcp 172.17.0.3:80" {
			t.Errorf("published %s", got)
		}
		a.reconcile()
	}
	a.Adopt(w.dockerWorld(old, stopped(young)))
	if got := w.published(); got != "0.0.0.0:8080/tcp 172.17.0.2:80" {
		t.Errorf("published %s", got)
	}
	if a.registry.Count() != 1 {
		t.Errorf("%d ports registered", a.registry.Count())
	}
}

// TestPortsThatCannotBe are left to Docker, and told of where that is no matter of course.
func TestPortsThatCannotBe(t *testing.T) {
	w := newWorld(t)
	w.dockerWorld(on(container("web", "bridge 172.17.0.2/16"), "[::]:8080:80", "7000:70/sctp"))
	a := w.agent()
	if got := fmt.Sprint(a.problems); len(w.publishes) > 0 || got != "[docker/web publishes 0.0.0.0:7000/sctp: sctp is not supported yet]" {
		t.Errorf("published %s, problems %s", w.published(), got)
	}
}
