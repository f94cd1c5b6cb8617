#!/bin/sh
# Runs every fuzz target of the project for the given time each.
set -eu
cd "$(dirname "$0")/.."
: "${GO:=go}"

grep -rl --include='*_test.go' '^func Fuzz' . | sort | while read -r file; do
	grep -o '^func Fuzz[A-Za-z0-9_]*' "$file" | cut -d' ' -f2 | while read -r target; do
		echo "== $target (${file#./})"
		"$GO" test -run='^$' -fuzz="^$target\$" -fuzztime="${1:-10s}" "$(dirname "$file")" </dev/null
	done
done
