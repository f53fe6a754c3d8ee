#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Installs ecr-credential-provider of ECR_PROVIDER_VERSION in the list of images, and its configuration: kubelet from 1.27 on
# pulls from ECR with it alone, see https://cloud-provider-aws.sigs.k8s.io/credential_provider/. From the folder
# ECR_PROVIDER_DIR (or BINARIES_DIR) where that is given, else from Kubernetes' site, as it is pinned. No version: nothing
# is installed, and kubelet pulls without credentials. With docker, kubelet is older and needs none.

set -eu
: "${PROVISION_LIB:=$(dirname "$0")/../lib}"
# shellcheck source=packer/lib/runtime.sh
. "$PROVISION_LIB/runtime.sh"
: "${ECR_PROVIDER_DIR:=${BINARIES_DIR:-}}"
program=ecr-credential-provider
folder=/usr/libexec/kubernetes/credential-providers

[ -n "$ecr_provider_version" ] || exit 0

if [ -z "$ECR_PROVIDER_DIR" ]; then
    # shellcheck source=packer/lib/download.sh
    . "$PROVISION_LIB/download.sh"
    ECR_PROVIDER_DIR=$(mktemp -d -p /var/tmp)
    trap 'rm -rf "$ECR_PROVIDER_DIR"' EXIT
    download "$(url_of "$program" "$(dpkg --print-architecture)")" "$ECR_PROVIDER_DIR/$program"
fi
install -d -m 0755 /etc/kubernetes "$folder"
install -m 0755 "$ECR_PROVIDER_DIR/$program" "$folder/$program"
install -m 0644 "$CONF_DIR/kubernetes/credential-providers.json" /etc/kubernetes/credential-providers.json

stated=$("$folder/$program" --version)
case "$stated " in
*" v$ecr_provider_version"[!0-9]*) ;; # upstream's builds may add a word, as "-dirty"
*)
    echo "$program says \"$stated\", expected v$ecr_provider_version" >&2
    exit 1
    ;;
esac
