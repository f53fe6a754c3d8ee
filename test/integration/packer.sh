#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2317 # called through claim()
# The AMI's template as Debian 12's Packer reads it, and that the lab's image is made as it says. TAP.
set -u
# shellcheck source=test/lab/images/lib.sh
. "$(dirname "$0")/../lab/images/lib.sh"
cd "$tree" || exit 1

n=0 failed=0
claim() { # WHAT COMMAND…
    local what=$1 said
    shift
    n=$((n + 1))
    if said=$("$@" 2>&1); then
        echo "ok $n - $what"
    else
        failed=1
        printf '%s\n' "$said" | sed 's/^/# /'
        echo "not ok $n - $what"
    fi
}
same() { diff -u <(printf '%s\n' "$1") <(printf '%s\n' "$2"); }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
: >"$work/kube-bootstrap.deb"
mkdir "$work/airgap"

validate() { packer validate -var daemon_deb="$work/kube-bootstrap.deb" "$@" packer/kubernetes.pkr.hcl; }
refused() { # WORD OPTION…: not valid, for this reason
    local word=$1 said
    shift
    said=$(validate "$@" 2>&1) && return 1
    [[ $said == *"$word"* ]] || { echo "$said"; return 1; }
}

claim "the template has packer's own format" packer fmt -check packer
for debian in 12 13; do
    for architecture in amd64 arm64; do
        claim "packer validate: Debian $debian on $architecture" \
            validate -var debian=$debian -var architecture=$architecture
    done
done
claim "packer validate: an air-gapped build" validate -var airgap_folder="$work/airgap" \
    -var debian_mirror=http://mirror.example/debian
claim "a folder that is not there is refused" refused "Bad source" -var airgap_folder="$work/none"
claim "another release of Debian is refused" refused "must be 12 or 13" -var debian=11
claim "another architecture is refused" refused "must be amd64" -var architecture=i386
claim "a Kubernetes without its v is refused" refused "must look like" -var kubernetes_version=1.20.2
claim "every variable is described" same "$(grep -c '^variable' packer/kubernetes.pkr.hcl)" \
    "$(grep -c '^  description' packer/kubernetes.pkr.hcl)"

inspected=$(packer inspect -var daemon_deb="$work/kube-bootstrap.deb" packer/kubernetes.pkr.hcl)
of_template=$(sed -n 's/^local.scripts: //p' <<<"$inspected" | grep -o 'packer/provision/[^\\]*')
of_lab=$(for part in instance-base instance-images instance-root; do
    # shellcheck disable=SC2016 # a pattern
    read -r from to < <(sed -n 's/^provision "$work\/root" \([0-9]*\) \([0-9]*\).*/\1 \2/p' "$images/$part")
    stage "$from" "$to"
done)
claim "the lab's image is made by the template's scripts, in its order" same "$of_template" "$of_lab"
claim "which are all that there are" same "$of_template" "$(printf '%s\n' packer/provision/*)"
claim "the control plane in conf/images is of the version that kubelet is" same \
    "$(sed -n 's/^var.kubernetes_version: "\(.*\)"/\1/p' <<<"$inspected")" \
    "$(sed -n 's/^APISERVER_IMAGE=.*://p' conf/images)"

echo "1..$n"
exit $failed
