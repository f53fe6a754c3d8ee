#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# kubelet and kubectl of KUBERNETES_VERSION, by default the API server's in the list of images. From the folder
# BINARIES_DIR where that is given, else from the project's site, as they are pinned. Up to Kubernetes 1.18 they are those of the image
# "hyperkube", which are built as the control plane's are: from IMAGES_DIR/hyperkube.tar, or pulled.

set -eu
: "${PROVISION_LIB:=$(dirname "$0")/../lib}"
# shellcheck source=packer/lib/runtime.sh
. "$PROVISION_LIB/runtime.sh"
# shellcheck source=packer/lib/download.sh
. "$PROVISION_LIB/download.sh"
programs="kubelet kubectl"

copy() {
    for program in $programs; do
        install -m 0755 "$BINARIES_DIR/$program" "/usr/bin/$program"
    done
}

extract() {
    # shellcheck source=packer/lib/docker.sh
    . "$PROVISION_LIB/docker.sh"
    store=$(mktemp -d -p /var/tmp) # /tmp may be memory
    start_docker "$store"
    if [ -n "${IMAGES_DIR:-}" ]; then
        docker load --quiet --input "$IMAGES_DIR/hyperkube.tar"
    else
        pull "$HYPERKUBE_IMAGE"
    fi
    container=$(docker create "$HYPERKUBE_IMAGE" true)
    for program in $programs; do
        # a link to one program for all, in the older ones
        docker cp --follow-link "$container:/usr/local/bin/$program" "/usr/bin/$program"
        chown root:root "/usr/bin/$program"
        chmod 0755 "/usr/bin/$program"
    done
    stop_daemon
    rm -rf "$store"
}

take() {
    work=$(mktemp -d -p /var/tmp)
    trap 'rm -rf "$work"' EXIT
    for program in $programs; do
        download "$(url_of "$program" "$(dpkg --print-architecture)")" "$work/$program"
        install -m 0755 "$work/$program" "/usr/bin/$program"
    done
}

if [ -n "${BINARIES_DIR:-}" ]; then
    copy
elif is_in_hyperkube; then
    extract
else
    take
fi

version=$(kubelet --version)
if [ "$version" != "Kubernetes $KUBERNETES_VERSION" ]; then
    echo "kubelet says \"$version\", expected Kubernetes $KUBERNETES_VERSION" >&2
    exit 1
fi
kubectl version --client
