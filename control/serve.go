package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

// listen opens the agent's socket, and that of the metrics if it is wanted.
func (a *Agent) listen(closers *undo) (socket, metrics net.Listener, err error) {
	if err := os.MkdirAll(a.opt.RunDir, 0o755); err != nil {
		return nil, nil, fmt.Errorf("make run folder: %w", err)
	}
	lock, err := lockDir(a.opt.RunDir)
	if err != nil {
		return nil, nil, err
	}
	closers.push(lock.Close)
	if a.opt.MetricsAddr != "" && a.opt.MetricsHandler != nil {
		metrics, err = net.Listen("tcp", a.opt.MetricsAddr)
		if err != nil {
			return nil, nil, fmt.Errorf("listen for metrics: %w: choose another address with --metrics, or \"off\"", err)
		}
		closers.push(func() error { return ignoreClosed(metrics.Close()) })
	}
	if socket, err = listen(a.opt.socket()); err != nil {
		return nil, nil, err
	}
	closers.push(func() error { return ignoreClosed(socket.Close()) }) // removes the file, too
	return socket, metrics, nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// servers are the HTTP servers of one agent.
type servers []*http.Server

// serve begins to answer. What ends a server early comes through the channel.
func (a *Agent) serve(socket, metrics net.Listener) (servers, <-chan error) {
	failed := make(chan error, 2)
	var all servers
	run := func(l net.Listener, h http.Handler) {
		s := &http.Server{Handler: h, ConnContext: withPeer, ReadHeaderTimeout: 10 * time.Second}
		all = append(all, s)
		go func() {
			if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serve %s: %w", l.Addr(), err)
			}
		}()
	}
	run(socket, a.Handler())
	if metrics != nil {
		h, err := a.opt.MetricsHandler(a)
		if err != nil {
			failed <- fmt.Errorf("serve metrics: %w", err)
			return all, failed
		}
		run(metrics, h)
	}
	return all, failed
}

// stop lets requests under way end, but not for long.
func (s servers) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopWait)
	defer cancel()
	var errs []error
	for _, server := range s {
		if err := server.Shutdown(ctx); err != nil {
			errs = append(errs, server.Close())
		}
	}
	return errors.Join(errs...)
}
