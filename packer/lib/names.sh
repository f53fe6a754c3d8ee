#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# To be sourced, after list.sh: names of all that a build of the list downloads. packer/pin and the provisioning
# scripts share them. Sites are variables for the tests.

: "${KUBERNETES_VERSION:=$kubernetes_version}" "${KUBERNETES_SITE:=https://dl.k8s.io/release}"
: "${HYPERKUBE_IMAGE:=registry.k8s.io/hyperkube:$KUBERNETES_VERSION}"
: "${CONTAINERD_SITE:=https://github.com/containerd/containerd/releases/download}"
: "${ECR_PROVIDER_SITE:=https://artifacts.k8s.io/binaries/cloud-provider-aws}"

# url_of PROGRAM ARCHITECTURE, as Debian names that
url_of() {
    case $1 in
    kubelet | kubectl) echo "$KUBERNETES_SITE/$KUBERNETES_VERSION/bin/linux/$2/$1" ;;
    containerd) echo "$CONTAINERD_SITE/v$containerd_version/containerd-$containerd_version-linux-$2.tar.gz" ;;
    ecr-credential-provider) echo "$ECR_PROVIDER_SITE/v$ecr_provider_version/linux/$2/$1-linux-$2" ;;
    esac
}

# checksum_of URL: the address of the checksum that the site publishes beside the file.
checksum_of() {
    case $1 in
    *.tar.gz) echo "$1.sha256sum" ;; # containerd's
    *) echo "$1.sha256" ;;
    esac
}

# is_in_hyperkube: kubelet and kubectl are taken out of the image HYPERKUBE_IMAGE.
is_in_hyperkube() {
    case $KUBERNETES_VERSION in
    v1.[0-9].* | v1.1[0-8].*) return 0 ;;
    esac
    return 1
}

# images_to_pull: without those that a folder has.
images_to_pull() {
    [ -z "${IMAGES_DIR:-}" ] || return 0
    sed -nE 's/^[A-Z_]+_IMAGE=//p' "$IMAGES_LIST"
    if is_in_hyperkube && [ -z "${BINARIES_DIR:-}" ]; then
        echo "$HYPERKUBE_IMAGE"
    fi
}

# files_to_download ARCHITECTURE: without those that a folder has.
files_to_download() {
    if ! is_in_hyperkube && [ -z "${BINARIES_DIR:-}" ]; then
        url_of kubelet "$1"
        url_of kubectl "$1"
    fi
    if [ -n "$containerd_version" ] && [ -z "${CONTAINERD_DIR:-${BINARIES_DIR:-}}" ]; then
        url_of containerd "$1"
    fi
    if [ -n "$ecr_provider_version" ] && [ -z "${ECR_PROVIDER_DIR:-${BINARIES_DIR:-}}" ]; then
        url_of ecr-credential-provider "$1"
    fi
}
