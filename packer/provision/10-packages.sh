#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# What a master or a node needs from Debian 12. Runs as root, as all of these do.

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

# docker: both of them. e2fsprogs: the master volume. conntrack, socat, ethtool, ebtables, iptables,
# mount: kubelet's and kube-proxy's. libexpat1, libjansson4, and curl with its library: the
# daemon's. chrony: certificates are made once the clock is believed.
apt-get -q -y --no-install-recommends install \
    ca-certificates chrony conntrack curl dbus docker.io e2fsprogs ebtables ethtool iproute2 \
    iptables kmod libexpat1 libjansson4 mount procps socat udev
