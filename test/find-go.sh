#!/bin/sh
# Prints the path of the go command: the one in PATH, else the first in the usual
# folders, those of the user behind sudo included. Prints nothing if there is none.
command -v go && exit

homes=${HOME:-/root}
if [ -n "${SUDO_USER:-}" ]; then
	homes="$homes $(getent passwd "$SUDO_USER" | cut -d: -f6)"
fi
roots='/usr/local/go /usr/lib/go /usr/lib/go-* /opt/go /snap/go/current'
for home in $homes; do
	roots="$roots $home/go $home/.local/go $home/sdk/go*"
done
# Unquoted, so that the patterns find their folders.
for root in $roots; do
	if [ -x "$root/bin/go" ]; then
		echo "$root/bin/go"
		exit
	fi
done
