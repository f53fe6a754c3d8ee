#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# To be sourced: what the AMI's list of images says (list.sh), the one that is in the AMI already or the one that will be
# (see 40-configuration.sh). PINS is the file beside the latter, which is not in the AMI (pins.sh).

: "${CONF_DIR:=$(dirname "$0")/../../conf}"
: "${IMAGES_LIST:=$CONF_DIR/images}" "${PINS:=$IMAGES_LIST.sha256}"
[ ! -e /etc/kubernetes/images ] || IMAGES_LIST=/etc/kubernetes/images
# shellcheck source=packer/lib/list.sh
. "$PROVISION_LIB/list.sh"
