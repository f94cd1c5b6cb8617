package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ebnet/ebnet/control/netdev"
)

// answerTime is how long an answer may take before it counts as lost, silence how long
// a test listens for one that must not come.
const (
	answerTime = 10 * time.Second
	silence    = time.Second
)

// Conversation is a connection or a UDP socket to an Answer server. Every question is
// answered with who answers and whom it sees, so that a packet that went astray or was
// translated wrongly shows in the text.
type Conversation struct {
	net.Conn
	LastQuestion, LastAnswer int // lengths, in bytes

	lines *bufio.Reader
	asked int
}

// Reply is an answer of an Answer server.
type Reply struct {
	Server string         // the name that the server was given
	Client netip.AddrPort // the client's address, as the server sees it
}

// ofFamily names a network, "tcp" or "udp", with the family of an address: 4 where that
// names none.
func ofFamily(network, addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if ip, bad := netip.ParseAddr(host); err == nil && bad == nil && ip.Is6() {
		return network + "6"
	}
	return network + "4"
}

// AnswerTCP answers questions on TCP at addr, until the test ends.
func (m *Machine) AnswerTCP(name, addr string) {
	m.lab.t.Helper()
	ln := m.ListenTCP(addr)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				lines := bufio.NewReader(conn)
				for {
					question, err := lines.ReadString('\n')
					if err != nil {
						return
					}
					fmt.Fprintf(conn, "%s %s %s", name, conn.RemoteAddr(), question)
				}
			}()
		}
	}()
}

// AnswerUDP answers questions on UDP at addr, until the test ends.
func (m *Machine) AnswerUDP(name, addr string) {
	m.lab.t.Helper()
	conn := m.ListenUDP(addr)
	conn.SetReadDeadline(time.Time{})
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			conn.WriteToUDPAddrPort(fmt.Appendf(nil, "%s %s %s", name, from, buf[:n]), from)
		}
	}()
}

// ListenUDP opens a UDP socket on the machine, until the test ends. A read from it fails
// if nothing comes.
func (m *Machine) ListenUDP(addr string) *net.UDPConn {
	m.lab.t.Helper()
	var conn *net.UDPConn
	m.Do(func() error {
		at, err := net.ResolveUDPAddr(ofFamily("udp", addr), addr)
		if err != nil {
			return err
		}
		conn, err = net.ListenUDP(ofFamily("udp", addr), at)
		return err
	})
	m.lab.t.Cleanup(func() { conn.Close() })
	conn.SetReadDeadline(time.Now().Add(answerTime))
	return conn
}

// ListenTCP opens a TCP listener on the machine, until the test ends.
func (m *Machine) ListenTCP(addr string) net.Listener {
	m.lab.t.Helper()
	var ln net.Listener
	m.Do(func() (err error) {
		ln, err = net.Listen(ofFamily("tcp", addr), addr)
		return err
	})
	m.lab.t.Cleanup(func() { ln.Close() })
	return ln
}

// Bind tries to listen on a port of the machine, and lets go of it.
func (m *Machine) Bind(network, addr string) error {
	return netdev.Do(m.Path, func() error {
		var c io.Closer
		var err error
		if strings.HasPrefix(network, "udp") {
			c, err = net.ListenPacket(network, addr)
		} else {
			c, err = net.Listen(network, addr)
		}
		if err == nil {
			c.Close()
		}
		return err
	})
}

// Talk opens a conversation ("tcp" or "udp") from local, which may be empty, to remote.
func (m *Machine) Talk(network, local, remote string) *Conversation {
	m.lab.t.Helper()
	conn, err := m.dial(network, local, remote, answerTime)
	if err != nil {
		m.lab.t.Fatalf("on %s: %v", m.Name, err)
	}
	m.lab.t.Cleanup(func() { conn.Close() })
	return &Conversation{Conn: conn, lines: bufio.NewReaderSize(conn, 64<<10)}
}

func (m *Machine) dial(network, local, remote string, timeout time.Duration) (net.Conn, error) {
	dialer := net.Dialer{Timeout: timeout, Control: reuseAddr}
	if local != "" {
		at, err := netip.ParseAddrPort(local)
		if err != nil {
			return nil, err
		}
		if network == "udp" {
			dialer.LocalAddr = net.UDPAddrFromAddrPort(at)
		} else {
			dialer.LocalAddr = net.TCPAddrFromAddrPort(at)
		}
	}
	var conn net.Conn
	err := netdev.Do(m.Path, func() (err error) {
		// An IPv6 socket that is for IPv6 alone, as "tcp6" says, could not go to an IPv4 sandbox.
		conn, err = dialer.DialContext(context.Background(), strings.TrimSuffix(ofFamily(network, remote), "6"), remote)
		return err
	})
	return conn, err
}

// reuseAddr lets a source port be used towards several servers.
func reuseAddr(_, _ string, raw syscall.RawConn) error {
	var err error
	if ctlErr := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}); ctlErr != nil {
		return ctlErr
	}
	return err
}

// Ask asks a question of its own and waits for the answer to it.
func (c *Conversation) Ask() (Reply, error) { return c.ask(answerTime) }

// Dead fails the test if a question is answered.
func (c *Conversation) Dead(t testing.TB) {
	t.Helper()
	if reply, err := c.ask(silence); err == nil {
		t.Errorf("%s on %s is answered: %+v", c.RemoteAddr(), c.RemoteAddr().Network(), reply)
	}
}

func (c *Conversation) ask(timeout time.Duration) (Reply, error) {
	c.asked++
	question := fmt.Sprintf("question-%d-of-%s", c.asked, c.LocalAddr())
	c.LastQuestion = len(question) + 1
	if _, err := fmt.Fprintf(c, "%s\n", question); err != nil {
		return Reply{}, err
	}
	c.SetReadDeadline(time.Now().Add(timeout))
	line, err := c.lines.ReadString('\n')
	if err != nil {
		return Reply{}, fmt.Errorf("ask %s: %w", c.RemoteAddr(), err)
	}
	c.LastAnswer = len(line)
	words := strings.Fields(line)
	if len(words) != 3 || words[2] != question {
		return Reply{}, fmt.Errorf("asked %s %q, got %q", c.RemoteAddr(), question, line)
	}
	client, err := netip.ParseAddrPort(words[1])
	return Reply{Server: words[0], Client: client}, err
}

// MustAsk is Ask for where an answer has to come.
func (m *Machine) MustAsk(c *Conversation) Reply {
	m.lab.t.Helper()
	reply, err := c.Ask()
	if err != nil {
		m.lab.t.Fatalf("on %s: %v", m.Name, err)
	}
	return reply
}

// Ask opens a conversation, asks one question and ends it.
func (m *Machine) Ask(network, remote string) (Reply, error) {
	return m.askOnce(network, "", remote, answerTime)
}

// AskSoon is Ask for where no answer is no surprise.
func (m *Machine) AskSoon(network, remote string) (Reply, error) {
	return m.askOnce(network, "", remote, silence)
}

// Unreachable fails the test if remote answers.
func (m *Machine) Unreachable(network, remote string) {
	m.lab.t.Helper()
	m.UnreachableFrom(network, "", remote)
}

// UnreachableFrom fails the test if remote answers what comes from the address local.
func (m *Machine) UnreachableFrom(network, local, remote string) {
	m.lab.t.Helper()
	reply, err := m.askOnce(network, local, remote, silence)
	var netErr net.Error
	switch {
	case err == nil:
		m.lab.t.Errorf("%s reached %s on %s, which answered: %+v", m.Name, remote, network, reply)
	case !errors.As(err, &netErr) && !errors.Is(err, io.EOF):
		m.lab.t.Errorf("on %s: %v", m.Name, err)
	}
}

func (m *Machine) askOnce(network, local, remote string, timeout time.Duration) (Reply, error) {
	conn, err := m.dial(network, local, remote, timeout)
	if err != nil {
		return Reply{}, err
	}
	defer conn.Close()
	return (&Conversation{Conn: conn, lines: bufio.NewReader(conn)}).ask(timeout)
}

// SendRaw sends one IP packet of any protocol, such as "47", with no regard to what
// the protocol would want.
func (m *Machine) SendRaw(protocol, to string, payload []byte) error {
	return netdev.Do(m.Path, func() error {
		conn, err := net.Dial(ofFamily("ip", net.JoinHostPort(to, ""))+":"+protocol, to)
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = conn.Write(payload)
		return err
	})
}
