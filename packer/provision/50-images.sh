#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Puts the images that /etc/kubernetes/images lists into the stores of the two dockers, so that a
# boot pulls nothing. From IMAGES_DIR/NAME.tar for a key NAME_IMAGE (etcd.tar for ETCD_IMAGE) where
# that folder is given, else from their registries.

set -eu

list=/etc/kubernetes/images
work=$(mktemp -d)
docker_pid=
trap 'stop_docker; rm -rf "$work"' EXIT

# start_docker DATA_ROOT: one docker at a time, with nothing but a store: its configuration is of no
# concern here, and it shall leave no network behind.
start_docker() {
    echo '{}' >"$work/daemon.json"
    dockerd --config-file="$work/daemon.json" --data-root="$1" --exec-root="$work/exec" \
        --pidfile="$work/pid" --host="unix://$work/sock" --storage-driver=overlay2 \
        --bridge=none --iptables=false --ip-forward=false >"$work/log" 2>&1 &
    docker_pid=$!

    tries=0
    until docker --host "unix://$work/sock" version >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ "$tries" -gt 300 ] || ! kill -0 "$docker_pid"; then
            tail -n 20 "$work/log" >&2
            echo "dockerd does not start" >&2
            exit 1
        fi
        sleep 0.2
    done
}

stop_docker() {
    [ -n "$docker_pid" ] || return 0
    kill "$docker_pid"
    wait "$docker_pid" || true # its status is of no interest: what it stored was asked for by name
    docker_pid=
}

# store DATA_ROOT PATTERN: the images of the keys that match go into this store.
store() {
    start_docker "$1"
    grep -E "$2" "$list" | while IFS='=' read -r key image; do
        name=$(echo "${key%_IMAGE}" | tr '[:upper:]' '[:lower:]')
        if [ -n "${IMAGES_DIR:-}" ]; then
            docker --host "unix://$work/sock" load --quiet --input "$IMAGES_DIR/$name.tar"
        else
            docker --host "unix://$work/sock" pull --quiet "$image"
        fi
        docker --host "unix://$work/sock" image inspect --format "$1: $image {{.Size}}" "$image"
    done
    stop_docker
    rm -rf "$1/containerd" # of a containerd that only this dockerd had
}

store /var/lib/docker-bootstrap '^(ETCD|FLANNEL)_IMAGE='
grep -vE '^(ETCD|FLANNEL)_IMAGE=' "$list" >"$work/others"
list=$work/others
store /var/lib/docker '^[A-Z_]+_IMAGE='
