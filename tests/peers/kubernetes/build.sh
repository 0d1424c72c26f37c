#!/bin/bash
# build.sh: etcd, kube-apiserver, kube-controller-manager and the CustomResourceDefinitions of Velero and CSI snapshots,
# into $PEERS_BIN.
# Does nothing when they are there and this folder is unchanged. About 250 s with empty caches, on two cores.
set -eu
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/../env.sh"
mkdir -p "$BIN"
cd "$HERE"

stamp=$BIN/kubernetes.stamp
wanted=$(cat go.mod go.sum build.sh | sha256sum)
if [ -x "$BIN/etcd" ] && [ -x "$BIN/kube-apiserver" ] && [ -x "$BIN/kube-controller-manager" ] \
  && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
  exit 0
fi
rm -f "$stamp"

crds() { # crds MODULE VERSION SUM PATTERN...: copy files of a module; its checksum is held against the one given here
  local module=$1 version=$2 sum=$3 info
  shift 3
  info=$(cd / && go mod download -json "$module@$version")
  if ! grep -qF "\"Sum\": \"$sum\"" <<< "$info"; then
    echo "$module@$version is not the module this script was written for" >&2
    exit 1
  fi
  (cd "$(sed -n 's/^\t"Dir": "\(.*\)".*/\1/p' <<< "$info")" && install -m 644 -t "$BIN/crds-kubernetes" "$@")
}

rm -rf "$BIN/crds-kubernetes"
mkdir -p "$BIN/crds-kubernetes"
crds github.com/vmware-tanzu/velero v1.18.3 h1:9uwN5yxTWQl9PsF5ljX4xiG+7VIq3I9mxOQ0DyyZ31A= \
  config/crd/v2alpha1/bases/velero.io_data{uploads,downloads}.yaml \
  config/crd/v1/bases/velero.io_{backups,restores,backuprepositories,backupstoragelocations}.yaml
crds github.com/kubernetes-csi/external-snapshotter/client/v8 v8.4.0 h1:bMqrb3UHgHbP+PW9VwiejfDJU1R0PpXVZNMdeH8WYKI= \
  config/crd/snapshot.storage.k8s.io_volumesnapshot{s,contents,classes}.yaml

# Without these the API server calls itself v0.0.0-master, and refuses features by version.
version=v1.34.2
flags=""
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
  flags="$flags -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=34"
  flags="$flags -X $package.gitTreeState=clean -X $package.gitCommit=peers -X $package.buildDate=2025-11-01T00:00:00Z"
done
build etcd go.etcd.io/etcd/server/v3 "$flags"
build kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver "$flags"
build kube-controller-manager k8s.io/kubernetes/cmd/kube-controller-manager "$flags"
echo "$wanted" > "$stamp"
