package systems

import (
	"net"
	"net/netip"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"

	"github.com/ebnet/ebnet/test/bench/nullbpf"
	"github.com/ebnet/ebnet/test/lab"
)

// NullBPF is the ceiling of all BPF on ebnet's hooks: a fixed redirect with a fixed link
// header, no map, no look at the packet.
type NullBPF struct {
	*site
	programs []ebpf.ProgramID
}

func (*NullBPF) Name() string { return NullBPFName }
func (*NullBPF) About() string {
	return "ebnet's hooks with a fixed redirect and link header: no map, no translation"
}
func (*NullBPF) Available() error { return nil }

func (s *NullBPF) SetUp(l *lab.Lab, t Cleaner) {
	s.site = newSite(l)
	s.bridged(l, "web", "a", "b")
	s.outside.Route(subnet, netip.MustParseAddr(hostIP))
	if err := rlimit.RemoveMemlock(); err != nil {
		t.Fatalf("raise memory limit: %v", err)
	}
	var header [14]byte
	s.outside.Do(func() error {
		eth0, err := net.InterfaceByName("eth0")
		if err == nil {
			copy(header[:], eth0.HardwareAddr)
		}
		return err
	})
	s.host.Do(func() error {
		devs := map[string]*net.Interface{}
		for _, name := range []string{"eth0", vethOf(0), vethOf(1), vethOf(2)} {
			dev, err := net.InterfaceByName(name)
			if err != nil {
				return err
			}
			devs[name] = dev
		}
		copy(header[6:], devs["eth0"].HardwareAddr)
		header[12] = 8 // IPv4
		for _, hook := range []nullHook{
			{on: devs["eth0"], to: devs[vethOf(0)]},
			{on: devs[vethOf(0)], to: devs["eth0"], header: header},
			{on: devs[vethOf(1)], to: devs[vethOf(2)]},
			{on: devs[vethOf(2)], to: devs[vethOf(1)]},
		} {
			id, err := hook.attach(t)
			if err != nil {
				return err
			}
			s.programs = append(s.programs, id)
		}
		return nil
	})
}

func (s *NullBPF) Programs() []ebpf.ProgramID { return s.programs }

func (s *NullBPF) Route(d Direction) (Route, bool) { return s.direct(d) }

// nullHook is a device and where all its packets go.
type nullHook struct {
	on, to *net.Interface
	header [14]byte // none: to is a veth, and packets cross into its peer
}

// attach loads a program for this device alone, so that all it needs is constant.
func (h nullHook) attach(t Cleaner) (ebpf.ProgramID, error) {
	spec, err := nullbpf.LoadNull()
	if err != nil {
		return 0, err
	}
	if err := spec.Variables["cfg_to"].Set(uint32(h.to.Index)); err != nil {
		return 0, err
	}
	if err := spec.Variables["cfg_header"].Set(h.header); err != nil {
		return 0, err
	}
	var objs nullbpf.NullPrograms
	if err := spec.LoadAndAssign(&objs, nil); err != nil {
		return 0, err
	}
	t.Cleanup(func() { objs.Close() })
	prog := objs.NullCross
	if h.header != [14]byte{} {
		prog = objs.NullLeave
	}
	ln, err := link.AttachTCX(link.TCXOptions{Interface: h.on.Index, Program: prog, Attach: ebpf.AttachTCXIngress})
	if err != nil {
		return 0, err
	}
	t.Cleanup(func() { ln.Close() })
	info, err := prog.Info()
	if err != nil {
		return 0, err
	}
	id, _ := info.ID() // known since 4.13
	return id, nil
}
