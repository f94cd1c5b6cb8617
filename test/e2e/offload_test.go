package e2e

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ebnet/ebnet/test/lab"
)

// What devices leave to be summed, segmented or merged by others changes nothing that
// arrives: partial checksums and segmentation-offload packets are translated as they are.
func TestOffloads(t *testing.T) {
	overFamilies(t, func(t *testing.T, f ipFamily) {
		w := newFarWorld(t, f)
		s := w.create(f, "a", "-p", "8080:7000", "-p", "8081:7001/udp")
		ends := []*lab.Machine{s.Machine, w.far}
		// the router's devices complete what is partial, as a network card would, and
		// whoever gets it looks at it
		w.client.Run("ethtool", "-K", "eth0", "tx", "off")
		w.client.Run("ethtool", "-K", "eth1", "tx", "off")
		for _, off := range []string{"", "tx", "tso", "gso", "gro", "tx rx tso gso gro tx-udp-segmentation"} {
			for _, feature := range strings.Fields(off) {
				for _, m := range ends {
					m.Run("ethtool", "-K", "eth0", feature, "off")
				}
			}
			before := sumErrors(ends)
			what := fmt.Sprintf("without %q: ", off)
			push(t, what+"published", w.far, s.Machine, at(f.all, "7000"), at(f.host, "8080"))
			pull(t, what+"published, back", w.far, s.Machine, at(f.all, "7000"), at(f.host, "8080"))
			push(t, what+"masquerade", s.Machine, w.far, at(f.all, "7000"), at(w.addr, "7000"))
			segments(t, what+"published", w.far, s.Machine, at(f.all, "7001"), at(f.host, "8081"))
			segments(t, what+"masquerade", s.Machine, w.far, at(f.all, "7001"), at(w.addr, "7001"))
			if n := sumErrors(ends) - before; n != 0 {
				t.Errorf("%s%d packets with a wrong checksum", what, n)
			}
			for _, feature := range strings.Fields(off) {
				for _, m := range ends {
					m.Run("ethtool", "-K", "eth0", feature, "on")
				}
			}
		}
	})
}

// sumErrors are packets that the ends have thrown away for their checksums.
func sumErrors(ends []*lab.Machine) (sum int) {
	for _, m := range ends {
		sum += m.SNMP("Tcp", "InCsumErrors") + m.SNMP("Udp", "InCsumErrors")
	}
	return sum
}

// segments sends datagrams that the kernel cuts up (UDP_SEGMENT) and wants each whole.
func segments(t *testing.T, what string, from, to *lab.Machine, listen, remote string) {
	t.Helper()
	const size, count = 1000, 8
	server := to.ListenUDP(listen)
	defer server.Close()
	client, err := from.Dial("udp", "", remote)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	socketOption(t, client, unix.IPPROTO_UDP, unix.UDP_SEGMENT, size)
	var all []byte
	for i := range count {
		all = append(all, bytes.Repeat([]byte{byte('a' + i)}, size)...)
	}
	for range 3 { // the first may meet no neighbour yet
		if _, err := client.Write(all); err != nil {
			t.Errorf("%s: %v", what, err)
			return
		}
		buf := make([]byte, 64<<10)
		server.SetReadDeadline(time.Now().Add(3 * time.Second))
		for i := range count {
			if n, err := server.Read(buf); !bytes.Equal(buf[:n], all[i*size:(i+1)*size]) {
				t.Errorf("%s: datagram %d has %d bytes: %v", what, i, n, err)
				return
			}
		}
	}
}
