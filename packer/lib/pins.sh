#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# To be sourced, after list.sh: the pins of what a build of the list downloads (names.sh), which are in the file PINS, as
# packer/pin writes it: for an image the digest of its manifest, for a file its SHA-256. No file: nothing is pinned.

# shellcheck source=packer/lib/names.sh
. "$PROVISION_LIB/names.sh"

if [ -e "$PINS" ] && grep -nvE '^[0-9a-f]{64}  [^ ]+$' "$PINS" >&2; then
    echo "$PINS: expected lines of 64 hexadecimal digits, two spaces and a name, as packer/pin writes them" >&2
    exit 1
fi

# pin_of NAME: nothing where it has none.
pin_of() (
    [ -e "$PINS" ] || return 0
    while read -r sum name; do
        [ "$name" != "$1" ] || echo "$sum"
    done <"$PINS"
)

# need_pins: ends the script where a name on stdin has no pin and UNPINNED is not true. An image whose name in the list has
# its digest is pinned there.
need_pins() {
    [ "${UNPINNED:-}" != true ] || return 0
    without=$(while read -r name; do
        case $name in
        *@sha256:*) ;;
        *) [ -n "$(pin_of "$name")" ] || echo "    $name" ;;
        esac
    done)
    [ -n "$without" ] || return 0
    cat >&2 <<END
$PINS has no checksum of
$without
Write them there with packer/pin, or build with -var unpinned=true, which trusts what registries and sites say at the time.
END
    exit 1
}
