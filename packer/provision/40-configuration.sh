#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# What an administrator decides when making the AMI: the list of images, and what docker, containerd and kubelet
# are told beyond what kube-bootstrap tells them. From the folder CONF_DIR, by default the conf/
# beside this script's folder; IMAGES_LIST names another list. Static pods and addons come with the
# daemon.

set -eu
: "${CONF_DIR:=$(dirname "$0")/../../conf}"
: "${IMAGES_LIST:=$CONF_DIR/images}"
: "${PROVISION_LIB:=$(dirname "$0")/../lib}"

install -d -m 0755 /etc/kubernetes /etc/docker
install -m 0644 "$IMAGES_LIST" /etc/kubernetes/images
install -m 0644 "$CONF_DIR/kubernetes/kubelet.json" /etc/kubernetes/kubelet.json
# Logs are bounded, and no container's core file holds the keys of the control plane.
install -m 0644 "$CONF_DIR/docker/daemon.json" /etc/docker/daemon.json

# shellcheck source=packer/lib/runtime.sh
. "$PROVISION_LIB/runtime.sh"
if [ "$container_runtime" = containerd ]; then
    install -d -m 0755 /etc/containerd/certs.d
    pause=$(sed -n 's/^PAUSE_IMAGE=//p' /etc/kubernetes/images)
    sed "s|@PAUSE_IMAGE@|$pause|" "$CONF_DIR/containerd/config.toml" >/etc/containerd/config.toml
fi
