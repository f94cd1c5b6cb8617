package main

import (
	"encoding/json"
	"net/http"

	"github.com/ebnet/ebnet/control/api"
)

// fakeNetworks answers for fakeAgent what is about networks and source lists.
func fakeNetworks(mux *http.ServeMux) {
	networks := map[string]api.Network{"default": defaultNetwork(), "blue": blueNetwork(), "green": greenNetwork()}
	// known answers for a network that is not there.
	known := func(answer func(http.ResponseWriter, *http.Request, api.Network)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			network, found := networks[r.PathValue("name")]
			if !found {
				refuse(w, api.CodeNotFound, "there is no network %q", r.PathValue("name"))
				return
			}
			answer(w, r, network)
		}
	}
	mux.HandleFunc("GET /v1/networks", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, []api.Network{networks["default"], networks["blue"], networks["green"]})
	})
	mux.HandleFunc("GET /v1/networks/{name}", known(func(w http.ResponseWriter, _ *http.Request, n api.Network) {
		reply(w, http.StatusOK, n)
	}))
	mux.HandleFunc("POST /v1/networks", func(w http.ResponseWriter, r *http.Request) {
		var create api.NetworkCreate
		_ = json.NewDecoder(r.Body).Decode(&create)
		if create.Name == "default" {
			refuse(w, api.CodeConflict, "create network default: there is one already")
			return
		}
		reply(w, http.StatusCreated, api.Network{Name: create.Name})
	})
	mux.HandleFunc("DELETE /v1/networks/{name}", known(func(w http.ResponseWriter, _ *http.Request, n api.Network) {
		if len(n.Endpoints) > 0 {
			refuse(w, api.CodeConflict, "remove network %s: sandbox %s is attached", n.Name, n.Endpoints[0].Sandbox)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	mux.HandleFunc("POST /v1/networks/{name}/connect", known(func(w http.ResponseWriter, _ *http.Request, _ api.Network) {
		reply(w, http.StatusOK, webSandbox())
	}))
	mux.HandleFunc("POST /v1/networks/{name}/disconnect", known(func(w http.ResponseWriter, r *http.Request, n api.Network) {
		var disconnect api.NetworkDisconnect
		_ = json.NewDecoder(r.Body).Decode(&disconnect)
		if disconnect.Sandbox == "nobody" {
			refuse(w, api.CodeNotFound, "disconnect network %s: there is no sandbox %q", n.Name, disconnect.Sandbox)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	mux.HandleFunc("PATCH /v1/publishes/allow", func(w http.ResponseWriter, r *http.Request) {
		var change api.AllowChange
		_ = json.NewDecoder(r.Body).Decode(&change)
		if change.Spec.HostPort != 8080 {
			refuse(w, api.CodeNotFound, "allow %s: nothing is published there", change.Spec)
			return
		}
		published := webSandbox().Published[0]
		published.Allow = change.Set
		reply(w, http.StatusOK, []api.Publish{published})
	})
}
