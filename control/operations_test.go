package control

import (
	"context"
	"errors"
	"net/netip"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/netdev"
)

// operation is something that people do, and what is there before.
type operation struct {
	before, do func(*Agent) error
	removal    bool // cannot be taken back at once, but by a reconcile
}

func prefixes(texts ...string) (out []netip.Prefix) {
	for _, text := range texts {
		out = append(out, netip.MustParsePrefix(text))
	}
	return out
}

// routes lead to prefixes by a device that no test has.
func routes(texts ...string) (out []netdev.Route) {
	for _, p := range prefixes(texts...) {
		out = append(out, netdev.Route{Dst: p, Device: 999, Main: true})
	}
	return out
}

func addrs(texts ...string) (out []netip.Addr) {
	for _, text := range texts {
		out = append(out, netip.MustParseAddr(text))
	}
	return out
}

// The steps of operations, for tests to put together.

func nothing(*Agent) error { return nil }

func all(steps ...func(*Agent) error) func(*Agent) error {
	return func(a *Agent) error {
		for _, step := range steps {
			if err := step(a); err != nil {
				return err
			}
		}
		return nil
	}
}

func createSandbox(name string, networks []string, specs ...string) func(*Agent) error {
	return func(a *Agent) error {
		c := api.SandboxCreate{Name: name}
		for _, n := range networks {
			c.Networks = append(c.Networks, api.Attachment{Network: n})
		}
		for _, s := range specs {
			c.Publish = append(c.Publish, spec(s))
		}
		_, err := a.CreateSandbox(context.Background(), c)
		return err
	}
}

func createNetwork(c api.NetworkCreate) func(*Agent) error {
	return func(a *Agent) error {
		_, err := a.CreateNetwork(context.Background(), c)
		return err
	}
}

func removeNetwork(name string) func(*Agent) error {
	return func(a *Agent) error { return a.RemoveNetwork(context.Background(), name) }
}

func connect(network, sandbox string) func(*Agent) error {
	return func(a *Agent) error {
		_, err := a.ConnectNetwork(context.Background(), network, api.NetworkConnect{Sandbox: sandbox})
		return err
	}
}

func disconnect(network, sandbox string) func(*Agent) error {
	return func(a *Agent) error {
		return a.DisconnectNetwork(context.Background(), network, api.NetworkDisconnect{Sandbox: sandbox})
	}
}

func publish(c api.PublishCreate) func(*Agent) error {
	return func(a *Agent) error {
		_, err := a.Publish(context.Background(), c)
		return err
	}
}

func allow(c api.AllowChange) func(*Agent) error {
	return func(a *Agent) error {
		_, err := a.ChangeAllow(context.Background(), c)
		return err
	}
}

// addBridge puts a bridge into the fake kernel that is none of ebnet's. With the
// name of an engine's it does not count as an uplink.
func addBridge(name string, addrs ...string) func(*Agent) error {
	return func(a *Agent) error {
		a.links.(*world).add(netdev.LinkInfo{Name: name, Kind: "bridge", Up: true, MTU: 9000, Addrs: prefixes(addrs...)})
		a.reconcile()
		return nil
	}
}

var errNotEmpty = errors.New("something is published still")

// operations are what people do.
func operations() map[string]operation {
	web := createSandbox("web", nil, "8080:80")
	blue := createNetwork(api.NetworkCreate{Name: "blue", Subnets: prefixes("10.7.0.0/24")})
	red := createNetwork(api.NetworkCreate{Name: "red", Subnets: prefixes("10.8.0.0/24"), NoICC: true, MTU: 1400})
	inner := createNetwork(api.NetworkCreate{Name: "inner", Subnets: prefixes("10.9.0.0/24"), Internal: true})
	networks := all(blue, red, inner)
	everywhere := createSandbox("web", []string{"inner", "blue", "red"}, "8080:80", "0:53/udp")
	return map[string]operation{
		"create":         {before: nothing, do: createSandbox("web", nil, "8080:80", "5353:53/udp")},
		"create another": {before: web, do: createSandbox("db", nil, "0:5432")},
		"create none":    {before: nothing, do: createSandbox("n", []string{"none"})},
		"create on many": {before: networks, do: everywhere},
		"publish":        {before: createSandbox("web", nil), do: publish(api.PublishCreate{Spec: spec("8000-8010:8000-8010")})},
		"publish on a network": {before: all(networks, everywhere), do: publish(api.PublishCreate{
			Spec: spec("9000:90"), Network: "red", Allow: prefixes("192.0.2.0/24", "198.51.100.7/32"),
		})},
		"unpublish": {before: web, removal: true, do: func(a *Agent) error {
			_, err := a.Unpublish(context.Background(), hostSpec("8080"))
			return err
		}},
		"remove":         {before: web, removal: true, do: func(a *Agent) error { return a.RemoveSandbox(context.Background(), "web") }},
		"remove on many": {before: all(networks, everywhere), removal: true, do: func(a *Agent) error { return a.RemoveSandbox(context.Background(), "web") }},

		"create network":            {before: web, do: createNetwork(api.NetworkCreate{Name: "blue", Labels: map[string]string{"a": "b"}})},
		"create network on docker0": {before: addBridge("docker0", "10.7.0.1/24", "10.7.0.9/24"), do: createNetwork(api.NetworkCreate{Name: "blue", Bridge: "docker0"})},
		"create network with an address on docker0": {before: addBridge("docker0", "10.7.0.1/24"), do: createNetwork(api.NetworkCreate{
			Name: "blue", Bridge: "docker0", Subnets: prefixes("10.8.0.0/24"),
		})},
		"remove network with an address on docker0": {
			before: all(addBridge("docker0", "10.7.0.1/24"), createNetwork(api.NetworkCreate{Name: "blue", Bridge: "docker0", Subnets: prefixes("10.8.0.0/24")})),
			do:     removeNetwork("blue"), removal: true,
		},
		"create network for none": {before: nothing, do: createNetwork(api.NetworkCreate{Name: "blue", Driver: api.DriverNone})},
		"remove network":          {before: networks, removal: true, do: removeNetwork("blue")},
		"remove network for none": {before: createNetwork(api.NetworkCreate{Name: "blue", Driver: api.DriverNone}), removal: true, do: removeNetwork("blue")},

		"connect":            {before: all(networks, web), do: connect("blue", "web")},
		"connect a third":    {before: all(networks, web, connect("red", "web")), do: connect("blue", "web")},
		"connect to the way": {before: all(networks, createSandbox("web", []string{"inner"})), do: connect("blue", "web")},
		"disconnect":         {before: all(networks, web, connect("blue", "web")), removal: true, do: disconnect("blue", "web")},
		"disconnect the way": {before: all(networks, everywhere), removal: true, do: func(a *Agent) error {
			err := disconnect("blue", "web")(a)
			if err == nil && len(a.want.publishes) > 0 {
				return errNotEmpty
			}
			return err
		}},
		"disconnect the last": {before: web, removal: true, do: disconnect("default", "web")},

		"allow": {before: web, do: allow(api.AllowChange{Spec: hostSpec("8080"), Set: prefixes("192.0.2.0/24")})},
		"allow a range": {
			before: createSandbox("web", nil, "8080:80", "8081:81"),
			do:     allow(api.AllowChange{Spec: hostSpec("8080-8081"), Set: prefixes("192.0.2.0/24")}),
		},
		"allow anyone": {
			before: all(web, allow(api.AllowChange{Spec: hostSpec("8080"), Set: prefixes("192.0.2.0/24")})),
			do:     allow(api.AllowChange{Spec: hostSpec("8080"), Any: true}),
		},
	}
}
