package docker

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/ebnet/ebnet/test/lab"
)

// ask has an actor ask others, each written as WHO:PORT/PROTOCOL. WHO is an actor,
// localhost, otherhost or, with blanks, an address that the stage knows: "web on front",
// "gateway of bridge". The questions are under way until the stage settles, as it does
// before a container or a network comes and at the scenario's end.
func (s *stage) ask(from string, targets ...string) {
	for _, target := range targets {
		who, rest, _ := strings.Cut(target, ":")
		port, network, _ := strings.Cut(rest, "/")
		addr := netip.Addr{}
		for a, name := range s.names {
			if name == who {
				addr = a
			}
		}
		if !addr.IsValid() {
			s.t.Fatalf("%s has no address", who)
		}
		s.asking.Go(func() {
			s.askAs(from+" asks "+target, from, network, addr.String()+":"+port)
		})
	}
}

// settle waits until all questions are answered.
func (s *stage) settle() { s.asking.Wait() }

// askAs is ask for an address of any kind, with the question's own name.
func (s *stage) askAs(what, from, network, addr string) {
	if answered(s.want[what]) {
		s.see(what, s.view(s.actors[from].Ask(network, addr)))
		return
	}
	// Docker does not wait until those who hear of it know that something is gone. What
	// is there when it should not be counts at once, how it is gone only in the end.
	view := ""
	for deadline := time.Now().Add(wait); ; {
		view = s.view(s.actors[from].AskSoon(network, addr))
		if view == s.want[what] || answered(view) || time.Now().After(deadline) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	s.see(what, view)
}

// answered says whether a view is that of an answer.
func answered(view string) bool { return strings.Contains(view, " sees ") }

// talk goes on with a conversation.
func (s *stage) talk(what string, c *lab.Conversation) {
	s.see(what, s.view(c.Ask()))
}

// view puts what came of a question into words.
func (s *stage) view(reply lab.Reply, err error) string {
	var netErr net.Error
	switch {
	case err == nil:
		return reply.Server + " sees " + s.nameOf(reply.Client.Addr())
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return "unreachable"
	case errors.As(err, &netErr) && netErr.Timeout():
		return "no answer"
	default:
		return err.Error()
	}
}

func (s *stage) nameOf(addr netip.Addr) string {
	if name, ok := s.names[addr]; ok {
		return name
	}
	return addr.String()
}

// see writes down a view.
func (s *stage) see(what, view string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.got[what]; ok {
		s.t.Errorf("%q is seen twice", what)
	}
	s.got[what] = view
}

// exec runs a command in a container and writes down its words, or its exit status.
func (s *stage) exec(name string, command ...string) {
	res := s.docker.Try(append([]string{"exec", name}, command...)...)
	view := strings.Join(strings.Fields(res.Out), " ")
	if res.Code != 0 {
		view = fmt.Sprintf("exit status %d", res.Code)
	}
	s.see(name+" runs "+strings.Join(command, " "), view)
}

// askByName has a process in a container ask another by its name, and writes down who
// answers.
func (s *stage) askByName(from, network, target string) {
	res := s.docker.Try("exec", from, "traffic", "ask", network, target)
	what := from + " asks by name " + target + "/" + network
	words := strings.Fields(res.Out)
	if res.Code != 0 || len(words) != 2 {
		s.see(what, "fails")
		return
	}
	s.see(what, words[0]+" sees "+s.nameOf(netip.MustParseAddrPort(words[1]).Addr()))
}

// ping has a process in a container ping somebody.
func (s *stage) ping(from, who, addr string) {
	what := from + " pings " + who
	patience, view := "1", "no answer"
	if s.want[what] == "answer" {
		patience = "10"
	}
	if s.docker.Try("exec", from, "ping", "-q", "-c", "1", "-W", patience, addr).Code == 0 {
		view = "answer"
	}
	s.see(what, view)
}

// download fetches bytes from a `traffic serve` and says how many came unharmed.
func (s *stage) download(url string, size int) string {
	resp, err := s.client.HTTP().Get(fmt.Sprintf("%s/bytes/%d", url, size))
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, resp.Body)
	if err != nil || hex.EncodeToString(sum.Sum(nil)) != resp.Trailer.Get("Sha256") {
		return fmt.Sprintf("harmed after %d bytes: %v", n, err)
	}
	return fmt.Sprintf("%d bytes", n)
}

// port is the host's port that Docker says it has chosen, as in "7000/tcp".
func (s *stage) port(container, port string) string {
	line, _, _ := strings.Cut(s.docker.Run("port", container, port), "\n")
	at, err := netip.ParseAddrPort(line)
	if err != nil {
		s.t.Fatalf("port %s of %s: %v", port, container, err)
	}
	return fmt.Sprint(at.Port())
}
