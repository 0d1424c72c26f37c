#!/bin/bash
# build.sh: kopia 0.23.1 and kopia-0.16 0.16.0, the newest and the oldest peer of the repository format, into $PEERS_BIN.
# Does nothing when they are there and this folder is unchanged. About 115 s with empty caches, on two cores.
set -eu
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/../env.sh"
mkdir -p "$BIN"

build_version() { # build_version BINARY VERSION
  local stamp=$BIN/$1.stamp wanted
  cd "$HERE/v$2"
  wanted=$(cat go.mod go.sum tools.go ../build.sh | sha256sum)
  if [ -x "$BIN/$1" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    return
  fi
  rm -f "$stamp"
  build "$1" github.com/kopia/kopia -X "github.com/kopia/kopia/repo.BuildVersion=$2"
  echo "$wanted" > "$stamp"
}

build_version kopia 0.23.1
build_version kopia-0.16 0.16.0
