package control

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/engine"
	"github.com/ebnet/ebnet/control/firewall"
	"github.com/ebnet/ebnet/control/netdev"
	"github.com/ebnet/ebnet/control/store"
)

// Preview is one line of what adopting an engine's networks would change.
type Preview struct {
	Kind   string `json:"kind"`   // setting, network, endpoint or port
	Name   string `json:"name"`   // of the network or container, such as docker/web
	What   string `json:"what"`   // which of it: subnets, an address, a host port
	Action string `json:"action"` // what would happen to it, for people
}

// PreviewAdoption tells what an agent that adopts an engine's world would do in the
// calling thread's network namespace, line by line. It changes nothing. An agent
// that runs already has these publishes.
func PreviewAdoption(world engine.World, published []api.Publish) ([]Preview, error) {
	rules, err := firewall.DockerRules()
	if err != nil {
		return nil, err
	}
	return preview(world, published, rules, hostLinks{})
}

func preview(world engine.World, published []api.Publish, rules bool, kernel Links) ([]Preview, error) {
	links, err := kernel.Links()
	if err != nil {
		return nil, err
	}
	way := (&Agent{links: kernel, log: Options{}.withDefaults().Log, unsure: map[string]bool{}}).wayOut
	plan := planAdoption(ownPublishes(published), world, circumstances{way: way})
	p := previewer{plan: plan, rules: rules, links: links, kernel: kernel}
	for _, n := range world.Networks {
		p.network(n)
	}
	for _, c := range world.Containers {
		sb := plan.next.sandboxes[engineName(ownerDocker, c.Name)]
		p.endpoints(sb)
		for _, port := range c.Ports {
			p.port(sb, port)
		}
	}
	return p.lines, nil
}

// ownPublishes is the state of an agent as far as a plan depends on it.
func ownPublishes(published []api.Publish) desired {
	var s store.State
	for _, p := range published {
		host, err := netip.ParseAddr(p.HostIP)
		if err != nil || foreign(p.Owner) {
			continue
		}
		s.Sandboxes = append(s.Sandboxes, store.Sandbox{Name: p.Sandbox, ID: p.Sandbox, Owner: ownerEbnet})
		s.Publishes = append(s.Publishes, store.Publish{
			Proto: p.Proto, HostIP: host, HostPort: p.HostPort, HostPortEnd: p.HostPortEnd, Sandbox: p.Sandbox, Owner: ownerEbnet,
		})
	}
	return newDesired(s)
}

// previewer collects the lines of one preview.
type previewer struct {
	plan   adoption
	rules  bool
	links  []netdev.LinkInfo
	kernel Links
	lines  []Preview
}

func (p *previewer) line(kind, name, what, format string, args ...any) {
	p.lines = append(p.lines, Preview{kind, name, what, fmt.Sprintf(format, args...)})
}

// refused is why something is left out; empty: it is not.
func (p *previewer) refused(what string) string {
	for _, r := range p.plan.refused {
		if r.what == what {
			return r.why
		}
	}
	return ""
}

func (p *previewer) network(n engine.Network) {
	name := engineName(ownerDocker, n.Name)
	var subnets []string
	for _, s := range n.Subnets {
		subnets = append(subnets, s.Prefix.String())
	}
	what := strings.Join(append([]string{n.Bridge}, subnets...), " ")
	switch why := p.refused(name); {
	case why != "":
		p.line("network", name, what, "left to Docker: %s", why)
	case p.bridge(n.Bridge) == 0:
		p.line("network", name, what, "adopted when its bridge is there")
	case p.rules:
		p.line("network", name, what, "adopted; Docker's rules stay, and carry what has begun")
	default:
		p.line("network", name, what, "adopted; a program on %s drops what containers send past their own", n.Bridge)
	}
}

// bridge is the ifindex of a bridge; 0: there is none.
func (p *previewer) bridge(name string) int {
	for _, l := range p.links {
		if l.Name == name && l.Kind == "bridge" {
			return l.Index
		}
	}
	return 0
}

// endpoints writes a line for each of a container's places on networks.
func (p *previewer) endpoints(sb store.Sandbox) {
	for _, at := range bridged(sb) {
		n := p.plan.next.networks[at.Network]
		what := fmt.Sprintf("%s on %s", joinAddrs(at.Addresses), at.Network)
		if link := p.linkOf(n, at); link != "" {
			p.line("endpoint", sb.Name, what, "a program on %s carries what it sends", link)
		} else {
			p.line("endpoint", sb.Name, what, "served when its link on %s is up", n.Bridge)
		}
	}
}

// linkOf is the link whose other end has the addresses; empty: none has.
func (p *previewer) linkOf(n store.Network, at store.Attachment) string {
	bridge := p.bridge(n.Bridge)
	for _, l := range p.links {
		if bridge == 0 || l.Master != bridge || !isGuest(l) {
			continue
		}
		peer, err := p.kernel.PeerOf(l)
		if err == nil && slices.ContainsFunc(peer.Addrs, func(a netip.Prefix) bool { return slices.Contains(at.Addresses, a) }) {
			return l.Name
		}
	}
	return ""
}

func (p *previewer) port(sb store.Sandbox, port engine.Port) {
	var trial adoption
	pub, served := trial.adoptPort(sb, port)
	target, _ := publishedAt(sb, pub)
	switch why := p.refused(portName(pub)); {
	case !served && why == "":
		p.line("port", sb.Name, hostSide(pub), "left to Docker: the container has no %s address", familyOf(pub.HostIP))
	case why != "":
		p.line("port", sb.Name, hostSide(pub), "left to Docker: %s", why)
	case !target.IsValid():
		p.line("port", sb.Name, hostSide(pub), "published when the container has an address")
	default:
		spec := api.HostSpec{HostIP: target, HostPort: pub.Port, HostPortEnd: pub.PortEnd, Proto: pub.Proto}
		p.line("port", sb.Name, hostSide(pub), "published to %s", spec)
	}
}
