#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Last: what must not be the same on two instances, and what an image need not carry.

set -eu

# An empty machine-id is filled at boot, see machine-id(5).
: >/etc/machine-id
rm -f /var/lib/dbus/machine-id /var/lib/systemd/random-seed /etc/docker/key.json
rm -f /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub
rm -f /root/.bash_history /root/.ssh/authorized_keys
if command -v cloud-init >/dev/null; then
    cloud-init clean --logs
fi

apt-get clean
rm -rf /var/lib/apt/lists/*
find /var/log -type f -delete
find /tmp /var/tmp -mindepth 1 -delete
