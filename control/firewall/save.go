package firewall

import "strings"

// savedTable is one table as iptables-save prints it.
type savedTable struct {
	name   string
	chains []savedChain
	rules  []savedRule
}

type savedChain struct{ name, text string }

// savedRule is one rule. Its text has it as it was printed, so that it can be handed
// back as it is; its words are what is behind the chain, without quotes.
type savedRule struct {
	chain, text string
	words       []string
}

// parseSave reads what iptables-save prints. Lines of other kinds, such as comments and
// those of tables that iptables cannot show, have nothing in them that could be removed.
func parseSave(text string) []savedTable {
	var tables []savedTable
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if name, found := strings.CutPrefix(line, "*"); found {
			tables = append(tables, savedTable{name: name})
			continue
		}
		if len(tables) == 0 {
			continue
		}
		t := &tables[len(tables)-1]
		if chain, found := strings.CutPrefix(line, ":"); found {
			name, _, _ := strings.Cut(chain, " ")
			t.chains = append(t.chains, savedChain{name, line})
		}
		if rule, found := strings.CutPrefix(line, "-A "); found {
			chain, rest, _ := strings.Cut(rule, " ")
			t.rules = append(t.rules, savedRule{chain, line, splitWords(rest)})
		}
	}
	return tables
}

// splitWords splits a rule as iptables-restore does: quotes keep words together, and a
// backslash takes the meaning from what is behind it.
func splitWords(text string) []string {
	var words []string
	var word strings.Builder
	quoted, escaped, begun := false, false, false
	for _, c := range []byte(text) {
		switch {
		case escaped:
			word.WriteByte(c)
			escaped = false
		case c == '\\' && quoted:
			escaped = true
		case c == '"':
			quoted, begun = !quoted, true
		case c == ' ' && !quoted:
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteByte(c)
			begun = true
		}
	}
	if begun {
		words = append(words, word.String())
	}
	return words
}

// value is what stands behind an option; empty without it. What others wrote, such as a
// comment, is one word and has an option behind it, so it cannot be taken for one.
func (r savedRule) value(options ...string) string {
	for i, word := range r.words[:max(len(r.words)-1, 0)] {
		for _, option := range options {
			if next := r.words[i+1]; word == option && !strings.HasPrefix(next, "-") {
				return next
			}
		}
	}
	return ""
}
