#!/bin/sh
# Compiles the BPF programs in a copy and compares the bindings with the committed ones.
set -eu
cd "$(dirname "$0")/.."
: "${GO:=go}"

rooms='bpf test/bench/nullbpf'

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT INT TERM
cp go.mod go.sum "$copy"
stale=
for room in $rooms; do
	mkdir -p "$copy/$room"
	cp -r "$room/." "$copy/$room"
	rm -f "$copy/$room"/*_bpfe[lb].go "$copy/$room"/*_bpfe[lb].o
	(cd "$copy" && "$GO" generate "./$room" >/dev/null)
	for file in "$copy/$room"/*_bpfe[lb].go "$copy/$room"/*_bpfe[lb].o; do
		cmp -s "$file" "$room/${file##*/}" || stale="$stale $room/${file##*/}"
	done
done
if [ -n "$stale" ]; then
	echo "not what the C compiles to, run 'make generate':$stale"
	exit 1
fi
