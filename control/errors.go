package control

import (
	"errors"

	"github.com/ebnet/ebnet/control/api"
	"github.com/ebnet/ebnet/control/hostports"
	"github.com/ebnet/ebnet/control/ipam"
	"github.com/ebnet/ebnet/control/netdev"
	"github.com/ebnet/ebnet/datapath"
)

// apiError makes any error one for the wire. It is the only place that knows
// which HTTP status the errors of the other packages deserve.
func apiError(err error) *api.Error {
	out := api.AsError(err)
	var known *api.Error
	if errors.As(err, &known) {
		return out
	}
	for _, class := range []struct {
		code string
		errs []error
	}{
		{api.CodeConflict, []error{
			ipam.ErrTaken, ipam.ErrFull, hostports.ErrTaken, hostports.ErrInUse, hostports.ErrNoPort,
			netdev.ErrExists, netdev.ErrBridgeFull, datapath.ErrExists,
		}},
		{api.CodeUnprocessable, []error{
			ipam.ErrOutside, ipam.ErrReserved, ipam.ErrSubnet, ipam.ErrNoSubnet,
			hostports.ErrNotLocal, netdev.ErrNotBridge, datapath.ErrFull,
		}},
		{api.CodeBadRequest, []error{hostports.ErrBadPort}},
	} {
		for _, sentinel := range class.errs {
			if errors.Is(err, sentinel) {
				out.Code = class.code
			}
		}
	}
	return out
}
