package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// serve is the demo's web server: its page says whom it sees.
func serve(addr string) error {
	ln, err := net.Listen("tcp4", addr)
	if err != nil {
		return err
	}
	return http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		client, _, _ := net.SplitHostPort(r.RemoteAddr)
		fmt.Fprintf(w, "Hello %s, this is %s.\n", client, local)
	}))
}

// fetch is the demo's web client; a fresh machine may have no curl.
func fetch(url string) error {
	page, err := get(url, (&net.Dialer{}).DialContext)
	if err != nil {
		return err
	}
	_, err = io.WriteString(os.Stdout, page)
	return err
}

// get fetches a page, over connections that dial makes. It tries again while the server
// starts.
func get(url string, dial func(ctx context.Context, network, addr string) (net.Conn, error)) (string, error) {
	client := &http.Client{
		Timeout:   patience,
		Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true},
	}
	deadline := time.Now().Add(patience)
	for {
		page, err := getOnce(client, url)
		if err == nil || time.Now().After(deadline) {
			return page, err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func getOnce(client *http.Client, url string) (string, error) {
	resp, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("get %s: %s", url, resp.Status)
	}
	page, err := io.ReadAll(resp.Body)
	return string(page), err
}
