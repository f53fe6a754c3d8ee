#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# What must not be the same on two instances, what would give the builder's secrets away, and what
# an image need not carry. 95-check.sh then looks whether that is all.

set -eu

# An empty machine-id is filled at boot, see machine-id(5).
: >/etc/machine-id
rm -f /var/lib/dbus/machine-id
rm -f /var/lib/systemd/random-seed /var/lib/systemd/credential.secret
rm -f /etc/ssh/ssh_host_*
rm -f /etc/docker/key.json /var/lib/docker/engine-id /var/lib/docker-bootstrap/engine-id

# The builder's own keys come back with user data; its connection does not need them any more.
for home in /root /home/*; do
    rm -rf "$home/.ssh" "$home/.aws" "$home/.docker" "$home/.kube" "$home/.cache" \
        "$home/.bash_history" "$home/.netrc" "$home/.wget-hsts" "$home/.lesshst"
done

if command -v cloud-init >/dev/null; then
    cloud-init clean --logs
fi
# Of the builder's network card
rm -f /etc/netplan/50-cloud-init.yaml /etc/network/interfaces.d/50-cloud-init
rm -rf /var/lib/dhcp/* /var/lib/chrony/* /run/systemd/netif/leases/*

apt-get clean
rm -rf /var/lib/apt/lists/* /var/cache/debconf/*-old /var/lib/dpkg/*-old

# From here on the journal writes to memory.
[ ! -d /run/systemd/system ] || journalctl --relinquish-var
rm -rf /var/log/journal/*
find /var/log -type f -delete
find /tmp /var/tmp -xdev -mindepth 1 -delete
