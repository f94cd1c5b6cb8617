package run

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ebnet/ebnet/test/bench/systems"
	"github.com/ebnet/ebnet/test/bench/tool"
)

// What the ends say has to agree.
func TestEndsAgree(t *testing.T) {
	rr, udp := Figure{Mode: tool.RR}, Figure{Mode: tool.UDP}
	for _, row := range []struct {
		name   string
		figure Figure
		client tool.Result
		server tool.Served
		failed string
	}{
		{"all there", rr, tool.Result{Transactions: 9, Sent: 9, Received: 9, Time: time.Second}, tool.Served{Received: 9, Sent: 9}, ""},
		{"the server has less", rr, tool.Result{Transactions: 9, Sent: 9, Received: 9, Time: time.Second}, tool.Served{Received: 8, Sent: 9}, "the client says 9 bytes"},
		{"the server has sent more", rr, tool.Result{Transactions: 9, Sent: 9, Received: 9, Time: time.Second}, tool.Served{Received: 9, Sent: 10}, "the client says 9 bytes"},
		{"some datagrams are lost", udp, tool.Result{Transactions: 9, Time: time.Second}, tool.Served{Datagrams: 5, Datagram: 5 * tool.UDPPayload}, ""},
		{"more datagrams than were sent", udp, tool.Result{Transactions: 4, Time: time.Second}, tool.Served{Datagrams: 5, Datagram: 5 * tool.UDPPayload}, "came of 4"},
		{"short datagrams", udp, tool.Result{Transactions: 9, Time: time.Second}, tool.Served{Datagrams: 5, Datagram: 9}, "came of 9"},
	} {
		path := filepath.Join(t.TempDir(), "counters")
		file, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := binary.Write(file, binary.NativeEndian, row.server); err != nil {
			t.Fatal(err)
		}
		file.Close()
		var s Slice
		if _, err := s.settle(row.figure, row.client, path); err != nil {
			t.Fatal(err)
		}
		if (s.Failed == "") != (row.failed == "") || !strings.Contains(s.Failed, row.failed) {
			t.Errorf("%s: %q, want %q", row.name, s.Failed, row.failed)
		}
	}
}

func TestIperf(t *testing.T) {
	for _, row := range []struct {
		streams                   int
		name, report, failed, err string
	}{
		{1, "all there", `{"end":{"sum_sent":{"bytes":1000},"sum_received":{"bytes":1000,"bits_per_second":8000}}}`, "", ""},
		{1, "more than was sent", `{"end":{"sum_sent":{"bytes":1000},"sum_received":{"bytes":1001}}}`, "one end has sent 1000", ""},
		{1, "much is lost", `{"end":{"sum_sent":{"bytes":100000000},"sum_received":{"bytes":1000}}}`, "one end has sent", ""},
		{4, "much is under way", `{"end":{"sum_sent":{"bytes":100000000},"sum_received":{"bytes":1000}}}`, "", ""},
		{1, "it failed", `{"error":"unable to connect"}`, "", "unable to connect"},
		{1, "no report", `oops`, "", "read iperf3's report"},
	} {
		var s Slice
		_, err := s.iperf([]byte(row.report), row.streams)
		if (err == nil) != (row.err == "") || err != nil && !strings.Contains(err.Error(), row.err) {
			t.Errorf("%s: %v, want %q", row.name, err, row.err)
		}
		if (s.Failed == "") != (row.failed == "") || !strings.Contains(s.Failed, row.failed) {
			t.Errorf("%s: %q, want %q", row.name, s.Failed, row.failed)
		}
	}
}

func TestRetransmits(t *testing.T) {
	for _, row := range []struct {
		name   string
		figure Figure
		work   systems.Work
		again  int
		fails  bool
	}{
		{"a few of anything", Figure{Mode: tool.RR}, systems.Work{}, always, false},
		{"more than a few of nothing", Figure{Mode: tool.RR}, systems.Work{}, always + 1, true},
		{"one in a thousand transactions", Figure{Mode: tool.CRR}, systems.Work{Packets: 200000}, 200, true},
		{"one percent of a stream", Figure{Mode: modeIperf}, systems.Work{Bytes: 1e6 * segment}, 10000, false},
		{"three percent of a stream", Figure{Mode: modeIperf}, systems.Work{Bytes: 1e6 * segment}, 30000, true},
	} {
		s := Slice{Retransmits: row.again}
		if s.checkRetransmits(row.figure, row.work); (s.Failed != "") != row.fails {
			t.Errorf("%s: %q", row.name, s.Failed)
		}
	}
}

func TestSelect(t *testing.T) {
	all := Figures()
	for words, want := range map[string]int{"": len(all), "published.rr": 2, "c2c.rr": 1, "c2c,localhost.rr": 5, "publish": 0} {
		if got := Select(all, strings.FieldsFunc(words, func(r rune) bool { return r == ',' })); len(got) != want {
			t.Errorf("%q selects %d figures, want %d", words, len(got), want)
		}
	}
}

// Figures that come less often leave time to others.
func TestEvery(t *testing.T) {
	worlds := []*systems.World{{System: fixed{}}}
	often, seldom := Figure{ID: "often"}, Figure{ID: "seldom", Every: 4}
	for blocks, want := range map[int]int{1: 2, 4: 5, 5: 7, 20: 25} {
		p := Plan{Worlds: worlds, Figures: []Figure{often, seldom}, Blocks: blocks}
		if got, _ := p.slices(); got != want {
			t.Errorf("%d blocks: %d slices, want %d", blocks, got, want)
		}
		p.Figures = Always(p.Figures)
		if got, _ := p.slices(); got != 2*blocks {
			t.Errorf("%d blocks, always: %d slices", blocks, got)
		}
	}
	if !seldom.In(0) || seldom.In(3) || !seldom.In(8) {
		t.Error("other blocks")
	}
}

func TestFiguresHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range Figures() {
		if seen[f.ID] || f.What == "" || f.Unit == "" || f.Direction == "" || f.Mode == "" {
			t.Errorf("%+v", f)
		}
		seen[f.ID] = true
	}
}

// fixed is a system that is nothing but routes.
type fixed struct{ systems.System }

func (fixed) Route(d systems.Direction) (systems.Route, bool) {
	return systems.Route{}, d != systems.Localhost
}

func TestFit(t *testing.T) {
	worlds := []*systems.World{{System: fixed{}}, {System: fixed{}}}
	for _, total := range []time.Duration{time.Second, 5 * time.Minute, time.Hour} {
		p := Plan{Worlds: worlds, Figures: Figures(), Blocks: 20}
		p.Fit(total)
		if p.Slice < 200*time.Millisecond || p.Slice > 4*time.Second || p.Blocks < fewest {
			t.Errorf("%v: %d blocks of %v", total, p.Blocks, p.Slice)
		}
		if got := p.Length(); total > time.Minute && got > total+total/20 {
			t.Errorf("%v: takes %v", total, got)
		}
	}
}
