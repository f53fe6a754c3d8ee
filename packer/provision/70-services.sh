#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# What must not start by itself at boot. (Debian's etcd cannot: the daemon's package conflicts with
# it.)

set -eu
: "${PROVISION_LIB:=$(dirname "$0")/../lib}"
# shellcheck source=packer/lib/runtime.sh
. "$PROVISION_LIB/runtime.sh"

# kube-bootstrap starts these when their turn comes: docker before flanneld has a subnet would come
# up on the wrong one, and its socket would start it for the first client that asks.
systemctl disable containerd.service docker.service docker.socket
# Where containerd runs the pods, docker's programs are docker-bootstrap's alone.
[ "$container_runtime" = docker ] || systemctl mask docker.service docker.socket

# Of nvme-cli and what it needs: for disks over a network, and for making UUIDs by the clock.
systemctl disable nvmefc-boot-connections.service nvmf-autoconnect.service uuidd.socket

# An instance is replaced by one of a newer AMI, not upgraded: an upgrade of docker in the
# background restarts it, and any download slows down a boot.
systemctl mask apt-daily.timer apt-daily-upgrade.timer
