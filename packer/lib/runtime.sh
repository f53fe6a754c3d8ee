#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# To be sourced: $container_runtime is what the AMI's pods run on, docker or containerd, as its list of images
# says: the one that is in the AMI already, or the one that will be (see 40-configuration.sh).

: "${CONF_DIR:=$(dirname "$0")/../../conf}"
: "${IMAGES_LIST:=$CONF_DIR/images}"
[ ! -e /etc/kubernetes/images ] || IMAGES_LIST=/etc/kubernetes/images

container_runtime=$(sed -n 's/^CONTAINER_RUNTIME=//p' "$IMAGES_LIST")
: "${container_runtime:=docker}" # as kube-bootstrap has it
case $container_runtime in
docker | containerd) ;;
*)
    echo "CONTAINER_RUNTIME in $IMAGES_LIST is \"$container_runtime\", expected docker or containerd" >&2
    exit 1
    ;;
esac
