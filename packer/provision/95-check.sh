#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Last: fails the build, and says why, where the image holds what it must not, whoever left it there, has less than
# 1 GiB of room, or would not boot as it must.

set -eu
container_runtime=$(sed -n 's/^CONTAINER_RUNTIME=//p' /etc/kubernetes/images) # the scripts' library is gone by now
bad=0

wrong() {
    echo "not fit to be an image: $*" >&2
    bad=1
}

# absent WHAT PATH…: patterns that match nothing come here as they are.
absent() {
    what=$1
    shift
    for path; do
        if [ -e "$path" ] || [ -L "$path" ]; then wrong "$what: $path"; fi
    done
}

# none WHAT, with paths on stdin
none() {
    while read -r path; do
        wrong "$1: $path"
    done
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

[ -e /etc/machine-id ] || wrong "no /etc/machine-id: it must be there, and empty"
[ ! -s /etc/machine-id ] || wrong "identity: /etc/machine-id is not empty"
absent identity /var/lib/dbus/machine-id /var/lib/systemd/random-seed \
    /var/lib/systemd/credential.secret /etc/docker/key.json /var/lib/docker*/engine-id
absent "host key" /etc/ssh/ssh_host_*
absent "cloud-init's state" /var/lib/cloud/instance /var/lib/cloud/instances/* \
    /var/lib/cloud/data/* /var/lib/cloud/sem/* /etc/netplan/50-cloud-init.yaml
absent "an instance's own" /etc/kubernetes/stack-config.sh /srv/kubernetes/* /var/lib/kubelet/* \
    /var/lib/kubernetes/master/* /var/lib/docker*/containers/* /var/lib/cni/* \
    /var/lib/containerd/io.containerd.runtime.v2.task/*

for home in /root /home/*; do
    absent credentials "$home"/.ssh/* "$home/.aws" "$home/.docker" "$home/.kube" "$home/.netrc" \
        "$home/.bash_history"
done
grep -rIlE --exclude-dir=overlay2 -e '-----BEGIN ([A-Z]+ )*PRIVATE KEY' \
    -e '(^|[^A-Z0-9])A[KS]IA[A-Z2-7]{16}($|[^A-Z0-9])' /etc /root /home /opt /srv /usr/local \
    >"$work/keys" || [ $? -eq 1 ]
none credentials <"$work/keys"

find /var/log -type f -size +0 >"$work/logs"
none log <"$work/logs"
find /var/cache/apt /var/lib/apt/lists -type f ! -name lock >"$work/apt"
none cache <"$work/apt"
find /var/tmp -mindepth 1 -maxdepth 1 ! -name 'systemd-private-*' >"$work/uploads"
none "temporary file" <"$work/uploads"

enablement() {
    systemctl is-enabled "$1" 2>/dev/null || true # its status is that of what it says
}
for unit in docker.service docker.socket containerd.service etcd.service flanneld.service \
    docker-bootstrap.service kubelet.service; do
    [ "$(enablement "$unit")" != enabled ] || wrong "$unit would start at boot by itself"
done
[ "$(enablement kube-bootstrap.service)" = enabled ] || wrong "kube-bootstrap.service would not start"

# The keys at the top of the JSON object in a file; a word at any other depth is none.
json_keys() {
    awk '
        { text = text $0 "\n" }
        END {
            n = length(text)
            for (i = 1; i <= n; i++) {
                c = substr(text, i, 1)
                if (quoted && c == "\\") word = word substr(text, i++, 2)
                else if (quoted && c != "\"") word = word c
                else if (c == "\"") { if (!quoted) word = ""; quoted = !quoted }
                else if (c == ":" && depth == 1) print word
                else if (c == "{" || c == "[") depth++
                else if (c == "}" || c == "]") depth--
            }
        }' "$1"
}
# dockerd ends where a key is a flag, too. These are the flags of docker.service and of what kube-bootstrap adds to
# them (units/docker.service.d, render_docker_environment); bip excludes --bridge.
for key in $(json_keys /etc/docker/daemon.json); do
    case $key in
    hosts | containerd | bridge | bip | mtu | ip-masq | userland-proxy)
        wrong "/etc/docker/daemon.json sets $key, which kube-bootstrap passes as a flag: docker would not start"
        ;;
    exec-opts)
        wrong "/etc/docker/daemon.json sets $key, which kube-bootstrap passes as a flag: docker would not start." \
            "CGROUP_DRIVER in stack-config.sh names the cgroup driver"
        ;;
    esac
done

# Static pods are of kubelet's version: kubelet may not be newer than the API server.
# https://kubernetes.io/releases/version-skew-policy/
kubelet=$(kubelet --version)
minor=$(echo "${kubelet#Kubernetes }" | cut -d. -f1,2)
grep -E '^(APISERVER|CONTROLLER_MANAGER|SCHEDULER|PROXY)_IMAGE=' /etc/kubernetes/images >"$work/control-plane"
while IFS='=' read -r key image; do
    tag=${image%@*}
    tag=${tag##*:}
    [ "$(echo "v${tag#v}" | cut -d. -f1,2)" = "$minor" ] || wrong "$key is $image, but kubelet is $minor"
done <"$work/control-plane"

# kubelet does not start with swap.
if grep -s '^[^#]*[[:space:]]swap[[:space:]]' /etc/fstab >"$work/swaps"; then
    wrong "/etc/fstab has swap, with which kubelet does not start: $(cat "$work/swaps")"
fi
absent "swap, with which kubelet does not start" /etc/systemd/system/*.swap

# The modules of 20-kernel.sh are there for each kernel, as /lib/modules has them.
for folder in /lib/modules/*; do
    [ -e "$folder/modules.dep" ] || continue
    while read -r module; do
        modinfo --set-version "${folder##*/}" "$module" >"$work/module" 2>&1 ||
            wrong "kernel ${folder##*/} has no module $module"
    done </etc/modules-load.d/kubernetes.conf
done

if [ "$container_runtime" = containerd ]; then
    containerd --config /etc/containerd/config.toml config dump >"$work/containerd" 2>&1 ||
        wrong "containerd does not read /etc/containerd/config.toml: $(tail -n 1 "$work/containerd")"
    # It says "containerd MODULE VERSION". Pinned images are there from 1.7 on; kubelet asks for the cgroup driver, which
    # 2.0 and later tell, and goes without the answer up to 1.37 (kubelet_cri_losing_support).
    version=$(containerd --version | cut -d' ' -f3 | sed 's/^v//')
    dpkg --compare-versions "$version" ge 1.7 ||
        wrong "containerd $version does not keep the pause image from kubelet's collection, 1.7 and later do"
    dpkg --compare-versions "${minor#v}" lt 1.38 || dpkg --compare-versions "$version" ge 2.0 ||
        wrong "kubelet $minor needs containerd 2.0 or later, this is $version"
    for plugin in bridge host-local loopback portmap; do
        [ -x "/usr/lib/cni/$plugin" ] || wrong "/usr/lib/cni has no network plugin $plugin"
    done
    # kube-bootstrap passes both to kubelet where both are there; kubelet ends where the folder lacks a provider that the
    # configuration names.
    provider=/usr/libexec/kubernetes/credential-providers/ecr-credential-provider
    providers=/etc/kubernetes/credential-providers.json
    if grep -q '^ECR_PROVIDER_VERSION=.' /etc/kubernetes/images; then
        [ -x "$provider" ] || wrong "the list of images has ECR_PROVIDER_VERSION, but there is no program $provider"
        [ -s "$providers" ] || wrong "the list of images has ECR_PROVIDER_VERSION, but there is no $providers"
    fi
fi

# Where there is a kernel, all that the boot loader starts are told of the disks (23-disks.sh).
set -- /boot/vmlinuz-*
if [ -e "$1" ]; then
    grep -s '^[[:space:]]*linux[[:space:]]' /boot/grub/grub.cfg >"$work/starts" ||
        wrong "/boot/grub/grub.cfg starts no kernel"
    ! grep -qvw 'nvme_core\.io_timeout=4294967295' "$work/starts" ||
        wrong "/boot/grub/grub.cfg starts a kernel without nvme_core.io_timeout=4294967295"
fi

free=$(df --output=avail --block-size=1M / | tail -n 1)
[ "$free" -ge 1024 ] || wrong "$free MiB free, expected 1024 at least: give the builder a larger disk"

exit $bad
