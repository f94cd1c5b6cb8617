package main

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// answerTime is how long an answer may take before it counts as lost.
const answerTime = 10 * time.Second

// tell answers questions on TCP and UDP at each address, in the words of the lab's
// Conversation: who answers, whom it sees, and the question. Where it has several
// addresses, its name has the port.
func tell(name string, addrs []string) error {
	var group errgroup.Group
	for _, addr := range addrs {
		who := name
		if len(addrs) > 1 {
			_, port, err := net.SplitHostPort(addr)
			if err != nil {
				return err
			}
			who += ":" + port
		}
		family := "4"
		if strings.HasPrefix(addr, "[") {
			family = "6"
		}
		ln, err := net.Listen("tcp"+family, addr)
		if err != nil {
			return err
		}
		datagrams, err := net.ListenPacket("udp"+family, addr)
		if err != nil {
			return err
		}
		group.Go(func() error { return tellStreams(who, ln) })
		group.Go(func() error { return tellDatagrams(who, datagrams) })
	}
	fmt.Println("listening")
	return group.Wait()
}

func tellStreams(who string, ln net.Listener) error {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			for lines := bufio.NewReader(conn); ; {
				question, err := lines.ReadString('\n')
				if err != nil {
					return
				}
				fmt.Fprintf(conn, "%s %s %s", who, conn.RemoteAddr(), question)
			}
		}()
	}
}

func tellDatagrams(who string, conn net.PacketConn) error {
	buf := make([]byte, 64<<10)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return err
		}
		if _, err := conn.WriteTo(fmt.Appendf(nil, "%s %s %s", who, from, buf[:n]), from); err != nil {
			return err
		}
	}
}

// ask asks one question and prints who answers and whom it sees.
func ask(network, addr string) error {
	conn, err := net.DialTimeout(network+"4", addr, answerTime)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(conn, "who"); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	var who, client, question string
	if _, err := fmt.Sscan(line, &who, &client, &question); err != nil || question != "who" {
		return fmt.Errorf("asked who, heard %q", line)
	}
	fmt.Println(who, client)
	return nil
}
