package control

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ebnet/ebnet/control/api"
)

// TestRoutesAreDescribed holds the server against openapi.json, both ways.
func TestRoutesAreDescribed(t *testing.T) {
	var description struct {
		Paths map[string]map[string]struct {
			Responses map[string]json.RawMessage `json:"responses"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(api.OpenAPI(), &description); err != nil {
		t.Fatal(err)
	}
	described := map[string]bool{}
	for path, methods := range description.Paths {
		for method := range methods {
			described[strings.ToUpper(method)+" "+path] = true
		}
	}
	for _, route := range New(Options{}).routes() {
		if !described[route.pattern] {
			t.Errorf("%s is served but not described", route.pattern)
			continue
		}
		delete(described, route.pattern)
		method, path, _ := strings.Cut(route.pattern, " ")
		responses := description.Paths[path][strings.ToLower(method)].Responses
		if responses[strconv.Itoa(route.status)] == nil {
			t.Errorf("%s answers %d, which is not described", route.pattern, route.status)
		}
	}
	for pattern := range described {
		t.Errorf("%s is described but not served", pattern)
	}
}

func TestServer(t *testing.T) {
	w := newWorld(t)
	a := w.agent()
	w.held[81] = true
	serveRows(t, a, []serverRow{
		{"GET /v1/networks", "", 200, `"name": "default"`},
		{"GET /v1/networks/default", "", 200, `"bridge": "ebnet0"`},
		{"GET /v1/networks/none", "", 200, `"driver": "none"`},
		{"GET /v1/networks/lan", "", 404, `there is no network \"lan\"`},
		{"GET /v1/sandboxes", "", 200, `[]`},
		{"GET /v1/sandboxes/web", "", 404, `there is no sandbox \"web\": \"ebnet sandbox ls\" lists them`},
		{"DELETE /v1/sandboxes/web", "", 404, `there is no sandbox \"web\"`},
		{"GET /v1/publishes?sandbox=web", "", 404, `there is no sandbox \"web\"`},
		{"POST /v1/publishes", `{"spec":{"host_port":80,"host_port_end":80,"port":80,"port_end":80,"proto":"tcp"}}`, 404, `there is no sandbox to publish to`},
		{"POST /v1/sandboxes", `{"name":"web"}`, 201, `"netns": "/fake/ebnet-web"`},
		{"POST /v1/sandboxes", `{"name":"web"}`, 409, `create sandbox web: there is one already`},
		{"POST /v1/sandboxes", `{"name":"a/b"}`, 400, `a/b`},
		{"POST /v1/sandboxes", `{"nmae":"x"}`, 400, `unknown field \"nmae\"`},
		{"POST /v1/sandboxes", `{"name":"x"}{}`, 400, `there is more`},
		{"POST /v1/sandboxes", ``, 400, `read request body`},
		{"POST /v1/sandboxes", `{"name":"x","networks":[{"network":"lan"}]}`, 404, `there is no network \"lan\"`},
		{"POST /v1/sandboxes", `{"name":"x","networks":[{"network":"default","ip":"10.9.9.9"}]}`, 422, `outside of the subnet`},
		{"POST /v1/sandboxes", `{"name":"x","networks":[{"network":"none","ip":"10.9.9.9"}]}`, 422, `has no addresses`},
		{"POST /v1/sandboxes", `{"name":"x","networks":[{"network":"default","mac":"01:00:5e:00:00:01"}]}`, 400, `01:00:5e:00:00:01 is not the address of one interface`},
		{"POST /v1/sandboxes", `{"name":"x","owner_pid":1}`, 422, `only root`},
		{"POST /v1/publishes", publishBody("8080:80"), 201, `"host_ip": "0.0.0.0"`},
		{"POST /v1/publishes", publishBody("8080:80"), 409, `publish 8080:80/tcp: 0.0.0.0:8080/tcp is published already to sandbox web`},
		{"POST /v1/publishes", publishBody("81:80"), 409, `is in use by process 12 (busy)`},
		{"POST /v1/publishes", publishBody("198.51.100.1:82:80"), 201, `"host_ip": "198.51.100.1"`},
		{"POST /v1/publishes", publishBody("198.51.100.9:82:80"), 422, `the host does not own 198.51.100.9`},
		{"POST /v1/publishes", publishBody("[::1]:82:80"), 422, `sandbox web has no IPv6 address on network default`},
		{"POST /v1/publishes", publishBody("82:80/sctp"), 422, `sctp is not supported yet`},
		{"POST /v1/publishes", `{"spec":{"host_port":9,"host_port_end":8,"port":80,"port_end":80,"proto":"tcp"}}`, 400, `publish`},
		{"POST /v1/sandboxes", `{"name":"db"}`, 201, `eth0`},
		{"POST /v1/publishes", publishBody("83:80"), 400, `there are 2 sandboxes: name one with --to (db, web)`},
		{"POST /v1/sandboxes", `{"name":"h","networks":[{"network":"host"}]}`, 201, `/ns/net`},
		{"POST /v1/publishes", strings.Replace(publishBody("83:80"), "}}", `},"sandbox":"h"}`, 1), 422, `its ports are the host's already`},
		{"DELETE /v1/publishes?spec=8081", "", 404, `nothing is published there`},
		{"DELETE /v1/publishes?spec=8080-8081", "", 404, `port 8081 is not published`},
		{"DELETE /v1/publishes?spec=x", "", 400, `x`},
		{"POST /v1/flows/flush", `{}`, 400, `say whose`},
		{"POST /v1/flows/flush", `{"sandbox":"web"}`, 200, `"ended": 1`},
		{"POST /v1/flows/flush", `{"sandbox":"nobody"}`, 404, `there is no sandbox`},
		{"POST /v1/flows/flush", `{"port":{"host_port":9,"host_port_end":9,"proto":"tcp"}}`, 404, `nothing is published there`},
		{"DELETE /v1/publishes?spec=8080", "", 200, `"host_port": 8080`},
		{"POST /v1/publishes", strings.Replace(publishBody("8080:80"), "}}", `},"sandbox":"db"}`, 1), 201, `"sandbox": "db"`},
		{"GET /v1/flows", "", 200, `[]`},
		{"GET /v1/status", "", 200, `"ready": true`},
		{"DELETE /v1/sandboxes/web", "", 204, ``},
		{"GET /v1/version", "", 200, `"version": "unknown"`},
		{"GET /v1/openapi.json", "", 200, `openapi`},
		{"GET /v2/networks", "", 404, `there is no such path or method`},
		{"PUT /v1/networks", "", 404, `there is no such path or method`},
	})
}

// serverRow is a request and what is expected of its answer.
type serverRow struct {
	request, body string
	status        int
	answer        string // contained in it
}

// serveRows asks an agent one thing after the other.
func serveRows(t *testing.T, a *Agent, rows []serverRow) {
	t.Helper()
	for _, row := range rows {
		method, path, _ := strings.Cut(row.request, " ")
		answer := httptest.NewRecorder()
		a.Handler().ServeHTTP(answer, httptest.NewRequest(method, path, strings.NewReader(row.body)))
		if answer.Code != row.status || !strings.Contains(answer.Body.String(), row.answer) {
			t.Errorf("%s %s: %d %s\nwant %d %s", row.request, row.body, answer.Code, answer.Body, row.status, row.answer)
		}
		if answer.Code >= 400 {
			var reply api.ErrorReply
			if err := json.Unmarshal(answer.Body.Bytes(), &reply); err != nil || reply.Error.Status() != answer.Code || strings.ContainsRune(reply.Error.Message, '\n') {
				t.Errorf("%s: not an error of the contract: %s", row.request, answer.Body)
			}
		}
	}
}

func publishBody(text string) string {
	body, err := json.Marshal(api.PublishCreate{Spec: spec(text)})
	if err != nil {
		panic(err)
	}
	return string(body)
}

func TestNotReady(t *testing.T) {
	a := New(Options{})
	early := []string{"GET /v1/status", "GET /v1/version", "GET /v1/openapi.json"}
	for _, route := range a.routes() {
		method, path, _ := strings.Cut(route.pattern, " ")
		answer := httptest.NewRecorder()
		a.Handler().ServeHTTP(answer, httptest.NewRequest(method, path, nil))
		want := http.StatusServiceUnavailable
		if slices.Contains(early, route.pattern) {
			want = http.StatusOK
		}
		if answer.Code != want {
			t.Errorf("%s before the agent is ready: %d, want %d", route.pattern, answer.Code, want)
		}
	}
}

func TestMayOwn(t *testing.T) {
	for _, row := range []struct {
		uid  uint32
		peer int32
		pid  int
		may  bool
	}{
		{1000, 7, 0, true},
		{1000, 7, 7, true},
		{1000, 7, 8, false},
		{0, 7, 8, true},
	} {
		ctx := contextWithPeer(t.Context(), &unix.Ucred{Uid: row.uid, Pid: row.peer})
		if err := mayOwn(ctx, row.pid); (err == nil) != row.may {
			t.Errorf("user %d, process %d, owner %d: %v", row.uid, row.peer, row.pid, err)
		}
	}
	if mayOwn(t.Context(), 5) == nil {
		t.Error("a stranger may own")
	}
}
