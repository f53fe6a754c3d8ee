#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# To be sourced: the AMI's containerd, run by hand with nothing but its store of images. It ends with the script.

containerd_work=$(mktemp -d)
containerd_pid=
trap 'stop_containerd; rm -rf "$containerd_work"' EXIT

# start_containerd: CONTAINERD_ADDRESS names it to ctr, CONTAINERD_NAMESPACE is where kubelet's images are.
start_containerd() {
    export CONTAINERD_ADDRESS="$containerd_work/sock" CONTAINERD_NAMESPACE=k8s.io
    cat >"$containerd_work/config.toml" <<END
version = 2
root = "/var/lib/containerd"
state = "$containerd_work/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime"]
[grpc]
  address = "$CONTAINERD_ADDRESS"
END
    containerd --config "$containerd_work/config.toml" >"$containerd_work/log" 2>&1 &
    containerd_pid=$!

    tries=0
    until ctr version >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ "$tries" -gt 300 ] || ! kill -0 "$containerd_pid"; then
            tail -n 20 "$containerd_work/log" >&2
            echo "containerd does not start" >&2
            exit 1
        fi
        sleep 0.2
    done
}

stop_containerd() {
    [ -n "$containerd_pid" ] || return 0
    kill "$containerd_pid"
    wait "$containerd_pid" || true # its status is of no interest: what it stored was asked for by name
    containerd_pid=
}
