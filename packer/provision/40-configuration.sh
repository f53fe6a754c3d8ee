#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# What an administrator decides when making the AMI: the list of images, kubelet's base
# configuration, static pods. From the folder CONF_DIR, by default the conf/ beside this script's
# folder; IMAGES_LIST names another list.

set -eu
: "${CONF_DIR:=$(dirname "$0")/../../conf}"
: "${IMAGES_LIST:=$CONF_DIR/images}"

install -d -m 0755 /etc/kubernetes /etc/kubernetes/manifests
install -m 0644 "$IMAGES_LIST" /etc/kubernetes/images

if [ -e "$CONF_DIR/kubernetes/kubelet.json" ]; then
    install -m 0644 "$CONF_DIR/kubernetes/kubelet.json" /etc/kubernetes/kubelet.json
fi
if [ -d "$CONF_DIR/kubernetes/manifests" ]; then
    install -m 0644 "$CONF_DIR"/kubernetes/manifests/* /etc/kubernetes/manifests
fi
