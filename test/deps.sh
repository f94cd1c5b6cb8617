#!/bin/sh
# Installs the Debian packages that the tests need and that are missing. Starts no
# service, now or at boot. On another system it only says what is missing.
set -eu

# command package
needed='ip iproute2
nginx nginx-light
iperf3 iperf3
dnsmasq dnsmasq-base
dig bind9-dnsutils
curl curl
ping iputils-ping
nft nftables
iptables iptables'

PATH=$PATH:/usr/sbin:/sbin
missing=$(echo "$needed" | while read -r command package; do
	command -v "$command" >/dev/null || echo "$package"
done)
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
	echo "the tests need these programs (names of Debian's packages):" $missing
	exit 1
fi
echo "installing what the tests need:" $missing

# invoke-rc.d asks this file before it starts anything.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 0755 "$policy"
	trap 'rm -f "$policy"' EXIT INT TERM
fi

export DEBIAN_FRONTEND=noninteractive
apt="apt-get -qq -o DPkg::Lock::Timeout=120"
$apt install -y --no-install-recommends $missing >/dev/null 2>&1 || {
	$apt update
	$apt install -y --no-install-recommends $missing >/dev/null
}
case $missing in
*nginx*) ! command -v systemctl >/dev/null || systemctl --quiet disable nginx.service || true ;;
esac
