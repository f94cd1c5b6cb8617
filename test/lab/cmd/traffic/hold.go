package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// answer echoes lines on TCP. Several may share the port, so that each stays below the
// limit of descriptors.
func answer(addr string) error {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		if ctlErr := raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		}); ctlErr != nil {
			return ctlErr
		}
		return err
	}}
	ln, err := config.Listen(context.Background(), "tcp4", addr)
	if err != nil {
		return err
	}
	fmt.Println("listening")
	for {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			buf := make([]byte, 128)
			for {
				n, err := conn.Read(buf)
				if err != nil {
					return
				}
				if _, err := conn.Write(buf[:n]); err != nil {
					return
				}
			}
		}()
	}
}

// hold opens connections and keeps them. It says "held N" once every one of them has
// had its own words echoed, and "alive N" when that still works after each line on
// standard input. It ends with its input.
func hold(addr, number string) error {
	count, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	conns := make([]net.Conn, count)
	err = each(count, func(i int) error {
		conn, err := net.DialTimeout("tcp4", addr, 20*time.Second)
		if err != nil {
			return err
		}
		conns[i] = conn
		return echo(conn, fmt.Sprintf("first words of %s", conn.LocalAddr()))
	})
	if err != nil {
		return err
	}
	fmt.Println("held", count)
	for round := bufio.NewScanner(os.Stdin); round.Scan(); {
		if err := each(count, func(i int) error {
			return echo(conns[i], fmt.Sprintf("%s from %s", round.Text(), conns[i].LocalAddr()))
		}); err != nil {
			return err
		}
		fmt.Println("alive", count)
	}
	return nil
}

// each calls fn for 0 to n-1, a few at a time.
func each(n int, fn func(i int) error) error {
	var group errgroup.Group
	group.SetLimit(64)
	for i := range n {
		group.Go(func() error { return fn(i) })
	}
	return group.Wait()
}

func echo(conn net.Conn, words string) error {
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := conn.Write([]byte(words)); err != nil {
		return err
	}
	buf := make([]byte, len(words))
	for got := 0; got < len(buf); {
		n, err := conn.Read(buf[got:])
		if err != nil {
			return fmt.Errorf("echo: %w", err)
		}
		got += n
	}
	if string(buf) != words {
		return errors.Join(errors.New("misdelivered"), fmt.Errorf("said %q, heard %q", words, buf))
	}
	return nil
}
