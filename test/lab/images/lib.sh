#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What the scripts of this folder share: a cache of things that are slow to make. Each thing is
# remade only if the hash of its inputs changed, is built aside and renamed into place, and has its
# hash written last: an interrupted build leaves either the old thing or none, never half a one.

set -euo pipefail
umask 022
export LC_ALL=C DEBIAN_FRONTEND=noninteractive PYTHONDONTWRITEBYTECODE=1

LAB_CACHE=${LAB_CACHE:-/var/cache/kube-bootstrap-lab}
LAB_MIRROR=${LAB_MIRROR:-http://deb.debian.org/debian}

tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
# shellcheck disable=SC2034 # for those who source this
images=$tree/test/lab/images keyring=/usr/share/keyrings/debian-archive-keyring.gpg

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# need_packages NAME…: installs what is missing on this machine. Its package lists are fetched only
# when that fails.
need_packages() {
    local name state missing=()

    for name in "$@"; do
        state=$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null) || true
        [ "$state" = installed ] || missing+=("$name")
    done
    [ ${#missing[@]} -gt 0 ] || return 0

    mkdir -p "$LAB_CACHE"
    (
        flock 9 # two builds side by side
        apt_install "${missing[@]}" || { apt-get -q update && apt_install "${missing[@]}"; }
    ) 9>"$LAB_CACHE/.apt.lock"
}

apt_install() {
    apt-get -qq -o DPkg::Lock::Timeout=600 --no-install-recommends -y install "$@" </dev/null
}

# hash_inputs PATH…: one hash over names, modes and contents of files and folders, and over what is
# read on stdin.
hash_inputs() {
    {
        cat
        tar -C "$tree" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf - "$@"
    } | sha256sum | cut -d' ' -f1
}

hash_file() {
    echo "$LAB_CACHE/.hash/${1//\//-}"
}

# is_current NAME HASH: NAME is in the cache, made from these inputs.
is_current() {
    local file

    file=$(hash_file "$1")
    [ -e "$LAB_CACHE/$1" ] && [ -e "$file" ] && [ "$(<"$file")" = "$2" ]
}

# in_use NAME: something is mounted from it, as an instance's root is, or has its root there.
in_use() {
    grep -qsE "[ :=]$LAB_CACHE/$1[ :,/]" /proc/[0-9]*/mountinfo ||
        grep -qxF "$LAB_CACHE/$1" <(readlink /proc/[0-9]*/root)
}

# begin NAME: an empty folder to build in, $work, which is gone when the script ends, however it
# ends. What is in use is not pulled from under its users.
begin() {
    ! in_use "$1" || die "$LAB_CACHE/$1 would be replaced, but is in use: end the lab first"
    work=$LAB_CACHE/.work/${1//\//-}
    discard "$work"
    mkdir -p "$work" "$LAB_CACHE/.hash"
    trap 'discard "$work"' EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

# commit NAME HASH RESULT: puts RESULT (in $work) into the cache as NAME.
commit() {
    local file

    file=$(hash_file "$1")
    rm -f "$file"
    mkdir -p "$(dirname "$LAB_CACHE/$1")"
    [ ! -e "$LAB_CACHE/$1" ] || mv -T "$LAB_CACHE/$1" "$work/old"
    mv -T "$3" "$LAB_CACHE/$1"
    echo "$2" >"$file"
}

# discard PATH: never follows a mount that something left below.
discard() {
    [ ! -e "$1" ] || rm -rf --one-file-system "$1"
}

# private COMMAND…: mounts that COMMAND makes vanish with it.
private() {
    unshare --mount --propagation private "$@"
}

# in_root ROOT COMMAND…: runs COMMAND in ROOT, with /proc, /sys and /dev there, /run and /tmp empty,
# the tree at /run/tree and the cache at /run/cache. Mounts and processes that it leaves behind
# vanish with it.
in_root() {
    # shellcheck disable=SC2016 # expanded by the inner shell
    unshare --mount --propagation private --pid --fork --kill-child /bin/sh -euc '
        root=$1 tree=$2 cache=$3
        shift 3
        mount --bind "$root" "$root" # docker unpacks images only where / is a mount point
        mount -t proc proc "$root/proc"
        mount --rbind /sys "$root/sys"
        mount --rbind /dev "$root/dev"
        mount -t tmpfs tmpfs "$root/run"
        mount -t tmpfs tmpfs "$root/tmp"
        mkdir "$root/run/tree" "$root/run/cache"
        mount --bind -o ro "$tree" "$root/run/tree"
        mount --bind -o ro "$cache" "$root/run/cache"
        exec env PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" "$@"
    ' in_root "$1" "$tree" "$LAB_CACHE" "${@:2}"
}

# stage FROM TO: the provisioning scripts of these numbers, in the order in which packer's template
# runs all of them.
stage() {
    local script number

    for script in "$tree"/packer/provision/*.sh; do
        number=${script##*/}
        number=${number%%-*}
        [[ ! $number < $1 && ! $number > $2 ]] && echo "packer/provision/${script##*/}"
    done
    return 0
}

# provision ROOT FROM TO [NAME=VALUE…]: runs those scripts in ROOT.
provision() {
    local script

    for script in $(stage "$2" "$3"); do
        echo "provision: ${script##*/}"
        in_root "$1" env "${@:4}" "/run/tree/$script"
    done
}
