package store

import (
	"errors"
	"fmt"
)

var (
	// ErrInUse says that another agent has the store open. It is wrapped by *InUseError.
	ErrInUse = errors.New("store in use by another agent")
	// ErrCorrupt says that the file is damaged or no store of ebnet's. Nothing has been changed in it.
	ErrCorrupt = errors.New("store damaged")
	// ErrNewer says that a later version of ebnet wrote the store. Nothing has been changed in it.
	ErrNewer = errors.New("store written by a newer ebnet")
	// ErrNotFound says that the store holds no such thing.
	ErrNotFound = errors.New("not in the store")
)

// InUseError names who has the store open; it matches ErrInUse.
type InUseError struct {
	Path string
	PID  int // 0 if the process cannot be found
}

func (e *InUseError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("open %s: %v", e.Path, ErrInUse)
	}
	return fmt.Sprintf("open %s: %v (pid %d)", e.Path, ErrInUse, e.PID)
}

// Unwrap lets errors.Is match ErrInUse.
func (e *InUseError) Unwrap() error { return ErrInUse }

func corrupt(path, why string) error {
	return fmt.Errorf("open %s: %w: %s", path, ErrCorrupt, why)
}
