#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# To be sourced: the AMI's containerd, run by hand with nothing but its store of images (daemon.sh).

# shellcheck source=packer/lib/daemon.sh
. "$PROVISION_LIB/daemon.sh"

# start_containerd: CONTAINERD_ADDRESS names it to ctr, CONTAINERD_NAMESPACE is where kubelet's images are.
start_containerd() {
    export CONTAINERD_ADDRESS="$daemon_work/sock" CONTAINERD_NAMESPACE=k8s.io
    cat >"$daemon_work/config.toml" <<END
version = 2
root = "/var/lib/containerd"
state = "$daemon_work/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime"]
[grpc]
  address = "$CONTAINERD_ADDRESS"
END
    start_daemon ctr containerd --config "$daemon_work/config.toml"
}

# pull IMAGE: that of its pin, under its name (pins.sh).
pull() {
    echo "$1" | need_pins
    sum=$(pin_of "$1")
    ctr images pull "$1${sum:+@sha256:$sum}"
    if [ -n "$sum" ]; then
        ctr images tag "$1@sha256:$sum" "$1"
        ctr images rm "$1@sha256:$sum"
    fi
}
