#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Where packages come from: DEBIAN_MIRROR where that is given, with its -security beside it, as on
# deb.debian.org; else what Debian's image has. cloud-init writes there at the first boot, and apt's
# timers start soon after it: neither shall come in between.

set -eu

if [ -d /run/systemd/system ] && command -v cloud-init >/dev/null; then
    # 2 is "done, with complaints", https://docs.cloud-init.io/en/latest/explanation/return_codes.html
    cloud-init status --wait >/dev/null || [ $? -eq 2 ]
    systemctl stop apt-daily.timer apt-daily-upgrade.timer
fi

[ -n "${DEBIAN_MIRROR:-}" ] || exit 0

# shellcheck source=/dev/null # the image's
. /etc/os-release
mirror=${DEBIAN_MIRROR%/}
cat >/etc/apt/sources.list <<END
deb $mirror $VERSION_CODENAME main
deb $mirror $VERSION_CODENAME-updates main
deb $mirror-security $VERSION_CODENAME-security main
END
rm -f /etc/apt/sources.list.d/debian.sources
