#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# To be sourced: what the list of images IMAGES_LIST says. $container_runtime is what its pods run on, docker or
# containerd; $kubernetes_version that of its API server; $containerd_version and $ecr_provider_version are empty
# where the list has none.

# listed KEY
listed() {
    sed -n "s/^$1=//p" "$IMAGES_LIST"
}

apiserver=$(listed APISERVER_IMAGE)
apiserver=${apiserver%@*}
# shellcheck disable=SC2034 # for who sources this
kubernetes_version=${apiserver##*:}
container_runtime=$(listed CONTAINER_RUNTIME)
: "${container_runtime:=docker}" # as kube-bootstrap has it
case $container_runtime in
docker | containerd) ;;
*)
    echo "CONTAINER_RUNTIME in $IMAGES_LIST is \"$container_runtime\", expected docker or containerd" >&2
    exit 1
    ;;
esac
containerd_version='' ecr_provider_version=''
if [ "$container_runtime" = containerd ]; then
    # shellcheck disable=SC2034
    containerd_version=$(listed CONTAINERD_VERSION) ecr_provider_version=$(listed ECR_PROVIDER_VERSION)
fi
