#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# What a master or a node needs from Debian 12 or 13. Runs as root, as all of these do.

set -eu
export DEBIAN_FRONTEND=noninteractive

# No service may start while the image is made: docker would leave a bridge and a network of its own
# behind. https://people.debian.org/~hmh/invokerc.d-policyrc.d-specification.txt
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 0755 "$policy"
    trap 'rm -f "$policy"' EXIT
fi

apt-get -q update

# Debian 13 has docker's client in a package of its own.
docker_client=$(apt-cache --names-only search '^docker-cli$' | cut -d' ' -f1)

# docker: both of them. e2fsprogs: the master volume. nvme-cli: what an administrator looks at disks
# with. conntrack, socat, ethtool, ebtables, iptables, mount: kubelet's and kube-proxy's. chrony:
# certificates are made once the clock is believed. apparmor: where the kernel has it, as Debian's has, docker
# starts no container without apparmor_parser. Libraries come with the daemon's own package,
# which names them as Debian 12 or 13 does.
apt-get -q -y --no-install-recommends install \
    apparmor ca-certificates chrony conntrack curl dbus docker.io ${docker_client:+"$docker_client"} \
    e2fsprogs ebtables ethtool iproute2 iptables kmod mount nvme-cli procps socat udev
