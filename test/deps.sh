#!/bin/sh
# Installs the Debian packages that the tests need and that are missing, and unpacks
# Docker 26.1 beside them. Starts no service, now or at boot. On another system it only
# says what is missing.
set -eu

# command package; a path where the tests want this very one
needed='ip iproute2
nginx nginx-light
iperf3 iperf3
dnsmasq dnsmasq-base
dig bind9-dnsutils
curl curl
ping iputils-ping
ethtool ethtool
tracepath iputils-tracepath
traceroute traceroute
mtr mtr-tiny
openssl openssl
ssh openssh-client
/usr/sbin/sshd openssh-server
redis-server redis-server
wrk wrk
/usr/lib/postgresql/15/bin/postgres postgresql-15
/usr/lib/postgresql/15/bin/psql postgresql-client-15
nft nftables
iptables iptables
/usr/sbin/dockerd docker.io
/usr/bin/containerd containerd
/usr/sbin/runc runc
/usr/bin/docker-compose docker-compose
podman podman
/usr/lib/podman/netavark netavark
/usr/lib/cni/portmap containernetworking-plugins'

# What test/lab looks for besides Debian 12's Docker: Debian 13's, which needs no newer
# libc (its runc would: both versions use Debian 12's), and a busybox for images.
newer=/var/cache/ebnet-test/docker-26.1
newer_packages='docker.io docker-cli docker-compose containerd busybox-static'

PATH=$PATH:/usr/sbin:/sbin
work=
made_policy=
cleanup() {
	[ -z "$work" ] || rm -rf "$work"
	[ -z "$made_policy" ] || rm -f "$made_policy"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

missing=$(echo "$needed" | while read -r command package; do
	command -v "$command" >/dev/null || echo "$package"
done)
[ -n "$missing" ] || [ ! -e "$newer" ] || exit 0

if ! command -v apt-get >/dev/null; then
	[ -z "$missing" ] || echo "the tests need these programs (names of Debian's packages):" $missing
	[ -e "$newer" ] || echo "the tests need these packages of Debian 13, unpacked in $newer:" $newer_packages
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive

install_missing() {
	echo "installing what the tests need:" $missing

	# invoke-rc.d asks this file before it starts anything.
	policy=/usr/sbin/policy-rc.d
	if [ ! -e "$policy" ]; then
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		made_policy=$policy
		chmod 0755 "$policy"
	fi

	apt="apt-get -qq -o DPkg::Lock::Timeout=120"
	$apt install -y --no-install-recommends $missing >/dev/null 2>&1 || {
		$apt update
		$apt install -y --no-install-recommends $missing >/dev/null
	}
	command -v systemctl >/dev/null || return 0
	case $missing in
	*nginx*) systemctl --quiet disable nginx.service || true ;;
	esac
	case $missing in
	*docker.io*) systemctl --quiet disable docker.service docker.socket || true ;;
	esac
	case $missing in
	*containerd*) systemctl --quiet disable containerd.service || true ;;
	esac
}

# The machine's own lists and packages stay as they are. The folder appears under its
# name when all is in it.
unpack_newer() {
	echo "unpacking what the tests need of Debian 13:" $newer_packages
	mkdir -p "${newer%/*}"
	work=$(mktemp -d "$newer.XXXXXX")
	mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/root"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie main" >"$work/sources.list"
	: >"$work/status"
	apt="apt-get -qq -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=3
		-o Dir::Etc::SourceList=$work/sources.list -o Dir::Etc::SourceParts=/dev/null
		-o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null
		-o Dir::State::Lists=$work/lists -o Dir::State::Status=$work/status -o Dir::Cache=$work/cache"
	$apt update
	(cd "$work/cache" && $apt download $newer_packages)
	for deb in "$work"/cache/*.deb; do
		dpkg-deb -x "$deb" "$work/root"
	done
	rm -rf "$work/root/usr/share/doc" "$work/root/usr/share/man"
	chmod 0755 "$work/root"
	mv -T "$work/root" "$newer" 2>/dev/null || [ -e "$newer" ]
}

[ -z "$missing" ] || install_missing
[ -e "$newer" ] || unpack_newer
