#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# To be sourced: a docker of one's own, run by hand on a data root. What has been started ends with
# the script.

docker_work=$(mktemp -d)
docker_pid=
trap 'stop_docker; rm -rf "$docker_work"' EXIT

# start_docker DATA_ROOT: one at a time, with nothing but a store: its configuration is of no concern
# here, and it shall leave no network behind. DOCKER_HOST names it to the client.
start_docker() {
    export DOCKER_HOST="unix://$docker_work/sock"
    echo '{}' >"$docker_work/daemon.json"
    dockerd --config-file="$docker_work/daemon.json" --data-root="$1" \
        --exec-root="$docker_work/exec" --pidfile="$docker_work/pid" --host="$DOCKER_HOST" \
        --storage-driver=overlay2 --bridge=none --iptables=false --ip-forward=false \
        >"$docker_work/log" 2>&1 &
    docker_pid=$!

    tries=0
    until docker version >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ "$tries" -gt 300 ] || ! kill -0 "$docker_pid"; then
            tail -n 20 "$docker_work/log" >&2
            echo "dockerd does not start" >&2
            exit 1
        fi
        sleep 0.2
    done
}

stop_docker() {
    [ -n "$docker_pid" ] || return 0
    kill "$docker_pid"
    wait "$docker_pid" || true # its status is of no interest: what it stored was asked for by name
    docker_pid=
}
