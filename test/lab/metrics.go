package lab

import (
	"bufio"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// Metrics is one scrape: values by series, written as the agent writes them, labels in
// alphabetical order.
type Metrics map[string]float64

// Scrape reads the agent's metrics.
func (a *Agent) Scrape() Metrics {
	a.lab.t.Helper()
	m, err := a.scrape()
	if err != nil {
		a.lab.t.Fatalf("scrape: %v", err)
	}
	return m
}

func (a *Agent) scrape() (Metrics, error) {
	resp, err := a.Machine.HTTP().Get("http://127.0.0.1:10469/metrics")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %s", resp.Status)
	}
	metrics := Metrics{}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		series, value, _ := cutLast(lines.Text(), " ")
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return nil, fmt.Errorf("read %q: %w", lines.Text(), err)
		}
		metrics[series] = v
	}
	return metrics, lines.Err()
}

var labels = regexp.MustCompile(`(\w+)="([^"]*)"`)

// Sum adds up the series of a metric that have all the given labels, such as
// `path="publish"`.
func (m Metrics) Sum(name string, with ...string) float64 {
	var sum float64
	for series, value := range m {
		metric, rest, _ := strings.Cut(series, "{")
		if metric == name && hasAll(rest, with) {
			sum += value
		}
	}
	return sum
}

// Has says whether there is a series of a metric with all the given labels.
func (m Metrics) Has(name string, with ...string) bool {
	for series := range m {
		metric, rest, _ := strings.Cut(series, "{")
		if metric == name && hasAll(rest, with) {
			return true
		}
	}
	return false
}

func hasAll(rest string, with []string) bool {
	have := map[string]bool{}
	for _, label := range labels.FindAllString(rest, -1) {
		have[label] = true
	}
	for _, w := range with {
		if !have[w] {
			return false
		}
	}
	return true
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
