#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Formatting on real loop devices: what is not proven blank, or known to be new, keeps every byte, and a
# mkfs killed anywhere is taken up again. TAP. Needs root and strace; drives test_filesystem as a tool.
# shellcheck disable=SC2030,SC2031 # aside() has a folder and a volume of its own
set -u
cd "$(dirname "$0")/../.." || exit 1

LABEL=kb-0123456789ab
n=0 failed=0
ok() { n=$((n + 1)) && echo "ok $n - $1"; }
not_ok() { n=$((n + 1)) failed=$((failed + 1)) && echo "not ok $n - $1" && shift && printf '# %s\n' "$@"; }
skip() { n=$((n + 1)) && echo "ok $n - $1 # SKIP $2"; }
plan() { echo "1..$n" && [ "$failed" -eq 0 ]; }

if [ "$(id -u)" != 0 ]; then
    skip "formatting on loop devices" "needs root"
    plan
    exit
fi
if [ -z "${DISKS_INSIDE:-}" ]; then
    # Mounts of the test are nobody else's, and go with it.
    DISKS_INSIDE=1 exec unshare --mount --propagation private "$0"
fi

tool=${DISK_TOOL:-build/${VARIANT:-debug}/unit/test_filesystem}
[ -n "${DISK_TOOL:-}" ] || make -s VARIANT="${VARIANT:-debug}" "$tool" || exit 1
work=$(mktemp -d)
mount -t tmpfs disks "$work" || exit 1 # fsync costs nothing there
loop=
new_volume() { # of this run alone: two disks of one volume are refused
    VOLUME=vol-0$(od -An -N8 -tx8 /dev/urandom | tr -d " ")
    image=$work/$VOLUME.img
}
new_volume
detach() {
    [ -z "$loop" ] || losetup --detach "$loop"
    loop=
}
cleanup() {
    trap - EXIT
    for pid in "${!asides[@]}"; do kill "$pid" 2>/dev/null && wait "$pid"; done
    mountpoint -q "$work/mnt" && umount "$work/mnt"
    detach
    mountpoint -q "$work/full" && umount "$work/full"
    umount "$work"
    rmdir "$work"
}
asides=() # by the process: where its cases are
trap cleanup EXIT
trap 'exit 130' INT TERM

# Runs cases at the same time as what follows, with a volume of their own; tell_asides() shows them.
aside() { # COMMAND...
    local place=$work/aside${#asides[@]}
    mkdir "$place"
    (
        trap detach EXIT
        trap 'exit 130' INT TERM
        work=$place loop=
        new_volume
        "$@"
    ) >"$place/cases" &
    asides[$!]=$place/cases
}
tell_asides() {
    local pid line
    for pid in "${!asides[@]}"; do
        wait "$pid" || not_ok "${asides[$pid]#"$work"/} ends" "status $?"
        while IFS= read -r line; do
            case $line in
            "ok "*) ok "${line#ok * - }" ;;
            "not ok "*) not_ok "${line#not ok * - }" ;;
            *) echo "$line" ;;
            esac
        done <"${asides[$pid]}"
        unset "asides[$pid]"
    done
}

# A volume of so many MiB, all zero.
fresh() {
    detach
    rm -f "$image"
    truncate -s "$1M" "$image"
    loop=$(losetup --find --show "$image") || exit 1
}
# An encrypted volume that nobody has written: random at its ends, where a signature would be.
fresh_noise() {
    fresh "$1"
    head -c 4M /dev/urandom >"$loop"
    head -c 4M /dev/urandom | dd of="$loop" bs=1M seek=$(($1 - 4)) status=none
}
run() { # VERB
    said=$("$tool" "$1" "$loop" "$VOLUME" "$LABEL" 2>/dev/null)
}
sum() { sha256sum <"$loop"; }
# The blocks of 512 bytes that were ever written: the image's, which is in a tmpfs, once the device is synced.
blocks_written() {
    sync "$loop"
    stat -c %b "$image"
}
is_whole() {
    run probe
    [[ $said == "ours: "* ]] && e2fsck -fn "$loop" >"$work/fsck" 2>&1 &&
        cmp -s -n $((1 << 20)) <(tail -c 1M "$loop") /dev/zero
}

# --- a blank volume
fresh 300
run probe
if [ "$said" = "blank: nothing" ] && run format && is_whole; then
    ok "a blank volume is formatted, and the marker is gone"
else
    not_ok "a blank volume is formatted, and the marker is gone" "$said"
fi
before=$(sum)
if run format && [ "$(sum)" = "$before" ]; then
    ok "a volume that is ours is left alone"
else
    not_ok "a volume that is ours is left alone" "$said"
fi

fresh_noise 300
run probe
if [ "$said" = "noise: random bytes from byte 0 on" ] && run format-noise && is_whole; then
    ok "a volume of noise that is known to be new is formatted"
else
    not_ok "a volume of noise that is known to be new is formatted" "$said"
fi

# --- what is written is on the disk before the next step, as a power cut wants it
syncs() { # VERB FRESH CALLS: those of the tool itself, and mkfs in between
    local calls
    "$2" 64
    strace -f -qq -e signal=none -o "$work/calls" -e trace=pwrite64,fsync,execve "$tool" "$1" "$loop" "$VOLUME" "$LABEL" >/dev/null 2>&1
    calls=$(awk 'NR == 1 { tool = $1; next } /execve/ { print "mkfs" } $1 == tool { sub(/\(.*/, ""); print $2 }' "$work/calls" | xargs)
    if [ "$calls" = "$3" ]; then
        ok "$1 syncs before mkfs and after it"
    else
        not_ok "$1 syncs before mkfs and after it" "$calls, expected $3"
    fi
}
# Before it looks; after each write: marker and mkfs, what mkfs made and the marker's end.
syncs format fresh "fsync pwrite64 fsync mkfs fsync pwrite64 fsync"
# also after the zeros at both ends
syncs format-noise fresh_noise "fsync pwrite64 fsync pwrite64 fsync pwrite64 fsync mkfs fsync pwrite64 fsync"

# --- anything else: refused, named, unchanged
refuses() { # NAME, WHAT THE REFUSAL SAYS, CONTENT (foreign)
    local before content=${3:-foreign}
    sync
    before=$(sum)
    run probe
    local probed=$said
    if [[ $probed != "$content: "*"$2"* ]]; then
        not_ok "$1 is $content" "$probed"
    elif run format; then
        not_ok "$1 is refused" "format succeeded"
    elif [[ $said != "unsafe: "*"$2"* ]]; then
        not_ok "$1 is refused" "$said"
    elif [ "$(sum)" != "$before" ]; then
        not_ok "$1 keeps every byte" "the device has changed"
    else
        ok "$1 is refused by its name and keeps every byte"
    fi
}
made_by() { # NAME, WHAT, MIB, COMMAND... (CONTENT in the environment)
    local name=$1 what=$2
    fresh "$3"
    shift 3
    if ! command -v "$1" >/dev/null; then
        skip "$name is refused" "$1 is not installed"
    elif ! "$@" "$loop" >"$work/made" 2>&1; then
        not_ok "$name is made" "$(tail -1 "$work/made")"
    else
        refuses "$name" "$what" "${CONTENT:-}"
    fi
}
luks() { printf secret | cryptsetup -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --key-file - luksFormat "$1"; }
mbr() { echo 'start=2048, type=83' | sfdisk -q --no-reread --no-tell-kernel "$1"; }
random() { head -c 4M /dev/urandom >"$1"; }
byte_at() { printf x | dd of="$2" bs=1 seek="$1" conv=notrunc status=none; }

made_by "ext4 of another cluster" 'ext4 labelled "kb-other"' 64 mkfs.ext4 -q -L kb-other
made_by "ext4 without a label" "ext4 (UUID" 64 mkfs.ext4 -q
made_by "xfs" "xfs" 320 mkfs.xfs -q
made_by "btrfs" "btrfs" 256 mkfs.btrfs -q
made_by "vfat" "vfat" 64 mkfs.vfat -I
made_by "swap" "swap" 64 mkswap -q
if command -v cryptsetup >/dev/null; then
    made_by "LUKS" "crypto_LUKS" 64 luks
else
    skip "LUKS is refused" "cryptsetup is not installed"
fi
if command -v pvcreate >/dev/null && [ -e /dev/mapper/control ]; then
    made_by "an LVM physical volume" "LVM2_member" 64 pvcreate -q
else
    skip "an LVM physical volume is refused" "needs pvcreate and device mapper (the unit test makes one)"
fi
made_by "a GPT" "partition table (gpt)" 64 sgdisk -n 1
made_by "an MBR" "partition table (dos)" 64 mbr
CONTENT=noise made_by "random data" "random bytes from byte" 64 random
CONTENT=unrecognised made_by "one byte in the first MiB" "data at byte 1000000" 64 byte_at 1000000
CONTENT=unrecognised made_by "one byte in the last MiB" "data at byte 67108863" 64 byte_at 67108863

# --- a disk that cannot be read, is in use, is locked, is another
fresh 64
truncate -s 8M "$image" # the loop device keeps its size: its end cannot be read
run probe
probed=$said
run format
if [[ $probed == "retry: "*"read "* && $said == "retry: "*"read "* ]]; then
    ok "a volume whose end cannot be read is an error, not blank"
else
    not_ok "a volume whose end cannot be read is an error, not blank" "$probed" "$said"
fi

fresh 64
mkfs.ext4 -q -L data "$loop" && mkdir -p "$work/mnt" && mount "$loop" "$work/mnt"
if ! run format && [[ $said == *"in use"* ]]; then
    ok "a mounted volume is refused"
else
    not_ok "a mounted volume is refused" "$said"
fi
umount "$work/mnt"

fresh 64
mkfifo "$work/unlock"
flock --shared "$loop" sh -c "touch '$work/locked'; read -r _ <'$work/unlock'" &
until [ -e "$work/locked" ]; do sleep 0.05; done
strace -qq -o "$work/calls" -e trace=flock "$tool" format "$loop" "$VOLUME" "$LABEL" >"$work/said" 2>&1 &
until grep -q EAGAIN "$work/calls" 2>/dev/null || ! kill -0 $! 2>/dev/null; do sleep 0.05; done
before=$(blocks_written)
echo >"$work/unlock"
if wait $! && grep -q EAGAIN "$work/calls" && [ "$before" = 0 ] && is_whole; then
    ok "a volume that another program has locked is waited for"
else
    not_ok "a volume that another program has locked is waited for" "$(tail -1 "$work/said")"
fi

mkdir "$work/full" && mount -t tmpfs -o size=1500k full "$work/full" # writing to the disk fails before long
detach
truncate -s 64M "$work/full/$VOLUME.img"
loop=$(losetup --find --show "$work/full/$VOLUME.img")
run format
if [[ $said == "retry: mkfs.ext4 $loop: exit status "*[Ee]rror* ]]; then
    ok "an mkfs that fails is told in its own words"
else
    not_ok "an mkfs that fails is told in its own words" "$said"
fi
detach
umount "$work/full"

fresh 64
detach
other=$work/vol-0bbbbbbbbbbbbbbb2.img
truncate -s 64M "$other"
loop=$(losetup --find --show "$other")
run format
if [ "$said" = absent ] && cmp -s -n $((64 << 20)) "$other" /dev/zero; then
    ok "another volume under the same node is not touched"
else
    not_ok "another volume under the same node is not touched" "$said"
fi
detach
rm -f "$other"

# --- killed anywhere
# Each entry: the program is killed as it enters its N-th such call, N = 1, 2, ... until it gets
# through; the calls of mkfs as well as our own, each counted by itself.
survives() { # SYSCALL [VERB FRESH]
    local call=$1 verb=${2:-format} fresh=${3:-fresh} i states='' status
    "$fresh" 200
    for ((i = 1; i < 400; i++)); do
        KILL_AT=$call:$i "$tool" "$verb" "$loop" "$VOLUME" "$LABEL" >/dev/null 2>&1
        status=$?
        if [ "$status" -ne 0 ] && [ "$(blocks_written)" = 0 ]; then
            states+=$'untouched\n' # killed before it wrote: the disk is the one that it was
            continue
        fi
        run probe
        states+="${said%%:*}"$'\n'
        case $said in
        blank:* | noise:* | interrupted:* | ours:*) ;;
        *)
            not_ok "format killed at $call $i is recognised" "$said"
            return
            ;;
        esac
        if [[ $said == ours:* ]] && ! is_whole; then
            not_ok "format killed at $call $i: what is called ours is whole" "$(cat "$work/fsck")"
            return
        fi
        if ! run "$verb" || ! is_whole; then
            not_ok "format killed at $call $i is taken up again" "$said"
            return
        fi
        [ "$status" -ne 0 ] || break
        "$fresh" 200
    done
    if [ "$status" -ne 0 ]; then
        not_ok "format gets through $call in the end" "status $status after $i tries"
    elif [ "$i" -lt 3 ]; then
        not_ok "format is killed at each $call" "only $i calls seen"
    else
        ok "$verb killed at each of $((i - 1)) $call calls is recognised and taken up again"
        printf %s "$states" | sort | uniq -c | sed 's/^ *\([0-9]*\) \(.*\)/# \1 times found \2/'
    fi
}

# Killed alone at each write of mkfs, which dies with it (PR_SET_PDEATHSIG): without its superblock, which comes last.
dies_with_the_tool() {
    local name="mkfs dies with a format that is killed" i met=0 status
    for ((i = 2; i < 400; i++)); do # the first write is the marker
        fresh 200
        KILL_AT=pwrite64:$i:tool "$tool" format "$loop" "$VOLUME" "$LABEL" >/dev/null 2>&1
        status=$?
        [ $status -ne 0 ] || break
        run probe
        if [[ $said != interrupted:* || $(od -An -tx1 -j $((1024 + 0x38)) -N 2 "$loop") == " 53 ef" ]]; then
            not_ok "$name" "write $i: mkfs went on; $said"
            return
        fi
        if ! run format || ! is_whole; then
            not_ok "$name" "write $i: not taken up again; $said"
            return
        fi
        met=$((met + 1))
    done
    if [ $status -eq 0 ] && [ $met -ge 25 ]; then
        ok "$name at each of its $met writes, and is taken up again"
    else
        not_ok "$name" "status $status after it was met $met times"
    fi
}
aside survives openat
aside survives close
aside survives pwrite64
aside survives pwrite64 format-noise fresh_noise
aside survives fsync
aside survives fallocate
aside dies_with_the_tool

# --- a marker does not make another's data ours
fresh 200
KILL_AT=fallocate:1 "$tool" format "$loop" "$VOLUME" "$LABEL" >/dev/null 2>&1
run probe
if [[ $said == interrupted:* ]]; then
    mkfs.ext4 -q -F -L data -E nodiscard "$loop" 10000
    refuses "a filesystem that somebody made over our interrupted one" "ext4 labelled \"data\""
else
    not_ok "an mkfs that was interrupted is recognised" "$said"
fi

# --- check and grow
fresh 300
run format
if run check; then
    ok "a whole filesystem passes the check"
else
    not_ok "a whole filesystem passes the check" "$said"
fi
{
    debugfs -w -R "clri <2>" "$loop"          # the root folder
    debugfs -w -R "ssv state 0" "$loop" # not unmounted cleanly: e2fsck looks closely
} >/dev/null 2>&1
if ! run check && [[ $said == "unsafe: e2fsck"*"exit status 4"* ]]; then
    ok "errors that need a person stop the boot"
else
    not_ok "errors that need a person stop the boot" "$said"
fi

fresh 300
run format
run can-grow
small=$said
truncate -s 800M "$image"
losetup --set-capacity "$loop"
run can-grow
if [ "$small $said" = "no yes" ]; then
    ok "a volume that has grown is noticed"
else
    not_ok "a volume that has grown is noticed" "$small $said"
fi
mkdir -p "$work/mnt" && mount "$loop" "$work/mnt" && echo kept >"$work/mnt/file"
capabilities=$(sed -n 's/^CapEff:\t*//p' /proc/self/status)
if (((16#$capabilities >> 24 & 1) == 0)); then
    skip "a mounted filesystem grows to its device" "ext4 wants CAP_SYS_RESOURCE for that"
elif run grow && run can-grow && [ "$said" = no ] && [ "$(cat "$work/mnt/file")" = kept ]; then
    ok "a mounted filesystem grows to its device"
else
    not_ok "a mounted filesystem grows to its device" "$said"
fi
umount "$work/mnt"

tell_asides
plan
