package control

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/ebnet/ebnet/control/netdev"
	"github.com/ebnet/ebnet/datapath"
	"github.com/ebnet/ebnet/loader"
)

// Forwarder is what the agent needs of the datapath's tables.
type Forwarder interface {
	PutEndpoint(datapath.Endpoint) (datapath.Endpoint, error)
	DeleteEndpoint(ifindex uint32) error
	Endpoints() ([]datapath.Endpoint, error)

	PutNetwork(datapath.Network) error
	DeleteNetwork(index uint16) error
	Networks() ([]datapath.Network, error)

	Publish(datapath.Publish, []netip.Prefix) (datapath.Publish, error)
	SetAllowed(slot uint32, allow []netip.Prefix) error
	Allowed(slot uint32) ([]netip.Prefix, error)
	Origins() ([]datapath.Origin, error)
	Unpublish(datapath.Publish) error
	Publishes() ([]datapath.Publish, error)
	PublishesAt([]datapath.Publish) ([]datapath.Publish, error)

	SetUplinks([]datapath.Uplink) error
	SetHostAddrs([]datapath.HostAddr) error
	SetSettings(datapath.Settings) error

	Sweep() (datapath.Swept, error)
	EndEndpointFlows(slot uint32) (int, error)
	EndPublishFlows(slot uint32, hostPort uint16) (int, error)
	EndAllFlows() (int, error)
	Flows() iter.Seq2[datapath.Flow, error]
	FlowStats() (datapath.FlowStats, error)
	MapUsage() ([]datapath.MapUsage, error)
}

// Programs is what the agent needs of the loader.
type Programs interface {
	AttachContainer(ifindex int) error
	AttachBridge(ifindex int) error
	AttachUplink(ifindex int) error
	Detach(ifindex int) error
	AttachSockets() error
	Attached() ([]loader.Attachment, error)
	Lost() (loader.Lost, error)
	Hints() <-chan struct{}
	Repin() (names []string, err error)
	Close() error
}

// Links is what the agent needs of the kernel's links, namespaces, processes and
// sysctls, all as its own network namespace has them.
type Links interface {
	EnsureBridge(netdev.Bridge) (ifindex int, created bool, err error)
	CreateVeth(netdev.Veth) (ifindex int, err error)
	UpVeth(netdev.Veth) error
	UpLoopback(netns string) error
	PruneRules(netns string, keep ...int) error
	Inside(netns string) (inside, error)
	DeleteLink(name string) error
	RenameLink(ifindex int, name string) error
	Addresses() (map[netip.Addr]string, error)
	RemoveAddr(link string, addr netip.Prefix) error
	Links() ([]netdev.LinkInfo, error)
	PeerOf(netdev.LinkInfo) (netdev.LinkInfo, error)
	PeerAddrs(netdev.LinkInfo) ([]netip.Prefix, error)
	EnsureFIBLink(name string) (netdev.FIBLink, error)
	CheckIPv6() error
	Routes() ([]netdev.Route, error)
	DefaultUplink([]netdev.LinkInfo) (ifindex int, ok bool, err error)

	CreateNetns(name string) (path string, err error)
	DeleteNetns(name string) error
	NetnsPath(name string) string
	ListNetns() ([]string, error)
	Processes(path string) ([]int, error)

	ReservedPorts() (netdev.PortSet, error)
	WriteReservedPorts(netdev.PortSet) error
	LocalPorts() (first, last uint16, err error)
	DestroySockets(protocol uint8, match func(netdev.Socket) bool) (int, error)
}

// hostLinks are the links of the namespace that the process runs in.
type hostLinks struct{}

func (hostLinks) EnsureBridge(b netdev.Bridge) (int, bool, error) { return netdev.EnsureBridge(b) }
func (hostLinks) CreateVeth(v netdev.Veth) (int, error)           { return netdev.CreateVeth(v) }
func (hostLinks) UpVeth(v netdev.Veth) error                      { return v.Up() }
func (hostLinks) DeleteLink(name string) error                    { return netdev.DeleteLink(name) }

func (hostLinks) RemoveAddr(link string, p netip.Prefix) error        { return netdev.RemoveAddr(link, p) }
func (hostLinks) Links() ([]netdev.LinkInfo, error)                   { return netdev.Links() }
func (hostLinks) PeerOf(l netdev.LinkInfo) (netdev.LinkInfo, error)   { return netdev.PeerOf(l) }
func (hostLinks) PeerAddrs(l netdev.LinkInfo) ([]netip.Prefix, error) { return netdev.PeerAddrs(l) }
func (hostLinks) EnsureFIBLink(name string) (netdev.FIBLink, error) {
	return netdev.EnsureFIBLink(name)
}
func (hostLinks) CheckIPv6() error                          { return netdev.CheckIPv6() }
func (hostLinks) Routes() ([]netdev.Route, error)           { return netdev.Routes() }
func (hostLinks) RenameLink(ifindex int, name string) error { return netdev.RenameLink(ifindex, name) }
func (hostLinks) Addresses() (map[netip.Addr]string, error) { return netdev.Addresses() }
func (hostLinks) PruneRules(netns string, keep ...int) error {
	return netdev.PruneRules(netns, keep...)
}

func (hostLinks) DeleteNetns(name string) error          { return netdev.DeleteNetns(name) }
func (hostLinks) NetnsPath(name string) string           { return netdev.NetnsPath(name) }
func (hostLinks) Processes(path string) ([]int, error)   { return netdev.Processes(path) }
func (hostLinks) ReservedPorts() (netdev.PortSet, error) { return netdev.ReadReservedPorts() }

func (hostLinks) WriteReservedPorts(set netdev.PortSet) error { return netdev.WriteReservedPorts(set) }

func (hostLinks) LocalPorts() (first, last uint16, err error) { return netdev.LocalPorts() }

func (hostLinks) DestroySockets(protocol uint8, match func(netdev.Socket) bool) (int, error) {
	return netdev.DestroySockets(protocol, match)
}

func (hostLinks) DefaultUplink(links []netdev.LinkInfo) (ifindex int, ok bool, err error) {
	return netdev.DefaultUplink(links)
}

// Inside reads the devices of a namespace, and which of them leads out.
func (hostLinks) Inside(netns string) (have inside, err error) {
	err = netdev.Do(netns, func() error {
		links, err := netdev.Links()
		if err != nil {
			return err
		}
		have.links = make(map[string]netdev.LinkInfo, len(links))
		for _, l := range links {
			have.links[l.Name] = l
		}
		have.ways = map[family]int{}
		for f, of := range map[family]int{ipv4: unix.AF_INET, ipv6: unix.AF_INET6} {
			if have.ways[f], _, err = netdev.DefaultWay(links, of); err != nil {
				return err
			}
		}
		have.way = cmp.Or(have.ways[ipv4], have.ways[ipv6])
		return nil
	})
	if err != nil {
		return inside{}, fmt.Errorf("look into %s: %w", netns, err)
	}
	return have, nil
}

// CreateNetns also takes a name at which a creation that was cut short left a
// file but no namespace.
func (hostLinks) CreateNetns(name string) (string, error) {
	path, err := netdev.CreateNetns(name)
	if !errors.Is(err, netdev.ErrExists) || isNetns(netdev.NetnsPath(name)) {
		return path, err
	}
	if err := netdev.DeleteNetns(name); err != nil {
		return "", err
	}
	return netdev.CreateNetns(name)
}

// ListNetns leaves out the names at which there is no namespace.
func (hostLinks) ListNetns() ([]string, error) {
	names, err := netdev.ListNetns()
	return slices.DeleteFunc(names, func(name string) bool { return !isNetns(netdev.NetnsPath(name)) }), err
}

func isNetns(path string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(path, &fs) == nil && fs.Type == unix.NSFS_MAGIC
}

// UpLoopback sets lo up in a namespace that has nothing else.
func (hostLinks) UpLoopback(netns string) error {
	err := netdev.Do(netns, func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		lo, err := unix.NewIfreq("lo")
		if err != nil {
			return err
		}
		lo.SetUint16(unix.IFF_UP)
		return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
	})
	if err != nil {
		return fmt.Errorf("set lo up in %s: %w", netns, err)
	}
	return nil
}
