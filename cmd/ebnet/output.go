package main

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/ebnet/ebnet/control/api"
)

// format is the value of -o.
type format string

const (
	formatTable format = "table"
	formatJSON  format = "json"
)

func (f *format) String() string { return string(*f) }
func (f *format) Type() string   { return "format" }

func (f *format) Set(text string) error {
	switch format(text) {
	case formatTable, formatJSON:
		*f = format(text)
		return nil
	}
	return fmt.Errorf("use table or json")
}

// addOutput gives a command the flag -o.
func addOutput(cmd *cobra.Command, defaultFormat format) *format {
	chosen := defaultFormat
	cmd.Flags().VarP(&chosen, "output", "o", "table or json")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json"}, cobra.ShellCompDirectiveNoFileComp))
	return &chosen
}

// table prints columns as docker does.
type table struct{ out *tabwriter.Writer }

func newTable(w io.Writer, columns ...string) *table {
	t := &table{tabwriter.NewWriter(w, 10, 1, 3, ' ', 0)}
	if len(columns) > 0 {
		t.row(columns...)
	}
	return t
}

// row adds a line. The last column is not padded.
func (t *table) row(cells ...string) {
	fmt.Fprintln(t.out, strings.Join(cells, "\t"))
}

func (t *table) flush() error { return t.out.Flush() }

// print writes v as JSON, or as the table that fill makes.
func (f format) print(w io.Writer, v any, columns []string, fill func(*table)) error {
	if f == formatJSON {
		return api.WriteJSON(w, v)
	}
	t := newTable(w, columns...)
	fill(t)
	return t.flush()
}

// list joins values as a table shows them.
func list[T fmt.Stringer](values []T) string {
	texts := make([]string, len(values))
	for i, value := range values {
		texts[i] = value.String()
	}
	return strings.Join(texts, ",")
}

// hostSide is the host side of what is published, as docker shows it.
func hostSide(p api.Publish) string {
	host := p.HostIP
	if addr, err := netip.ParseAddr(host); err == nil && addr.Is6() {
		host = "[" + host + "]"
	}
	return host + ":" + ports(p.HostPort, p.HostPortEnd)
}

// targetSide is the sandbox's side of what is published, as docker shows it.
func targetSide(p api.Publish) string { return ports(p.Port, p.PortEnd) + "/" + p.Proto }

func ports(first, last uint16) string {
	if first == last {
		return fmt.Sprint(first)
	}
	return fmt.Sprintf("%d-%d", first, last)
}
