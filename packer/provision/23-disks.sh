#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# EBS volumes are NVMe disks. After the kernel's default of 30 s without an answer it fails the request, and ext4 goes
# read-only; AWS recommends the highest value that the kernel takes. As a parameter of the kernel it holds for a driver
# that is built in and for one in the initial RAM disk.
# https://docs.aws.amazon.com/ebs/latest/userguide/timeout-nvme-ebs-volumes.html

set -eu

mkdir -p /etc/default/grub.d
cat >/etc/default/grub.d/50-nvme.cfg <<'END'
GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX nvme_core.io_timeout=4294967295"
END
# The lab's image has no kernel.
if command -v update-grub >/dev/null; then
    update-grub
fi
