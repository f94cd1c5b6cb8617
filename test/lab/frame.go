package lab

import (
	"encoding/binary"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// MAC is the hardware address of one of the machine's devices.
func (m *Machine) MAC(dev string) net.HardwareAddr {
	m.lab.t.Helper()
	var mac net.HardwareAddr
	m.Do(func() error {
		link, err := net.InterfaceByName(dev)
		if err == nil {
			mac = link.HardwareAddr
		}
		return err
	})
	return mac
}

// SendFrame sends one Ethernet frame as it is by one of the machine's devices.
func (m *Machine) SendFrame(dev string, frame []byte) {
	m.lab.t.Helper()
	m.Do(func() error {
		link, err := net.InterfaceByName(dev)
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: link.Index})
	})
}

// UDPFrame is a frame with a UDP datagram, behind VLAN tags of 4 bytes each.
func UDPFrame(from, to net.HardwareAddr, tags []uint32, src, dst netip.AddrPort, text string) []byte {
	udp := binary.BigEndian.AppendUint16(nil, src.Port())
	udp = binary.BigEndian.AppendUint16(udp, dst.Port())
	udp = binary.BigEndian.AppendUint16(udp, uint16(8+len(text)))
	udp = append(udp, 0, 0) // no checksum
	udp = append(udp, text...)

	ip := []byte{0x45, 0, 0, 0, 0, 1, 0, 0, 64, unix.IPPROTO_UDP, 0, 0}
	binary.BigEndian.PutUint16(ip[2:], uint16(20+len(udp)))
	ip = append(append(ip, src.Addr().AsSlice()...), dst.Addr().AsSlice()...)
	binary.BigEndian.PutUint16(ip[10:], checksum(ip))

	frame := append(append([]byte(nil), to...), from...)
	for _, tag := range tags {
		frame = binary.BigEndian.AppendUint32(frame, tag)
	}
	frame = binary.BigEndian.AppendUint16(frame, unix.ETH_P_IP)
	return append(append(frame, ip...), udp...)
}

// checksum is the Internet checksum (RFC 1071) of a header of even length.
func checksum(b []byte) uint16 {
	sum := uint32(0)
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
