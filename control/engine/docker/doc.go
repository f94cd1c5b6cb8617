// Package docker keeps an engine.World of a Docker daemon up to date: from lists
// at each connect and at an interval, and from the daemon's events in between.
//
// The few requests that this takes are made here, with net/http: Docker's own
// client library brings 18 more modules, OpenTelemetry among them.
package docker
