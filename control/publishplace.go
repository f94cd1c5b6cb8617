package control

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/ebnet/ebnet/control/store"
)

// hostPlace is where a port is published, and on which network of its sandbox.
type hostPlace struct {
	host    netip.Addr
	network string // empty: that of the default route of an engine's container
}

// familyError says that a sandbox has no address of a family for a publish to lead to.
type familyError struct {
	sandbox, network string
	family           family
}

func (e familyError) Error() string {
	text := fmt.Sprintf("sandbox %s has no %s address", e.sandbox, e.family)
	if e.network != "" {
		text += " on network " + e.network
	}
	return text
}

// publishPlaces are where ports are published: at the address that was asked for; or else,
// for each family that the sandbox has, where the network or the agent has it by default.
func (a *Agent) publishPlaces(sb store.Sandbox, asked netip.Addr, network string) ([]hostPlace, error) {
	if asked.IsValid() {
		name, err := a.publishNetwork(sb, network, familyOf(asked))
		return []hostPlace{{asked, name}}, err
	}
	var all []hostPlace
	var errs []error
	for _, f := range families {
		name, err := a.publishNetwork(sb, network, f)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if host := a.hostIP(f, name, sb); familyOf(host) == f {
			all = append(all, hostPlace{host, name})
		} else {
			errs = append(errs, fmt.Errorf("its ports are published on %s by default, and %w", host, familyError{sb.Name, name, familyOf(host)}))
		}
	}
	if len(all) == 0 {
		return nil, gravest(errs)
	}
	return all, nil
}

// gravest is the error that says most: one of two that is not about a family alone.
func gravest(errs []error) error {
	for _, err := range errs {
		if none := (familyError{}); !errors.As(err, &none) {
			return err
		}
	}
	return errs[len(errs)-1]
}

// publishNetwork is the network on which a sandbox is published with an address of a
// family: the named one, or that of its default route.
func (a *Agent) publishNetwork(sb store.Sandbox, name string, f family) (string, error) {
	if onHost(sb) {
		return "", fmt.Errorf("sandbox %s is in the host's own namespace, its ports are the host's already", sb.Name)
	}
	if foreign(sb.Owner) {
		return a.guestPublishNetwork(sb, name, f)
	}
	ats := bridged(sb)
	switch {
	case len(ats) == 0:
		return "", fmt.Errorf("sandbox %s has no network", sb.Name)
	case name == "":
		name = a.publishedBy(sb, ats, f).Network
	}
	at, on := findAttachment(sb, name)
	if !on {
		return "", fmt.Errorf("sandbox %s is not on network %s", sb.Name, name)
	}
	if a.want.networks[name].Internal {
		return "", fmt.Errorf("network %s is internal: nothing outside reaches it", name)
	}
	if _, has := f.addrOf(at); !has {
		return "", familyError{sb.Name, name, f}
	}
	return name, nil
}

// publishedBy is the attachment that has a sandbox's default route of a family, or else one
// to say of what is in the way.
func (a *Agent) publishedBy(sb store.Sandbox, ats []store.Attachment, f family) store.Attachment {
	if way, ok := a.defaultAttachment(sb, f); ok {
		return way
	}
	for _, at := range ats {
		if _, has := f.addrOf(at); has {
			return at
		}
	}
	return ats[0]
}

// hostIP is the host address that ports are published on by default, for a family: the
// network's, or the agent's, or else all.
func (a *Agent) hostIP(f family, network string, sb store.Sandbox) netip.Addr {
	if network == "" {
		network = sb.Way
	}
	for _, addr := range []netip.Addr{a.want.networks[network].HostIP, a.opt.HostIP} {
		switch {
		case !addr.IsValid():
		case addr.IsUnspecified():
			return f.all()
		default:
			return addr.Unmap()
		}
	}
	return f.all()
}
