package loader

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Pins of maps that somebody removes come back: from the agent that lives, and else
// from the programs that still use them.
func TestLostMapPins(t *testing.T) {
	eachMode(t, func(t *testing.T, m Mode) {
		c := Config{Dir: testDir(t), Attach: m}
		ctr, ext := veth(t, "ctr", 0), veth(t, "ext", 0)
		l := open(t, c)
		must(t, l.AttachContainer(ctr))
		must(t, l.AttachUplink(ext))
		must(t, l.Maps().HostAddrs.Put(make([]byte, 16), uint32(7)))
		all := names(t, folder(c.Dir).maps())

		lose := func(pins ...string) {
			t.Helper()
			for _, name := range pins {
				must(t, os.Remove(filepath.Join(folder(c.Dir).maps(), name)))
			}
		}
		kept := func(what string) {
			t.Helper()
			equal(t, what+": pins", names(t, folder(c.Dir).maps()), all)
			var value uint32
			must(t, l.Maps().HostAddrs.Lookup(make([]byte, 16), &value))
			if value != 7 {
				t.Errorf("%s: have %d, want 7: the map is another", what, value)
			}
		}
		lose("host_addrs", "flows")
		again, err := l.Repin()
		must(t, err)
		slices.Sort(again)
		equal(t, "pinned again", again, []string{"flows", "host_addrs"})
		kept("with the agent")
		again, err = l.Repin()
		must(t, err)
		equal(t, "pinned again, all there", again, nil)

		must(t, l.Close())
		lose("host_addrs", "endpoints", "publishes")
		l = open(t, c)
		kept("after a restart")
		must(t, l.Close())
		lose(all...)
		l = open(t, c)
		kept("after a restart without any")
	})
}
