package store

import (
	"fmt"

	"go.etcd.io/bbolt"
)

// Store is an open store file. Its methods may be called from several
// goroutines; updates run one after the other.
type Store struct {
	db *bbolt.DB
	id string
}

// Close ends the use of the file, after the transactions under way.
func (s *Store) Close() error {
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// Path is the name of the file.
func (s *Store) Path() string { return s.db.Path() }

// ID names this installation: made with the file, the same for as long as it lives.
func (s *Store) ID() string { return s.id }

// Update runs fn in a transaction that is on disk when Update returns nil and
// has left no trace when it returns an error (fn's own is wrapped).
func (s *Store) Update(fn func(*Tx) error) error {
	if err := s.db.Update(func(tx *bbolt.Tx) error { return fn(&Tx{tx: tx}) }); err != nil {
		return fmt.Errorf("update store: %w", err)
	}
	return nil
}

// View runs fn on the state of one moment; writing in it is an error.
func (s *Store) View(fn func(*Tx) error) error {
	if err := s.db.View(func(tx *bbolt.Tx) error { return fn(&Tx{tx: tx}) }); err != nil {
		return fmt.Errorf("read store: %w", err)
	}
	return nil
}

// State returns everything that is stored.
func (s *Store) State() (State, error) {
	var st State
	err := s.View(func(tx *Tx) (err error) {
		st, err = tx.State()
		return err
	})
	return st, err
}
