package lab

import "net"

// Dial connects a socket of the machine, from local or, where that is empty, from the
// address and port that the kernel takes.
func (m *Machine) Dial(network, local, remote string) (net.Conn, error) {
	return m.dial(network, local, remote, answerTime)
}
