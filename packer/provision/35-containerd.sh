#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Installs, for pods on containerd, the plugins of their network, the program that shows kube-proxy's rules (nft), and
# containerd of CONTAINERD_VERSION in the list of images, in the place of Debian's, which docker has brought along.
# From the folder CONTAINERD_DIR (or BINARIES_DIR) where that is given, else from the project's site, as it
# is pinned. No version: Debian's stays.

set -eu
export DEBIAN_FRONTEND=noninteractive
: "${PROVISION_LIB:=$(dirname "$0")/../lib}"
# shellcheck source=packer/lib/runtime.sh
. "$PROVISION_LIB/runtime.sh"
: "${CONTAINERD_DIR:=${BINARIES_DIR:-}}"
[ "$container_runtime" = containerd ] || exit 0

apt-get -q -y --no-install-recommends install containernetworking-plugins nftables

[ -n "$containerd_version" ] || exit 0

if [ -z "$CONTAINERD_DIR" ]; then
    # shellcheck source=packer/lib/download.sh
    . "$PROVISION_LIB/download.sh"
    work=$(mktemp -d -p /var/tmp)
    trap 'rm -rf "$work"' EXIT
    download "$(url_of containerd "$(dpkg --print-architecture)")" "$work/archive"
    tar -C "$work" -xzf "$work/archive"
    CONTAINERD_DIR=$work/bin
fi
install -d /usr/lib/debian-containerd
for program in containerd containerd-shim-runc-v2 ctr; do
    dpkg-divert --quiet --local --rename --divert "/usr/lib/debian-containerd/$program" --add "/usr/bin/$program"
    install -m 0755 "$CONTAINERD_DIR/$program" "/usr/bin/$program"
done

stated=$(containerd --version)
case $stated in
*" v$containerd_version "*) ;;
*)
    echo "containerd says \"$stated\", expected v$containerd_version" >&2
    exit 1
    ;;
esac
