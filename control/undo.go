package control

import "errors"

// undo collects how to take back the steps of an operation that may fail later.
// Each step's undo is pushed beside the step.
type undo struct {
	steps []func() error
}

func (u *undo) push(step func() error) { u.steps = append(u.steps, step) }

// run takes back all steps, the last first. It goes on past failures, which the
// next reconcile repairs.
func (u *undo) run() error {
	var errs []error
	for i := len(u.steps) - 1; i >= 0; i-- {
		errs = append(errs, u.steps[i]())
	}
	u.steps = nil
	return errors.Join(errs...)
}
