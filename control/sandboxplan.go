package control

import (
	"fmt"
	"strconv"
	"time"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/store"
)

// planSandbox checks what is asked for and reserves names and addresses for it.
// It returns the networks whose address cursor has moved.
func (a *Agent) planSandbox(create *api.SandboxCreate, back *undo) (store.Sandbox, []store.Network, error) {
	if create.Name == "" {
		create.Name = a.freeName()
	}
	if err := api.ValidName(create.Name); err != nil {
		return store.Sandbox{}, nil, err
	}
	if _, ok := a.want.sandboxes[create.Name]; ok {
		return store.Sandbox{}, nil, api.Errorf(api.CodeConflict, "create sandbox %s: there is one already: choose another name, or remove it first with \"ebnet sandbox rm %s\"", create.Name, create.Name)
	}
	if len(create.Networks) == 0 {
		create.Networks = []api.Attachment{{Network: networkDefault}}
	}
	sb := store.Sandbox{
		Name: create.Name, ID: store.NewID(), Owner: ownerEbnet, Netns: a.links.NetnsPath(a.opt.Prefix + create.Name),
		DNS: create.DNS, Labels: create.Labels, Created: time.Now().UTC(),
	}
	if create.OwnerPID != 0 {
		process, err := a.identify(create.OwnerPID)
		if err != nil {
			return store.Sandbox{}, nil, err
		}
		sb.Process = process
	}
	var nets []store.Network
	for _, want := range create.Networks {
		at, moved, err := a.planAttachment(sb, want, back)
		if err != nil {
			return store.Sandbox{}, nil, fmt.Errorf("create sandbox %s: %w", create.Name, err)
		}
		sb.Attachments = append(sb.Attachments, at)
		nets = append(nets, moved...)
	}
	if onHost(sb) {
		sb.Netns = ""
	}
	return sb, nets, nil
}

// freeName makes a name for a sandbox whose creator has none.
func (a *Agent) freeName() string {
	for {
		name := "sandbox-" + strconv.FormatUint(uint64(a.random.Uint32()), 16)
		if _, taken := a.want.sandboxes[name]; !taken {
			return name
		}
	}
}
