#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What the scripts share that build upstream's programs from a Go module: flanneld, kubernetes-now,
# etcd, containerd, cni, coredns. The programs go into the folder of the cache that has the script's
# name, with their version in the file "version".

# shellcheck source=test/lab/images/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=test/lab/images/toolchain
. "$images/toolchain"
name=${0##*/} go=$LAB_CACHE/go/$go_version/bin/go

# open_module FOLDER MODULE [PACKAGE…]: ends the script if the cache has the programs of these inputs.
# Otherwise installs Debian's packages, goes to a copy of ../modules/FOLDER, and sets $version to the
# one that it pins MODULE to.
open_module() {
    [ -x "$go" ] || die "make go first"
    hash=$(echo "$(dpkg --print-architecture) $(<"$(hash_file "go/$go_version")")" |
        hash_inputs "test/lab/images/$name" test/lab/images/module.sh "test/lab/modules/$1")
    ! is_current "$name" "$hash" || exit 0

    need_packages ca-certificates "${@:3}"
    begin "$name"
    cp -r "$tree/test/lab/modules/$1" "$work/module"
    mkdir "$work/result"
    cd "$work/module"
    export GOPATH=$work/gopath GOCACHE=$work/gocache GOFLAGS="-modcacherw -trimpath" GOTOOLCHAIN=local
    export CGO_ENABLED=0 # a program that needs no C library runs in any image
    version=$("$go" list -m -f '{{.Version}}' "$2")
}

# compile PACKAGE [FLAG…]: compiles a program, with these flags for the linker. The package "tool"
# stands for all tools that go.mod names; what they share is compiled once.
compile() {
    nice "$go" build -o "$work/result/" -ldflags "-s -w ${*:2}" "$1"
}

# check PROGRAM [WORD…]: fails unless PROGRAM, called with these words, states the version.
check() {
    local stated number=${version#v}

    stated=$("$work/result/$1" "${@:2}" 2>&1) || die "$1 failed: $stated"
    [[ " $stated " =~ [^0-9.]${number//./[.]}[^0-9.-] ]] || die "the $1 built is \"$stated\", not $version"
}

# close_module: puts the programs into the cache.
close_module() {
    echo "$version" >"$work/result/version"
    commit "$name" "$hash" "$work/result"
}
