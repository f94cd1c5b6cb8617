package control

import (
	"net/http"

	"github.com/ebnet/ebnet/control/api"
)

func (a *Agent) serveCreateNetwork(r *http.Request) (any, error) {
	create, err := decode[api.NetworkCreate](r)
	if err != nil {
		return nil, err
	}
	return a.CreateNetwork(r.Context(), create)
}

func (a *Agent) serveConnect(r *http.Request) (any, error) {
	connect, err := decode[api.NetworkConnect](r)
	if err != nil {
		return nil, err
	}
	return a.ConnectNetwork(r.Context(), r.PathValue("name"), connect)
}

func (a *Agent) serveDisconnect(r *http.Request) (any, error) {
	disconnect, err := decode[api.NetworkDisconnect](r)
	if err != nil {
		return nil, err
	}
	return nil, a.DisconnectNetwork(r.Context(), r.PathValue("name"), disconnect)
}

func (a *Agent) serveCreateSandbox(r *http.Request) (any, error) {
	create, err := decode[api.SandboxCreate](r)
	if err != nil {
		return nil, err
	}
	if err := mayOwn(r.Context(), create.OwnerPID); err != nil {
		return nil, err
	}
	return a.CreateSandbox(r.Context(), create)
}

func (a *Agent) servePublish(r *http.Request) (any, error) {
	create, err := decode[api.PublishCreate](r)
	if err != nil {
		return nil, err
	}
	created, err := a.Publish(r.Context(), create)
	if err != nil {
		return nil, err
	}
	published := created[0]
	published.Also = created[1:]
	return published, nil
}

func (a *Agent) serveUnpublish(r *http.Request) (any, error) {
	spec, err := api.ParseHostSpec(r.URL.Query().Get("spec"))
	if err != nil {
		return nil, err
	}
	return a.Unpublish(r.Context(), spec)
}

func (a *Agent) serveChangeAllow(r *http.Request) (any, error) {
	change, err := decode[api.AllowChange](r)
	if err != nil {
		return nil, err
	}
	return a.ChangeAllow(r.Context(), change)
}

func (a *Agent) serveFlushFlows(r *http.Request) (any, error) {
	flush, err := decode[api.FlowsFlush](r)
	if err != nil {
		return nil, err
	}
	return a.FlushFlows(r.Context(), flush)
}

func (a *Agent) servePurge(r *http.Request) (any, error) {
	purge, err := decode[api.Purge](r)
	if err != nil {
		return nil, err
	}
	return nil, a.Purge(r.Context(), purge)
}
