package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// errGone is Docker's answer for what it does not have, or no longer.
var errGone = errors.New("not there")

// spoken is the version of the API that this package is written for. What it
// reads is the same in 1.41 (Docker 20.10), and has not changed since.
const spoken = "1.44"

// answerWait is how long Docker may take for an answer that waits for nobody.
const answerWait = 30 * time.Second

// client asks one Docker daemon. It does not outlive a broken connection.
type client struct {
	http *http.Client
	base string // URL in front of each path, with the version
}

func newClient(socket string) *client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", strings.TrimPrefix(socket, "unix://"))
	}
	transport := &http.Transport{DialContext: dial, MaxIdleConnsPerHost: sweepers}
	return &client{http: &http.Client{Transport: transport}, base: "http://docker"}
}

// close closes connections that wait for a next request.
func (c *client) close() { c.http.CloseIdleConnections() }

// negotiate settles on a version of the API that both sides speak, and returns
// the daemon's own version.
func (c *client) negotiate(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	daemon, err := get[versionReply](ctx, c, "/version")
	if err != nil {
		return "", err
	}
	c.base += "/v" + settle(daemon.MinAPIVersion, daemon.APIVersion)
	return daemon.Version, nil
}

// settle chooses a version of the API of those that a daemon speaks.
func settle(least, most string) string {
	switch {
	case older(most, spoken):
		return most
	case older(spoken, least):
		return least
	}
	return spoken
}

// older says whether version a, as in "1.41", comes before b.
func older(a, b string) bool {
	aMajor, aMinor := splitVersion(a)
	bMajor, bMinor := splitVersion(b)
	return aMajor < bMajor || aMajor == bMajor && aMinor < bMinor
}

// splitVersion takes what is no number as 0.
func splitVersion(v string) (major, minor int) {
	front, rest, _ := strings.Cut(v, ".")
	major, _ = strconv.Atoi(front)
	minor, _ = strconv.Atoi(rest)
	return major, minor
}

// events opens the stream of events that may change a world, from since on.
func (c *client) events(ctx context.Context, since time.Time) (io.ReadCloser, error) {
	filters, err := json.Marshal(map[string][]string{
		"type": {"container", "network"},
		"event": {
			"create", "start", "restart", "die", "stop", "destroy", "rename", "update",
			"connect", "disconnect", "remove",
		},
	})
	if err != nil {
		return nil, fmt.Errorf("encode filters: %w", err)
	}
	query := url.Values{
		"filters": {string(filters)},
		"since":   {fmt.Sprintf("%d.%09d", since.Unix(), since.Nanosecond())},
	}
	response, err := c.ask(ctx, "/events?"+query.Encode())
	if err != nil {
		return nil, err
	}
	return response.Body, nil
}

// get asks for a path and reads the answer, which is JSON. It wraps errGone.
func get[T any](ctx context.Context, c *client, path string) (T, error) {
	var reply T
	response, err := c.ask(ctx, path)
	if err != nil {
		return reply, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return reply, fmt.Errorf("read %s: %w", path, err)
	}
	if err := json.Unmarshal(content, &reply); err != nil {
		return reply, fmt.Errorf("read %s: %w", path, err)
	}
	return reply, nil
}

// ask makes a request whose answer is a success.
func (c *client) ask(ctx context.Context, path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	response, err := c.http.Do(request)
	if err != nil {
		var in *url.Error
		if errors.As(err, &in) {
			err = in.Err // without the URL, whose host means nothing
		}
		return nil, fmt.Errorf("ask for %s: %w", request.URL.Path, err)
	}
	if response.StatusCode == http.StatusOK {
		return response, nil
	}
	defer response.Body.Close()
	return nil, fmt.Errorf("ask for %s: %w", request.URL.Path, refusal(response))
}

// refusal is the error in an answer that is not a success.
func refusal(response *http.Response) error {
	const most = 4 << 10 // bytes; no message is near it
	content, err := io.ReadAll(io.LimitReader(response.Body, most))
	if err != nil {
		return err
	}
	var reply struct{ Message string }
	if json.Unmarshal(content, &reply) != nil || reply.Message == "" {
		reply.Message = response.Status
	}
	if response.StatusCode == http.StatusNotFound {
		return fmt.Errorf("%w: %s", errGone, reply.Message)
	}
	return errors.New(reply.Message)
}
