package firewall

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// dockerTable is all of Docker's where it writes nftables rules itself.
const dockerTable = "docker-bridges"

// DockerRules tells whether Docker's address translation for IPv4 is in the calling
// thread's network namespace: by iptables, with whichever of its two kernel
// interfaces, or by nftables. It is not told whether a daemon keeps them, or left
// them behind. Asking changes nothing: it makes no table, and so no connection
// tracking. It takes CAP_NET_ADMIN.
func DockerRules() (bool, error) {
	there, err := hasObject(unix.NFT_MSG_GETCHAIN, map[int]string{
		unix.NFTA_CHAIN_TABLE: natTable, unix.NFTA_CHAIN_NAME: dockerChain,
	})
	if err != nil || there {
		return there, wrap("look for Docker's nftables chain", err)
	}
	there, err = hasObject(unix.NFT_MSG_GETTABLE, map[int]string{unix.NFTA_TABLE_NAME: dockerTable})
	if err != nil || there {
		return there, wrap("look for Docker's nftables table", err)
	}
	there, err = legacyDocker()
	return there, wrap("look for Docker's iptables chain", err)
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// hasObject asks nftables whether the object with the names is in family ip. A
// kernel without nftables has none.
func hasObject(kind int, names map[int]string) (bool, error) {
	request := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_NFTABLES<<8|kind, 0)
	request.AddData(&nl.Nfgenmsg{NfgenFamily: unix.NFPROTO_IPV4, Version: nl.NFNETLINK_V0})
	for attribute, name := range names {
		request.AddData(nl.NewRtAttr(attribute, nl.ZeroTerminated(name)))
	}
	messages, err := request.Execute(unix.NETLINK_NETFILTER, 0)
	switch {
	case err == nil:
		return len(messages) > 0, nil
	case errors.Is(err, unix.ENOENT):
		return false, nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EOPNOTSUPP):
		return false, nil
	}
	return false, err
}
