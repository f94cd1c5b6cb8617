package main

import (
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// filters are the values of --filter, KEY=VALUE each. As with docker, one of
// the values given for a key has to match, but all of those for label.
type filters struct {
	values []string
}

func addFilter(cmd *cobra.Command, keys string) *filters {
	f := &filters{}
	cmd.Flags().StringArrayVarP(&f.values, "filter", "f", nil, "show only those that match `KEY=VALUE`: "+keys)
	return f
}

// subject is what filters look at: the values that a thing has for each key.
type subject struct {
	texts  map[string][]string
	labels map[string]string
}

// check holds that every filter is KEY=VALUE with a key that the subject knows.
func (f *filters) check(cmd *cobra.Command, known subject) error {
	for _, filter := range f.values {
		key, _, found := strings.Cut(filter, "=")
		if !found || key == "" {
			return usagef(cmd, "bad filter %q: write KEY=VALUE", filter)
		}
		if _, found := known.texts[key]; !found && key != "label" {
			keys := append(slices.Sorted(maps.Keys(known.texts)), "label")
			return usagef(cmd, "unknown filter %q: use %s", key, strings.Join(keys, ", "))
		}
	}
	return nil
}

func (f *filters) match(s subject) bool {
	matched := map[string]bool{}
	for _, filter := range f.values {
		key, value, _ := strings.Cut(filter, "=")
		if key == "label" {
			if !hasLabel(s.labels, value) {
				return false
			}
			continue
		}
		matched[key] = matched[key] || slices.ContainsFunc(s.texts[key], func(text string) bool {
			switch key {
			case "name": // as docker: any part of it
				return strings.Contains(text, value)
			case "id":
				return strings.HasPrefix(text, value)
			}
			return text == value
		})
	}
	for _, ok := range matched {
		if !ok {
			return false
		}
	}
	return true
}

// hasLabel matches KEY or KEY=VALUE.
func hasLabel(labels map[string]string, want string) bool {
	key, value, withValue := strings.Cut(want, "=")
	got, found := labels[key]
	return found && (!withValue || got == value)
}
