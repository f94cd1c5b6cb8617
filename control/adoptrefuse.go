package control

import (
	"fmt"
	"strings"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/store"
)

// title is an engine's name at the beginning of a sentence.
func title(owner string) string { return strings.ToUpper(owner[:1]) + owner[1:] }

// belongs refuses to touch what is an engine's, and says what does it there.
func belongs(owner string, instead ...string) error {
	return api.Errorf(api.CodeUnprocessable, "it belongs to %s: use %q", title(owner), owner+" "+strings.Join(instead, " "))
}

// mayMove says whether a sandbox may be connected to a network or taken off it: an
// engine's containers and an engine's networks are its own business.
func mayMove(sb store.Sandbox, n store.Network, verb string) error {
	switch {
	case foreign(sb.Owner) && sb.Owner == n.Owner:
		return belongs(sb.Owner, "network", verb, shortName(n.Name), shortName(sb.Name))
	case foreign(sb.Owner):
		return api.Errorf(api.CodeUnprocessable, "sandbox %s belongs to %s and can be on %s's networks only", sb.Name, title(sb.Owner), title(sb.Owner))
	case foreign(n.Owner):
		return mayEnter(n)
	}
	return nil
}

// mayEnter refuses to put a sandbox on an engine's network.
func mayEnter(n store.Network) error {
	if foreign(n.Owner) {
		return api.Errorf(api.CodeUnprocessable, "network %s belongs to %s and is for its containers only", n.Name, title(n.Owner))
	}
	return nil
}

// mayNotRemove says what removes an engine's network, if anything does.
func mayNotRemove(n store.Network) error {
	switch shortName(n.Name) {
	case "bridge", "host", "none": // Docker's own
		return api.Errorf(api.CodeUnprocessable, "it belongs to %s, which keeps it", title(n.Owner))
	}
	return belongs(n.Owner, "network rm", shortName(n.Name))
}

// mayUnpublish refuses to end what an engine publishes.
func mayUnpublish(p store.Publish) error {
	if foreign(p.Owner) {
		return fmt.Errorf("%w, or \"ebnet allow\" to limit who may connect", belongs(p.Owner, "rm", shortName(p.Sandbox)))
	}
	return nil
}
