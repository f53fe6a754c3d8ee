#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The units as systemd reads them: sound, and in no ordering cycle with cloud-init's, of Debian 12 and 13.
# And a boot without stack-config.sh, which is what a user-data script makes, ends at once. TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1

n=0 failed=0
ok() { n=$((n + 1)) && echo "ok $n - $1"; }
not_ok() { n=$((n + 1)) failed=$((failed + 1)) && echo "not ok $n - $1" && shift && printf '%s\n' "$@" | sed 's/^/# /'; }
skip() { n=$((n + 1)) && echo "ok $n - $1 # SKIP $2"; }
plan() { echo "1..$n" && [ "$failed" -eq 0 ]; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# As systemctl enable would, which wants more of a root filesystem than units.
enable() { # ROOT UNIT…
    local root=$1 unit
    shift
    for unit; do
        sed -n 's/^WantedBy=//p' "$root/lib/systemd/system/$unit" | while read -r target; do
            mkdir -p "$root/etc/systemd/system/$target.wants"
            ln -sf "/lib/systemd/system/$unit" "$root/etc/systemd/system/$target.wants/$unit"
        done
    done
}

# A root of nothing but units and the names of programs, with cloud-init's units of a suite enabled as its
# generator does.
make_root() { # SUITE ROOT
    local units=$2/lib/systemd/system p
    mkdir -p "$units/docker.service.d" "$2/etc/systemd/system/multi-user.target.wants"
    test/tools/unpack bookworm systemd "$work/systemd" >/dev/null && cp -a "$work/systemd/lib/systemd/system/." "$units" || return 1
    test/tools/unpack "$1" cloud-init "$work/cloud-init-$1" >"$2/version" || return 1
    cp -a "$work/cloud-init-$1"{,/usr}/lib/systemd/system/cloud* "$units" 2>/dev/null
    ls "$units"/cloud-init*.service >/dev/null || return 1
    cp units/*.service "$units" && cp units/docker.service.d/*.conf "$units/docker.service.d" || return 1
    # the daemon makes this mount; its unit is systemd's, from the mount table
    printf '[Mount]\nWhat=/dev/null\nWhere=/var/lib/kubernetes/master\n' >"$units/var-lib-kubernetes-master.mount"
    printf '[Service]\nExecStart=/bin/true\n' | tee "$units/docker.service" >"$units/containerd.service"
    for p in bin/true bin/kill bin/rm usr/sbin/kube-bootstrap usr/sbin/dockerd usr/bin/docker usr/bin/kubelet; do
        mkdir -p "$2/${p%/*}" && printf '#!/bin/sh\n' >"$2/$p" && chmod +x "$2/$p"
    done
    ln -s /lib/systemd/system/cloud-init.target "$2/etc/systemd/system/multi-user.target.wants"
    (cd "$units" && ls cloud-*.service) | grep -v hotplug | while read -r p; do enable "$2" "$p"; done
    enable "$2" systemd-networkd.service systemd-networkd-wait-online.service
}

verify() { # ROOT UNIT: what systemd has to say, none if it is sound
    systemd-analyze verify --man=no --root="$1" "$2" 2>&1
}

without_cycle() { # SUITE
    local root=$work/root-$1 said
    if ! make_root "$1" "$root"; then
        skip "no ordering cycle with cloud-init of $1" "its packages cannot be had"
        return
    fi
    local version
    version=$(cat "$root/version")
    enable "$root" kube-bootstrap.service
    said=$(verify "$root" multi-user.target)
    case $said in
    *cycle*) not_ok "no ordering cycle with cloud-init $version" "$said" ;;
    *) ok "no ordering cycle with cloud-init $version" ;;
    esac
    # the same check on what earlier programs of this kind shipped
    sed -i -e '/^DefaultDependencies=no/d' -e 's/cloud-init-network.service/cloud-final.service/' \
        "$root/lib/systemd/system/kube-bootstrap.service"
    said=$(verify "$root" multi-user.target)
    case $said in
    *"ordering cycle"*) ok "one would have been noticed" ;;
    *) not_ok "one would have been noticed" "$said" ;;
    esac
    cp units/kube-bootstrap.service "$root/lib/systemd/system"
}

if ! command -v systemd-analyze >/dev/null; then
    skip "units" "there is no systemd-analyze"
    plan
    exit
fi

without_cycle bookworm
without_cycle trixie

for unit in units/*.service; do
    unit=${unit##*/}
    if [ ! -d "$work/root-bookworm/usr/bin" ]; then
        skip "$unit is sound" "Debian's packages cannot be had"
        continue
    fi
    said=$(verify "$work/root-bookworm" "$unit")
    if [ -z "$said" ]; then ok "$unit is sound"; else not_ok "$unit is sound" "$said"; fi
done

# Nothing waits for the daemon, or a user-data script would wait for it, and it for the script.
said=$(grep -rnE '^(After|Requires|BindsTo|Requisite|PartOf)=.*kube-bootstrap\.service' units)
if [ -z "$said" ]; then ok "nothing is ordered after the daemon"; else not_ok "nothing is ordered after the daemon" "$said"; fi
if grep -q '^DefaultDependencies=no$' units/kube-bootstrap.service; then
    ok "multi-user.target does not wait for it"
else
    not_ok "multi-user.target does not wait for it" "a target is ordered after what it wants, by default"
fi

# These would hide the mounts that the daemon makes from everyone else, or hold the volume's a second time:
# systemd.exec(5), and exec_needs_mount_namespace() of systemd 252. ProtectClock= and ProtectHostname= make none.
namespaces='^(Private(Devices|Tmp|Mounts|Users|IPC)|Protect(System|Home|Kernel[A-Za-z]+|ControlGroups|Proc)|ProcSubset'
namespaces="$namespaces|Read(Only|Write)Paths|InaccessiblePaths|(Temporary|Root|Mount|Extension)[A-Z][A-Za-z]+"
namespaces="$namespaces|Bind[A-Za-z]*Paths|MountFlags|DynamicUser|ExecPaths|NoExecPaths|LogNamespace)="
for unit in kube-bootstrap etcd flanneld; do
    said=$(grep -nE "$namespaces" "units/$unit.service")
    if [ -z "$said" ]; then ok "$unit gets no mount namespace of its own"; else not_ok "$unit gets no mount namespace" "$said"; fi
done

# What each may do, as systemd scores it (0 to 100, less is better): it is not to grow.
exposed() { # MOST UNIT-FILE: what is said if it is more
    systemd-analyze security --offline=true --threshold="$1" --no-pager "$2" >"$work/security" 2>&1 || tail -1 "$work/security"
}
while read -r unit most; do
    said=$(exposed "$most" "units/$unit.service")
    if [ -z "$said" ]; then ok "$unit may do the least"; else not_ok "$unit may do the least, $most" "$said"; fi
    mkdir -p "$work/looser" && grep -v '^SystemCallFilter=@' "units/$unit.service" >"$work/looser/$unit.service"
    said=$(exposed "$most" "$work/looser/$unit.service")
    case $said in
    *"exposure level"*) ok "more would have been noticed" ;;
    *) not_ok "more would have been noticed" "$said" ;;
    esac
done <<'END'
kube-bootstrap 43
etcd 30
flanneld 30
END

# User data as a script: nobody has written stack-config.sh when the daemon starts.
program=${PROGRAM:-build/${VARIANT:-debug}/kube-bootstrap}
if [ "$(id -u)" != 0 ]; then
    skip "a missing stack-config.sh is refused at once" "needs root, for an empty /etc/kubernetes"
else
    [ -n "${PROGRAM:-}" ] || make -s VARIANT="${VARIANT:-debug}" "$program" || exit 1
    mkdir -p "$work/empty" "$work/run"
    made=
    [ -d /etc/kubernetes ] || { mkdir /etc/kubernetes && made=1; }
    said=$(KUBE_BOOTSTRAP_RUNTIME_FOLDER=$work/run unshare --mount --propagation private sh -c \
        "mount --bind $work/empty /etc/kubernetes && exec timeout 20 $program run --resident" 2>&1)
    status=$?
    [ -z "$made" ] || rmdir /etc/kubernetes
    case $status:$said in
    78:*"/etc/kubernetes/stack-config.sh does not exist"*"#cloud-config with write_files"*"script"*)
        ok "a missing stack-config.sh is refused at once, with a word on user-data scripts" ;;
    78:)
        said=$(cat "$work/run/state.json")
        case $said in # there is a journal, and it went there
        *'"phase":"failed"'*"stack-config.sh does not exist"*"script"*)
            ok "a missing stack-config.sh is refused at once, with a word on user-data scripts" ;;
        *) not_ok "a missing stack-config.sh is refused" "$said" ;;
        esac ;;
    *) not_ok "a missing stack-config.sh is refused at once" "status $status" "$said" ;;
    esac
fi

plan
