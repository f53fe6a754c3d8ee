#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Debian's fixes since its image was made, the kernel's among them: instances start with them, as
# none of them upgrades itself.

set -eu
export DEBIAN_FRONTEND=noninteractive

apt-get -q -o DPkg::Lock::Timeout=300 update
apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold full-upgrade
apt-get -q -y autoremove --purge
