#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The daemon itself with its units and manual pages, from the Debian package DAEMON_DEB. It is the
# one thing that starts the others, so it alone is enabled.

set -eu

apt-get -q -y --no-install-recommends install "$(realpath "$DAEMON_DEB")"
systemctl enable kube-bootstrap.service
