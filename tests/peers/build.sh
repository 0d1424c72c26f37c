#!/bin/bash
# build.sh: every real peer that the tests use, into $PEERS_BIN (default ~/.cache/velero-py-plugin/peers/bin).
# A peer whose sources are unchanged is not built again. What cannot be built is reported and its tests are skipped; with
# REQUIRE_PEERS=1 that is a failure.
set -eu
HERE=$(cd "$(dirname "$0")" && pwd)
GO_NEEDED=1.26

missing() { # missing SENTENCE: what cannot be had, and what follows from it
  if [ "${REQUIRE_PEERS:-}" = 1 ]; then
    echo "$1: this fails, because REQUIRE_PEERS=1." >&2
    exit 1
  fi
  echo "$1: the tests that need it are skipped." >&2
}

found=$(go env GOVERSION 2>/dev/null | sed 's/^go//') || true
if [ "$(printf '%s\n' "$GO_NEEDED" "$found" | sort -V | head -1)" != "$GO_NEEDED" ]; then
  missing "No real peer can be built without Go $GO_NEEDED or newer (found: ${found:-none})"
  exit 0
fi
for script in "$HERE"/*/build.sh; do
  "$script" || missing "Building the peer $(basename "$(dirname "$script")") failed"
done
