#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Where pods run on containerd: the plugins of their network, and what kube-proxy's rules are looked at with.
# Debian's docker has brought containerd along.

set -eu
export DEBIAN_FRONTEND=noninteractive
: "${PROVISION_LIB:=$(dirname "$0")/../lib}"
# shellcheck source=packer/lib/runtime.sh
. "$PROVISION_LIB/runtime.sh"
[ "$container_runtime" = containerd ] || exit 0

apt-get -q -y --no-install-recommends install containernetworking-plugins nftables
