#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Kernel modules and settings that containers on an overlay need, from boot on: flanneld, which
# starts before docker, refuses to run without br_netfilter.

set -eu

cat >/etc/modules-load.d/kubernetes.conf <<'END'
br_netfilter
overlay
vxlan
END

cat >/etc/sysctl.d/90-kubernetes.conf <<'END'
net.ipv4.ip_forward = 1
net.bridge.bridge-nf-call-iptables = 1
net.bridge.bridge-nf-call-ip6tables = 1
# kubelet sets these, or refuses to start where it must not (protectKernelDefaults)
vm.overcommit_memory = 1
vm.panic_on_oom = 0
kernel.panic = 10
kernel.panic_on_oops = 1
END
