package control

import (
	"errors"
	"fmt"

	"github.com/ebnet/ebnet/control/netdev"
	"github.com/ebnet/ebnet/control/store"
)

// keyReservedPorts is where the store remembers which of the kernel's reserved
// ports (net.ipv4.ip_local_reserved_ports) are ebnet's, so that those of the
// administrator can be told from them and stay.
const keyReservedPorts = "reserved_ports"

// syncReservedPorts keeps the kernel from choosing published ports by itself.
// What others have reserved stays.
func (a *Agent) syncReservedPorts() error {
	if _, err := syncReservedPorts(a.store, a.links, a.want.ports()); err != nil {
		return fmt.Errorf("reserve published ports: %w", err)
	}
	return nil
}

// releaseReservedPorts is syncReservedPorts for when ports are no longer
// published: that it fails is nobody's concern but the next reconcile's.
func (a *Agent) releaseReservedPorts() {
	if err := a.syncReservedPorts(); err != nil {
		a.log.Error("reserved ports stay, reconciling", "error", err)
		a.wake()
	}
}

// syncReservedPorts makes want the ports that are reserved for ebnet. A crash in
// between may leave a port noted that is not reserved, never one reserved that
// is not noted: so nothing stays behind for good. It says whether the kernel's
// list had to change.
func syncReservedPorts(st Store, links Links, want netdev.PortSet) (changed bool, err error) {
	have, err := links.ReservedPorts()
	if err != nil {
		return false, err
	}
	noted, err := notedPorts(st)
	if err != nil {
		return false, err
	}
	others := have.Minus(noted)
	ours := want.Minus(others)
	if more := noted.Union(ours); more != noted {
		if err := notePorts(st, more); err != nil {
			return false, err
		}
		noted = more
	}
	if all := others.Union(ours); all != have {
		if err := links.WriteReservedPorts(all); err != nil {
			return false, err
		}
		changed = true
	}
	if noted != ours {
		err = notePorts(st, ours)
	}
	return changed, err
}

func notedPorts(st Store) (netdev.PortSet, error) {
	var text string
	err := st.View(func(tx *store.Tx) error { return tx.Value(keyReservedPorts, &text) })
	if errors.Is(err, store.ErrNotFound) {
		return netdev.PortSet{}, nil
	}
	if err != nil {
		return netdev.PortSet{}, err
	}
	return netdev.ParsePortSet(text)
}

func notePorts(st Store, ports netdev.PortSet) error {
	return st.Update(func(tx *store.Tx) error { return tx.PutValue(keyReservedPorts, ports.String()) })
}
