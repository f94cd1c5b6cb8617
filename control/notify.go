package control

import (
	"net"
	"os"
	"strconv"
	"time"
)

// notifier tells systemd how the agent is: sd_notify(3). Without systemd it
// does nothing.
type notifier struct {
	socket   string        // path, or @ and an abstract name; empty without systemd
	watchdog time.Duration // how often systemd wants a sign of life; 0: never
}

// newNotifier reads what systemd says in the environment.
func newNotifier(getenv func(string) string) notifier {
	n := notifier{socket: getenv("NOTIFY_SOCKET")}
	usec, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64)
	if err == nil && usec > 0 && (getenv("WATCHDOG_PID") == "" || getenv("WATCHDOG_PID") == strconv.Itoa(os.Getpid())) {
		n.watchdog = time.Duration(usec) * time.Microsecond
	}
	return n
}

// send tells one state, such as "READY=1".
func (n notifier) send(state string) error {
	if n.socket == "" {
		return nil
	}
	conn, err := net.Dial("unixgram", n.socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write([]byte(state))
	return err
}
