package loader

import (
	"errors"
	"fmt"
	"math"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// Mode is how programs get onto devices.
type Mode uint8

// The modes. ModeAuto is tcx where the kernel has it, else clsact.
const (
	ModeAuto Mode = iota
	ModeTCX
	ModeClsact
)

// ParseMode reads what Mode.String writes.
func ParseMode(s string) (Mode, error) {
	for _, m := range []Mode{ModeAuto, ModeTCX, ModeClsact} {
		if m.String() == s {
			return m, nil
		}
	}
	return 0, fmt.Errorf("attach mode %q is none of auto, tcx, clsact", s)
}

// String is the mode as people type it.
func (m Mode) String() string {
	switch m {
	case ModeTCX:
		return "tcx"
	case ModeClsact:
		return "clsact"
	default:
		return "auto"
	}
}

// HaveTCX tells whether the kernel has tcx hooks. It asks for the programs of a
// device that does not exist, so it leaves no trace: a kernel without tcx
// stumbles over the name of the hook, one with it over the device.
func HaveTCX() (bool, error) {
	_, err := link.QueryPrograms(link.QueryOptions{
		Target: math.MaxInt32,
		Attach: ebpf.AttachTCXIngress,
	})
	switch {
	case err == nil, errors.Is(err, unix.ENODEV):
		return true, nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, ebpf.ErrNotSupported):
		return false, nil
	default:
		return false, fmt.Errorf("probe tcx: %w", err)
	}
}
