#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# To be sourced: a docker of one's own, run by hand on a data root (daemon.sh).

# shellcheck source=packer/lib/daemon.sh
. "$PROVISION_LIB/daemon.sh"

# start_docker DATA_ROOT: one at a time, with nothing but a store: its configuration is of no concern
# here, and it shall leave no network behind. DOCKER_HOST names it to the client.
start_docker() {
    export DOCKER_HOST="unix://$daemon_work/sock"
    echo '{}' >"$daemon_work/daemon.json"
    start_daemon docker dockerd --config-file="$daemon_work/daemon.json" --data-root="$1" \
        --exec-root="$daemon_work/exec" --pidfile="$daemon_work/pid" --host="$DOCKER_HOST" \
        --storage-driver=overlay2 --bridge=none --iptables=false --ip-forward=false
}

# pull IMAGE: that of its pin, under its name (pins.sh).
pull() {
    echo "$1" | need_pins
    sum=$(pin_of "$1")
    docker pull --quiet "$1${sum:+@sha256:$sum}"
    [ -z "$sum" ] || docker tag "$1@sha256:$sum" "$1"
}
