#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Stops the build, before the scripts after this one download anything, where something of it has no pin (pins.sh), and
# names all of that.

set -eu
: "${PROVISION_LIB:=$(dirname "$0")/../lib}"
# shellcheck source=packer/lib/runtime.sh
. "$PROVISION_LIB/runtime.sh"
# shellcheck source=packer/lib/pins.sh
. "$PROVISION_LIB/pins.sh"

{
    images_to_pull
    files_to_download "$(dpkg --print-architecture)"
} | need_pins
