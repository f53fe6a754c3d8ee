#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The daemon itself with its units, manifests and manual pages, from the Debian package DAEMON_DEB,
# which "make deb" makes. It is the one thing that starts the others, so it alone is enabled.

set -eu
export DEBIAN_FRONTEND=noninteractive

apt-get -q -y --no-install-recommends --reinstall install "$(realpath "$DAEMON_DEB")"
systemctl enable kube-bootstrap.service
