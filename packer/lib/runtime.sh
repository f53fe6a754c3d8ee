#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# To be sourced: what the AMI's list of images says, the one that is in the AMI already or the one that will be
# (see 40-configuration.sh). $container_runtime is what its pods run on, docker or containerd;
# $kubernetes_version that of its API server.

: "${CONF_DIR:=$(dirname "$0")/../../conf}"
: "${IMAGES_LIST:=$CONF_DIR/images}"
[ ! -e /etc/kubernetes/images ] || IMAGES_LIST=/etc/kubernetes/images

apiserver=$(sed -n 's/^APISERVER_IMAGE=//p' "$IMAGES_LIST")
apiserver=${apiserver%@*}
# shellcheck disable=SC2034 # for who sources this
kubernetes_version=${apiserver##*:}
container_runtime=$(sed -n 's/^CONTAINER_RUNTIME=//p' "$IMAGES_LIST")
: "${container_runtime:=docker}" # as kube-bootstrap has it
case $container_runtime in
docker | containerd) ;;
*)
    echo "CONTAINER_RUNTIME in $IMAGES_LIST is \"$container_runtime\", expected docker or containerd" >&2
    exit 1
    ;;
esac
