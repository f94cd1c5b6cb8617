#!/bin/sh
# Compiles bpf/ in a copy and compares the bindings with the committed ones.
set -eu
cd "$(dirname "$0")/.."
: "${GO:=go}"

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT INT TERM
cp go.mod go.sum "$copy"
cp -r bpf "$copy/bpf"
rm -f "$copy"/bpf/*_bpfe[lb].go "$copy"/bpf/*_bpfe[lb].o
(cd "$copy" && "$GO" generate ./bpf >/dev/null)

stale=
for file in "$copy"/bpf/*_bpfe[lb].go "$copy"/bpf/*_bpfe[lb].o; do
	cmp -s "$file" "bpf/${file##*/}" || stale="$stale ${file##*/}"
done
if [ -n "$stale" ]; then
	echo "not what bpf/*.c compiles to, run 'make generate':$stale"
	exit 1
fi
