package control

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/ebnet/ebnet/control/api"
)

// maxBody bounds what a request may carry: a source list of a hundred thousand
// prefixes fits.
const maxBody = 8 << 20 // bytes

// route is one path and method of the HTTP API.
type route struct {
	pattern string // of http.ServeMux
	status  int    // of success
	early   bool   // answers before the agent is ready, too
	serve   func(*http.Request) (any, error)
}

// routes is all that the HTTP API has. A test holds it against openapi.json.
func (a *Agent) routes() []route {
	return []route{
		{"GET /v1/networks", http.StatusOK, false, func(r *http.Request) (any, error) { return a.Networks(r.Context()) }},
		{"GET /v1/networks/{name}", http.StatusOK, false, func(r *http.Request) (any, error) {
			return a.Network(r.Context(), r.PathValue("name"))
		}},
		{"POST /v1/networks", http.StatusCreated, false, a.serveCreateNetwork},
		{"DELETE /v1/networks/{name}", http.StatusNoContent, false, func(r *http.Request) (any, error) {
			return nil, a.RemoveNetwork(r.Context(), r.PathValue("name"))
		}},
		{"POST /v1/networks/{name}/connect", http.StatusOK, false, a.serveConnect},
		{"POST /v1/networks/{name}/disconnect", http.StatusNoContent, false, a.serveDisconnect},
		{"GET /v1/sandboxes", http.StatusOK, false, func(r *http.Request) (any, error) { return a.Sandboxes(r.Context()) }},
		{"POST /v1/sandboxes", http.StatusCreated, false, a.serveCreateSandbox},
		{"GET /v1/sandboxes/{name}", http.StatusOK, false, func(r *http.Request) (any, error) {
			return a.Sandbox(r.Context(), r.PathValue("name"))
		}},
		{"DELETE /v1/sandboxes/{name}", http.StatusNoContent, false, func(r *http.Request) (any, error) {
			return nil, a.RemoveSandbox(r.Context(), r.PathValue("name"))
		}},
		{"GET /v1/publishes", http.StatusOK, false, func(r *http.Request) (any, error) {
			return a.Publishes(r.Context(), r.URL.Query().Get("sandbox"))
		}},
		{"POST /v1/publishes", http.StatusCreated, false, a.servePublish},
		{"DELETE /v1/publishes", http.StatusOK, false, a.serveUnpublish},
		{"PATCH /v1/publishes/allow", http.StatusOK, false, a.serveChangeAllow},
		{"GET /v1/flows", http.StatusOK, false, func(r *http.Request) (any, error) { return a.Flows(r.Context()) }},
		{"POST /v1/flows/flush", http.StatusOK, false, a.serveFlushFlows},
		{"GET /v1/status", http.StatusOK, true, func(r *http.Request) (any, error) { return a.Status(r.Context()) }},
		{"POST /v1/purge", http.StatusNoContent, false, a.servePurge},
		{"GET /v1/version", http.StatusOK, true, func(*http.Request) (any, error) { return a.opt.Version, nil }},
		{"GET /v1/openapi.json", http.StatusOK, true, func(*http.Request) (any, error) { return json.RawMessage(api.OpenAPI()), nil }},
	}
}

// notReady says why a request cannot be served now.
func (a *Agent) notReady() error {
	if a.stopping.Load() {
		return api.Errorf(api.CodeNotReady, "the agent is stopping")
	}
	return api.Errorf(api.CodeNotReady, "the agent is starting: wait with \"ebnet status --wait 30s\"")
}

// Handler is the HTTP API. Who may use it is decided by who may open the socket.
func (a *Agent) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, route := range a.routes() {
		mux.HandleFunc(route.pattern, func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
			if !route.early && !a.ready.Load() {
				a.reply(w, r, 0, nil, a.notReady())
				return
			}
			answer, err := route.serve(r)
			a.reply(w, r, route.status, answer, err)
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		a.reply(w, r, 0, nil, api.Errorf(api.CodeNotFound, "%s %s: there is no such path or method", r.Method, r.URL.Path))
	})
	return mux
}

// reply writes the answer of a request, or the error in its place.
func (a *Agent) reply(w http.ResponseWriter, r *http.Request, status int, answer any, err error) {
	if err != nil {
		known := apiError(err)
		if known.Code == api.CodeInternal {
			a.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
		}
		status, answer = known.Status(), api.ErrorReply{Error: *known}
	}
	if answer == nil {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if raw, ok := answer.(json.RawMessage); ok {
		_, err = w.Write(raw)
	} else {
		err = api.WriteJSON(w, answer)
	}
	if err != nil { // the client has gone
		a.log.Debug("answer not delivered", "path", r.URL.Path, "error", err)
	}
}

// decode reads a body that holds one JSON value with known fields only, so that
// a mistyped field is an error and not a surprise.
func decode[T any](r *http.Request) (T, error) {
	var body T
	in := json.NewDecoder(r.Body)
	in.DisallowUnknownFields()
	if err := in.Decode(&body); err != nil {
		return body, api.Errorf(api.CodeBadRequest, "read request body: %w", err)
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return body, api.Errorf(api.CodeBadRequest, "read request body: there is more behind its JSON value")
	}
	return body, nil
}
