#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# To be sourced: a file of a project's site, with its checksum.

# shellcheck source=packer/lib/pins.sh
. "$PROVISION_LIB/pins.sh"

# fetch URL…: curl's own words and nothing else where it fails
fetch() {
    curl -fsSL --retry 5 "$@"
}

# published_sum URL: the checksum beside it, which is the first word there.
published_sum() {
    published=$(fetch "$(checksum_of "$1")")
    echo "${published%% *}"
}

# download URL FILE: ends the script unless the file's SHA-256 is its pin. With UNPINNED=true and no pin, the one that the
# site publishes.
download() {
    echo "$1" | need_pins
    sum=$(pin_of "$1")
    [ -n "$sum" ] || sum=$(published_sum "$1")
    fetch -o "$2" "$1"
    echo "$sum  $2" | sha256sum --check --quiet
}
