// Command bench measures ebnet beside other ways to connect containers, and beside the
// limits of what any can reach: `sudo make bench`. Everything happens in network
// namespaces of its own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ebnet/ebnet/test/bench/run"
	"github.com/ebnet/ebnet/test/bench/systems"
	"github.com/ebnet/ebnet/test/bench/tool"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "tool" {
		os.Exit(tool.Main(os.Args[2:], os.Stdout))
	}
	os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin") // as root's own would be
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := bench(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// options are what a run is asked to do.
type options struct {
	short   bool
	part    bool // not all that there is to measure, or not as well
	blocks  int
	slice   time.Duration
	budget  time.Duration // of the blocks; 0 with a slice of its own
	figures []string
	peers   []string
	series  []string
	limit   int
	seed    uint64
	out     string
}

// Where reports go. That of a full run is worth keeping: git ignores the rest.
const (
	results       = "test/bench/results"
	resultsOfPart = results + "/short"
)

// usage is printed before the flags, with the packages that the systems need.
const usage = `bench measures ebnet beside other ways to connect containers: sudo make bench, or
sudo go run ./test/bench FLAGS in the repository's root. What is not installed is named
as skipped. All of it, on Debian 12:

  apt-get install %s
  sh test/deps.sh   # Docker 26.1, unpacked beside the machine's own

`

// parse reads the flags.
func parse(words []string) (options, error) {
	var o options
	var figures, peers, series string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprintf(flags.Output(), usage, strings.Join(systems.Packages(), " "))
		flags.PrintDefaults()
	}
	flags.BoolVar(&o.short, "short", false, "finish within 10 minutes instead of 60, with fewer figures and wider intervals")
	flags.IntVar(&o.blocks, "blocks", 0, "how many `blocks`; 0: 20, with -short 8")
	flags.DurationVar(&o.slice, "slice", 0, "how `long` each slice is; 0: as fits the time")
	flags.StringVar(&figures, "figures", "", "`list` of figures, or of what they begin with: "+strings.Join(figureIDs(), ","))
	flags.StringVar(&peers, "peers", "", "`list` of systems: "+strings.Join(systemNames(), ","))
	flags.StringVar(&series, "series", "all", "`list` of series, or none: "+strings.Join(run.SeriesNames(), ",")+"; all, with -short, is without "+run.SeriesDockerPorts)
	flags.IntVar(&o.limit, "limit", 0, "grow series up to this `count` only")
	flags.Uint64Var(&o.seed, "seed", 0, "`number` that the order comes from; 0: another each time")
	flags.StringVar(&o.out, "out", "", "`folder` for report and raw data; none: "+results+", or "+resultsOfPart+" of what is less than a full run")
	if err := flags.Parse(words); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected %q", flags.Args())
	}
	o.figures, o.peers = list(figures), list(peers)
	if o.series = list(series); series == "all" {
		o.series = run.SeriesNames()
		if o.short { // Docker takes minutes to publish so much
			o.series = slices.DeleteFunc(o.series, func(s string) bool { return s == run.SeriesDockerPorts })
		}
	}
	o.part = o.short || o.blocks != 0 || o.slice != 0 || o.limit != 0 || figures != "" || peers != "" || series != "all"
	if o.seed == 0 {
		o.seed = uint64(time.Now().UnixNano())
	}
	return o.complete()
}

// What the blocks may take of the 60 and 10 minutes; the series take the rest.
const (
	fullBudget  = 40 * time.Minute
	shortBudget = 6 * time.Minute
)

// complete fills in what depends on the rest, and refuses what does not exist.
func (o options) complete() (options, error) {
	budget, blocks := fullBudget, 20
	if o.short {
		budget, blocks = shortBudget, 8
		if o.limit == 0 {
			o.limit = 100000
		}
	}
	if o.blocks == 0 {
		o.blocks = blocks
	}
	if o.slice == 0 {
		o.budget = budget
	}
	if o.out == "" {
		if o.out = results; o.part {
			o.out = resultsOfPart
		}
	}
	for _, w := range o.figures {
		if len(run.Select(run.Figures(), []string{w})) == 0 {
			return o, fmt.Errorf("no figure is or begins with %q", w)
		}
	}
	if err := among("system", o.peers, systemNames()); err != nil {
		return o, err
	}
	return o, among("series", o.series, append(run.SeriesNames(), "none"))
}

func among(what string, words, known []string) error {
	for _, w := range words {
		if !strings.Contains(","+strings.Join(known, ",")+",", ","+w+",") {
			return fmt.Errorf("no %s %q; there are %s", what, w, strings.Join(known, ", "))
		}
	}
	return nil
}

func list(words string) []string {
	return strings.FieldsFunc(words, func(r rune) bool { return r == ',' })
}

func figureIDs() []string {
	var ids []string
	for _, f := range run.Figures() {
		ids = append(ids, f.ID)
	}
	return ids
}

func systemNames() []string {
	var names []string
	for _, s := range systems.All() {
		names = append(names, s.Name())
	}
	return names
}
