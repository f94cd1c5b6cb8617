package systems

import (
	"errors"
	"fmt"
	"testing"

	"github.com/ebnet/ebnet/test/lab"
)

// World is a system that is set up.
type World struct {
	System
	bench *bench
}

// Build sets a system up. The error says what failed; what was made until then is gone.
func Build(s System) (w *World, err error) {
	b := &bench{name: s.Name()}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.TakeDown())
		}
	}()
	err = b.Do(func() { s.SetUp(lab.New(b), b) })
	return &World{System: s, bench: b}, err
}

// Do runs what uses lab and returns what lab ended it with.
func (w *World) Do(fn func()) error { return w.bench.Do(fn) }

// TakeDown removes everything, and says what has remained.
func (w *World) TakeDown() error { return w.bench.TakeDown() }

// bench is the benchmark where lab expects a test: what would fail the test is an error
// of Do, what would be noted against it one of TakeDown.
type bench struct {
	testing.TB // nothing of it is there; lab uses what follows

	name     string
	cleanups []func()
	errs     []error
}

// fatal is what lab could not go on after.
type fatal struct{ error }

func (b *bench) Do(fn func()) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case fatal:
			err = fmt.Errorf("%s: %w", b.name, r.error)
		default:
			panic(r)
		}
	}()
	fn()
	return nil
}

func (b *bench) TakeDown() error {
	for len(b.cleanups) > 0 {
		last := b.cleanups[len(b.cleanups)-1]
		b.cleanups = b.cleanups[:len(b.cleanups)-1]
		if err := b.Do(last); err != nil {
			b.errs = append(b.errs, err)
		}
	}
	return errors.Join(b.errs...)
}

func (b *bench) Cleanup(fn func())                 { b.cleanups = append(b.cleanups, fn) }
func (b *bench) Helper()                           {}
func (b *bench) Name() string                      { return b.name }
func (b *bench) Failed() bool                      { return len(b.errs) > 0 }
func (b *bench) Logf(string, ...any)               {}
func (b *bench) Fatal(args ...any)                 { panic(fatal{errors.New(fmt.Sprint(args...))}) }
func (b *bench) Fatalf(format string, args ...any) { panic(fatal{fmt.Errorf(format, args...)}) }
func (b *bench) Skip(args ...any)                  { b.Fatal(args...) }
func (b *bench) Errorf(format string, args ...any) {
	b.errs = append(b.errs, fmt.Errorf(b.name+": "+format, args...))
}
