#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A new volume's blocks come from the snapshot when they are first read, some milliseconds each. So
# what a boot is about to run is read once, in the order in which it is needed, while the daemon
# still talks to EC2 and S3. https://docs.aws.amazon.com/ebs/latest/userguide/initalize-volume.html
#
# It must not delay what it is there to speed up: nothing is ordered after it, and it is one reader
# of idle priority. Not every I/O scheduler knows priorities ("none", NVMe's usual one, does not);
# then one request at a time is what keeps it out of the others' way.
#
# Not enabled: kube-bootstrap.service wants it, so there is still one unit that starts all.

set -eu
: "${PROVISION_LIB:=$(dirname "$0")/../lib}"
# shellcheck source=packer/lib/runtime.sh
. "$PROVISION_LIB/runtime.sh"
case $container_runtime in
docker) pods="/var/lib/docker/overlay2" ;;
containerd) pods="/usr/lib/cni /var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots" ;;
esac

cat >/etc/systemd/system/kube-bootstrap-preread.service <<END
[Unit]
Description=Read what this boot needs from a volume that is filled as it is read
Documentation=https://docs.aws.amazon.com/ebs/latest/userguide/initalize-volume.html
# An EC2 instance, of either kind
ConditionVirtualization=|amazon
ConditionVirtualization=|xen
DefaultDependencies=no
Conflicts=shutdown.target
Before=shutdown.target
After=local-fs.target

[Service]
Type=exec
ExecStart=/usr/bin/find /usr/bin/containerd /usr/bin/containerd-shim-runc-v2 /usr/sbin/runc \\
        /usr/sbin/dockerd /usr/bin/docker /var/lib/docker-bootstrap/overlay2 \\
        /usr/bin/kubelet /usr/bin/kubectl $pods \\
        -xdev -type f -exec /bin/cat {} +
StandardOutput=null
IOSchedulingClass=idle
CPUSchedulingPolicy=idle
Nice=19
ProtectSystem=strict
ProtectHome=yes
PrivateNetwork=yes
NoNewPrivileges=yes
CapabilityBoundingSet=CAP_DAC_READ_SEARCH
END

mkdir -p /etc/systemd/system/kube-bootstrap.service.d
cat >/etc/systemd/system/kube-bootstrap.service.d/preread.conf <<'END'
[Unit]
Wants=kube-bootstrap-preread.service
END
