#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# To be sourced: one daemon run by hand, for its store of images. It ends with the script.

daemon_work=$(mktemp -d)
daemon_pid=
trap 'stop_daemon; rm -rf "$daemon_work"' EXIT

# start_daemon CLIENT PROGRAM [ARGUMENT…]: starts the program, and waits until "CLIENT version" is answered.
start_daemon() {
    daemon_client=$1
    shift
    "$@" >"$daemon_work/log" 2>&1 &
    daemon_pid=$!

    tries=0
    until "$daemon_client" version >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ "$tries" -gt 300 ] || ! kill -0 "$daemon_pid"; then
            tail -n 20 "$daemon_work/log" >&2
            echo "$1 does not start" >&2
            exit 1
        fi
        sleep 0.2
    done
}

stop_daemon() {
    [ -n "$daemon_pid" ] || return 0
    kill "$daemon_pid"
    wait "$daemon_pid" || true # its status is of no interest: what it stored was asked for by name
    daemon_pid=
}
