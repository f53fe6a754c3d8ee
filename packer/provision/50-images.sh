#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Puts the images that /etc/kubernetes/images lists into the stores, so that a boot pulls nothing: etcd's and
# flannel's into docker-bootstrap's, the others into that of what runs the pods. From IMAGES_DIR/NAME.tar
# for a key NAME_IMAGE (etcd.tar for ETCD_IMAGE) where that folder is given, else from their registries, as they are pinned.

set -eu
: "${PROVISION_LIB:=$(dirname "$0")/../lib}"
# shellcheck source=packer/lib/runtime.sh
. "$PROVISION_LIB/runtime.sh"
# shellcheck source=packer/lib/pins.sh
. "$PROVISION_LIB/pins.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# file_of KEY
file_of() {
    echo "$IMAGES_DIR/$(echo "${1%_IMAGE}" | tr '[:upper:]' '[:lower:]').tar"
}

# The images of the lines on stdin go into the docker's store at DATA_ROOT.
store_in_docker() (
    # shellcheck source=packer/lib/docker.sh
    . "$PROVISION_LIB/docker.sh"
    start_docker "$1"
    while IFS='=' read -r key image; do
        if [ -n "${IMAGES_DIR:-}" ]; then
            docker load --quiet --input "$(file_of "$key")" </dev/null
        else
            pull "$image" </dev/null
        fi
        docker image inspect --format "$1: $image {{.Size}}" "$image"
    done
    stop_daemon
    rm -rf "$1/containerd" # of a containerd that only this dockerd had
)

# kubelet takes an image with the first label for one of its own, and does not collect one with the second.
# https://github.com/containerd/containerd/blob/main/internal/cri/labels/labels.go
store_in_containerd() (
    # shellcheck source=packer/lib/containerd.sh
    . "$PROVISION_LIB/containerd.sh"
    start_containerd
    while IFS='=' read -r key image; do
        if [ -n "${IMAGES_DIR:-}" ]; then
            ctr images import "$(file_of "$key")" </dev/null
        else
            pull "$image" </dev/null
        fi
        ctr images label "$image" io.cri-containerd.image=managed io.cri-containerd.pinned=pinned
    done
    stop_daemon
)

grep -E '^[A-Z_]+_IMAGE=' /etc/kubernetes/images >"$work/all"
grep -E '^(ETCD|FLANNEL)_' "$work/all" >"$work/network"
grep -vE '^(ETCD|FLANNEL)_' "$work/all" >"$work/others"
store_in_docker /var/lib/docker-bootstrap <"$work/network"
case $container_runtime in
docker) store_in_docker /var/lib/docker <"$work/others" ;;
containerd) store_in_containerd <"$work/others" ;;
esac
