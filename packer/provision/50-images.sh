#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Puts the images that /etc/kubernetes/images lists into the stores of the two dockers, so that a
# boot pulls nothing. From IMAGES_DIR/NAME.tar for a key NAME_IMAGE (etcd.tar for ETCD_IMAGE) where
# that folder is given, else from their registries.

set -eu
: "${PROVISION_LIB:=$(dirname "$0")/../lib}"
# shellcheck source=packer/lib/docker.sh
. "$PROVISION_LIB/docker.sh"

# store DATA_ROOT: the images of the lines on stdin go into this store.
store() {
    start_docker "$1"
    while IFS='=' read -r key image; do
        name=$(echo "${key%_IMAGE}" | tr '[:upper:]' '[:lower:]')
        if [ -n "${IMAGES_DIR:-}" ]; then
            docker load --quiet --input "$IMAGES_DIR/$name.tar" </dev/null
        else
            docker pull --quiet "$image" </dev/null
        fi
        docker image inspect --format "$1: $image {{.Size}}" "$image"
    done
    stop_docker
    rm -rf "$1/containerd" # of a containerd that only this dockerd had
}

grep -E '^[A-Z_]+_IMAGE=' /etc/kubernetes/images >"$docker_work/all"
grep -E '^(ETCD|FLANNEL)_' "$docker_work/all" >"$docker_work/network"
grep -vE '^(ETCD|FLANNEL)_' "$docker_work/all" >"$docker_work/others"
store /var/lib/docker-bootstrap <"$docker_work/network"
store /var/lib/docker <"$docker_work/others"
