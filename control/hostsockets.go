package control

import (
	"errors"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/ebnet/ebnet/control/netdev"
	"github.com/ebnet/ebnet/datapath"
)

// endHostSockets ends the host's own connections by a published port. They have no
// flow: their sockets were led to the container, and would stay with it.
func (a *Agent) endHostSockets(p datapath.Publish) error {
	origins, err := a.fwd.Origins()
	if err != nil {
		return err
	}
	cookies := map[uint64]bool{}
	for _, o := range origins {
		if o.Target.Addr() == p.Target && asksFor(o.Asked, p) {
			cookies[o.Cookie] = true
		}
	}
	if len(cookies) == 0 {
		return nil
	}
	n, err := a.links.DestroySockets(uint8(p.Proto), func(s netdev.Socket) bool { return cookies[s.Cookie] })
	if errors.Is(err, unix.EOPNOTSUPP) {
		a.log.Warn("the host's own connections stay: the kernel has no CONFIG_INET_DIAG_DESTROY", "ports", p.String())
		return nil
	}
	a.log.Debug("ended the host's own connections", "ports", p.String(), "sockets", n)
	return err
}

// endUnanswered ends the connections that came before ports were published, and that
// the engine's sockets, which only hold the ports, have taken and will never answer: so
// their clients know that they have to try again. It looks at all of the host's sockets,
// so it is asked once for all that is published together.
func (a *Agent) endUnanswered(published ...datapath.Publish) {
	held := slices.DeleteFunc(published, func(p datapath.Publish) bool { return !p.Held || p.Proto != datapath.TCP })
	if len(held) == 0 {
		return
	}
	n, err := a.links.DestroySockets(uint8(datapath.TCP), func(s netdev.Socket) bool {
		return s.Waiting && slices.ContainsFunc(held, func(p datapath.Publish) bool {
			return s.Port >= p.HostPort && s.Port <= p.HostPortEnd
		})
	})
	if n > 0 || err != nil {
		a.log.Debug("ended connections that came before their ports were published", "sockets", n, "error", err)
	}
}

// asksFor tells whether a socket that asked for this address was led by this publish.
func asksFor(asked netip.AddrPort, p datapath.Publish) bool {
	return asked.Port() >= p.HostPort && asked.Port() <= p.HostPortEnd &&
		(p.Host.IsUnspecified() || p.Host == asked.Addr())
}
