// Package owner watches and ends processes, and never mistakes one for another
// that got its pid later.
//
//	StartTime(pid) (uint64, error)                         ErrGone
//	BootID() (string, error)
//	Alive(pid, start) (bool, error)
//	NewWatcher() (*Watcher, error)
//	(*Watcher) Watch(pid, start) (<-chan struct{}, stop func(), error)
//	(*Watcher) Close() error
//	KillAll(pids func() ([]int, error), grace) error       ErrRefused, ErrSurvived
package owner
