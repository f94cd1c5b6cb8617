package lab

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"time"
)

// HTTP is a web client on the machine, with a connection for each request.
func (m *Machine) HTTP() *http.Client {
	return &http.Client{
		Timeout: patience,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(_ context.Context, _, addr string) (net.Conn, error) {
				return m.dial("tcp", "", addr, answerTime)
			},
		},
	}
}

// Get fetches a page.
func (m *Machine) Get(url string) (string, error) {
	resp, err := m.HTTP().Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("get %s: %s", url, resp.Status)
	}
	return string(body), err
}

// WaitGet fetches a page as soon as its server is up.
func (m *Machine) WaitGet(url string) string {
	m.lab.t.Helper()
	var body string
	Eventually(m.lab.t, 15*time.Second, func() (err error) {
		body, err = m.Get(url)
		return err
	})
	return body
}

// Nginx writes a configuration for nginx with a page that says hello, and returns the
// command to run it and the path of its access log.
func (l *Lab) Nginx(name string, port int) (command []string, accessLog string) {
	l.t.Helper()
	accessLog = filepath.Join(l.dir, name+"-access.log")
	conf := l.File(name+".conf", fmt.Sprintf(`
daemon off;
user root;
pid %[1]s/%[2]s.pid;
error_log stderr;
worker_processes 1;
events { worker_connections 4096; }
http {
	access_log %[3]s;
	client_body_temp_path %[1]s/%[2]s-body;
	proxy_temp_path %[1]s/%[2]s-proxy;
	fastcgi_temp_path %[1]s/%[2]s-fastcgi;
	uwsgi_temp_path %[1]s/%[2]s-uwsgi;
	scgi_temp_path %[1]s/%[2]s-scgi;
	server {
		listen %[4]d backlog=1024;
		location / { return 200 "hello from %[2]s to $remote_addr\n"; }
	}
}
`, l.dir, name, accessLog, port))
	return []string{"nginx", "-e", "stderr", "-c", conf}, accessLog
}
