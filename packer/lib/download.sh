#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# To be sourced: a file of a project's site, with its checksum.

# download URL FILE ENDING: ends the script unless the file's SHA-256 is the first word of URL and ENDING together.
download() {
    curl -fsSL --retry 5 -o "$2" "$1"
    sum=$(curl -fsSL --retry 5 "$1$3")
    echo "${sum%% *}  $2" | sha256sum --check --quiet
}
