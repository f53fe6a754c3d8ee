#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Links that docker, flanneld and network plugins make are theirs: networkd would take them for
# unconfigured network cards, wait for them, and remove their routes.

set -eu

mkdir -p /etc/systemd/network
cat >/etc/systemd/network/05-containers.network <<'END'
[Match]
Name=docker* veth* flannel* cni* cbr*

[Link]
Unmanaged=yes
END
