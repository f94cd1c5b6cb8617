package e2e

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf/link"

	"github.com/ebnet/ebnet/test/lab"
)

// A program that somebody takes off a device is missed soon, though no event tells.
func TestProgramDetached(t *testing.T) {
	programDetached(t, func(w *world, ifindex string) {
		for _, pin := range []string{"tcx-ingress-" + ifindex, "cgroup-connect4"} {
			l, err := link.LoadPinnedLink(filepath.Join(w.agent.Pins(), "v1/links", pin), nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(l.Detach(), l.Close()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestFilterDeleted(t *testing.T) {
	programDetached(t, func(w *world, ifindex string) {
		w.host.Run("sh", "-c", "tc filter del dev $(ip -o link | sed -n 's/^"+ifindex+": \\([^:@]*\\).*/\\1/p') ingress")
	}, "--attach", "clsact")
}

func TestQdiscDeleted(t *testing.T) {
	programDetached(t, func(w *world, ifindex string) {
		w.host.Run("tc", "qdisc", "del", "dev", "eth0", "clsact")
	}, "--attach", "clsact")
}

func programDetached(t *testing.T, harm func(w *world, ifindex string), flags ...string) {
	w := newWorld(t, flags...)
	s := w.agent.Create("a", "-p", "8080:7000")
	s.AnswerTCP("a", ":7000")
	w.client.AnswerTCP("outside", ":7000")
	ifindex, _, _ := strings.Cut(w.host.IP("-o", "link", "show", s.Info.Endpoints[0].HostInterface), ":")
	before := len(w.agent.Status().Programs)
	w.agent.Idle()
	harm(w, ifindex)
	// To ask for the status is to ask for a repair, so only what works is asked for.
	lab.Eventually(t, soon, func() error {
		for _, way := range []struct {
			from   *lab.Machine
			remote string
		}{{w.client, hostIP + ":8080"}, {s.Machine, clientIP + ":7000"}, {w.host, "127.0.0.1:8080"}} {
			if _, err := way.from.AskSoon("tcp", way.remote); err != nil {
				return fmt.Errorf("%s asks %s: %w", way.from.Name, way.remote, err)
			}
		}
		return nil
	})
	if st := w.agent.Status(); len(st.Programs) != before || len(st.Problems) != 0 {
		t.Errorf("%d programs before, now %+v", before, st)
	}
}
