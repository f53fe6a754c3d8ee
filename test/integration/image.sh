#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the provisioning scripts make of a clean Debian root: what packer/image.list says, and what their
# last check refuses. Roots are layers over the lab's image, in memory. TAP.
# shellcheck disable=SC2317 # called through claim()
set -u
if [ -z "${IMAGE_TEST_PRIVATE:-}" ]; then # mounts vanish with it
    IMAGE_TEST_PRIVATE=1 exec unshare --mount --propagation private "$0" "$@"
fi
# shellcheck source=test/lab/images/lib.sh
. "$(dirname "$0")/../lab/images/lib.sh"
# shellcheck source=test/lab/images/versions
. "$images/versions"
set +e
cd "$tree" || exit 1

n=0 failed=0
claim() { # WHAT COMMAND…
    local what=$1 said
    shift
    n=$((n + 1))
    if said=$("$@" 2>&1); then
        echo "ok $n - $what"
    else
        failed=1
        printf '%s\n' "$said" | tail -n 30 | sed 's/^/# /'
        echo "not ok $n - $what"
    fi
}
same() { diff -u <(printf '%s\n' "$1") <(printf '%s\n' "$2"); }

work=$(mktemp -d)
mount -t tmpfs tmpfs "$work" || exit 1
trap 'umount -l "$work"; rmdir "$work"' EXIT
layers=0

# layer BASE [SIZE]: a root to be spoilt, over BASE; its path is $root.
layer() {
    layers=$((layers + 1))
    local top=$work/$layers
    mkdir -p "$top"
    mount -t tmpfs -o "size=${2:-4G}" tmpfs "$top"
    mkdir "$top/upper" "$top/work" "$top/root"
    mount -t overlay -o "lowerdir=$1,upperdir=$top/upper,workdir=$top/work" overlay "$top/root"
    root=$top/root
}
script() { # NAME [NAME=VALUE…], in $root
    in_root "$root" env "${@:2}" "/run/tree/packer/provision/$1"
}

# --- the image against the list

make --no-print-directory --silent VARIANT=release deb || exit 1
deb=/run/tree/build/release/kube-bootstrap.deb
layer "$LAB_CACHE/instance-root"
current=$root
install_current() { script 60-daemon.sh DAEMON_DEB="$deb" && script 90-clean.sh; }
claim "the tree's package goes in where the one that the image was made with is" install_current

wrong() { echo "$*" && bad=1; }
look_for() { # KIND WORD PATH of the list, in $root
    local path=$root${3:-}
    case $1 in
    file) [ -s "$path" ] && [ "$(stat -c '%F %a %U' "$path")" = "regular file ${2#0} root" ] ;;
    empty) [ "$(stat -c '%F %a %s' "$path")" = "regular empty file ${2#0} 0" ] ;;
    link) [ "$(readlink "$path")" = "$2" ] ;;
    absent) [ -z "$(compgen -G "$root$2")" ] ;;
    program) chroot "$root" sh -c "command -v $2" >/dev/null ;;
    static | disabled | masked) [ "$(systemctl --root="$root" is-enabled "$2" 2>/dev/null)" = "$1" ] ;;
    *) false ;;
    esac
}
as_listed() {
    local kind first second bad=0
    while read -r kind first second; do
        case $kind in '' | '#'* | enabled) continue ;; esac
        look_for "$kind" "$first" "$second" || wrong "$kind $first $second"
    done <packer/image.list
    return "$bad"
}
claim "the image has what packer/image.list says, and has not what it must not" as_listed

# What the lab adds and masks is its own: instance-lab/apply.
enabled=$(systemctl --root="$root" list-unit-files --state=enabled --no-legend | awk '{ print $1 }' | sort)
debian=(dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer getty@.service remote-fs.target
    systemd-pstore.service)
lab_units='^(lab-.*|systemd-networkd.*|systemd-network-generator.*)$'
listed() {
    { sed -n 's/^enabled //p' packer/image.list; printf '%s\n' "${debian[@]}"; } |
        grep -vxF "$(systemctl --root="$root" list-unit-files --state=masked --no-legend | awk '{ print $1 }')" | sort
}
claim "no unit starts at boot but Debian's and ours" same "$(listed)" "$(grep -vE "$lab_units" <<<"$enabled")"

# --- the last check

check() { script 95-check.sh; }
refused() { # WORD
    local said
    said=$(check 2>&1) && { echo "the check passes"; return 1; }
    grep -qF -- "$1" <<<"$said" || { echo "$said"; return 1; }
}
claim "the last check passes the image" check

spoil() { # WHAT WORD COMMAND: run in a layer
    layer "$LAB_CACHE/instance-root"
    (cd "$root" && eval "$3") || return 1
    claim "the build fails where $1" refused "$2"
}
put() { mkdir -p "$(dirname "$1")" && printf '%s\n' "${2:-something}" >"$1"; }

spoil "a host key is left" "host key: /etc/ssh/ssh_host_ed25519_key" 'put etc/ssh/ssh_host_ed25519_key'
spoil "the machine has an identity" "/etc/machine-id is not empty" 'put etc/machine-id 0123456789abcdef0123456789abcdef'
spoil "/etc/machine-id is missing" "no /etc/machine-id" 'rm etc/machine-id'
spoil "a random seed is left" "random-seed" 'put var/lib/systemd/random-seed'
spoil "cloud-init's state is left" "cloud-init's state" 'put var/lib/cloud/instances/i-0/obj.pkl'
spoil "a log is left" "log: /var/log/cloud-init.log" 'put var/log/cloud-init.log'
spoil "an authorized key is left" "credentials: /home/admin/.ssh/authorized_keys" 'put home/admin/.ssh/authorized_keys'
spoil "a registry's password is left" "credentials: /root/.docker" 'put root/.docker/config.json'
spoil "a private key is left anywhere" "credentials: /etc/own/tls.pem" \
    'put etc/own/tls.pem "-----BEGIN EC PRIVATE KEY-----"'
spoil "an access key of AWS is left" "credentials: /usr/local/bin/upload" 'put usr/local/bin/upload "key=AKIA""IOSFODNN7EXAMPLE"'
spoil "an instance's configuration is left" "stack-config.sh" 'put etc/kubernetes/stack-config.sh'
spoil "package lists are left" "cache: /var/lib/apt/lists" 'put var/lib/apt/lists/deb.debian.org_dists'
spoil "an upload is left" "temporary file: /var/tmp/kube-bootstrap" 'put var/tmp/kube-bootstrap/kube-bootstrap.deb'
spoil "docker would start by itself" "docker.service would start" 'systemctl -q --root=. enable docker.service'
spoil "the daemon would not start" "kube-bootstrap.service would not" 'systemctl -q --root=. disable kube-bootstrap.service'
told='	linux	/boot/vmlinuz-6.1 root=x ro nvme_core.io_timeout=4294967295'
boots() { # LINE: a kernel, and grub.cfg with two entries
    put boot/vmlinuz-6.1
    put boot/grub/grub.cfg "$told"$'\n'"$1"
}
spoil "a kernel starts with NVMe's default timeout" "without nvme_core.io_timeout" \
    "boots 'linux /boot/vmlinuz-6.1 root=x ro single'"
spoil "a kernel starts with another timeout" "without nvme_core.io_timeout" "boots '${told}0'"
spoil "the boot loader is not set up" "starts no kernel" 'put boot/vmlinuz-6.1'
layer "$LAB_CACHE/instance-root"
(cd "$root" && boots "$told")
claim "a kernel that is told of NVMe's timeout is none" check
for key in hosts containerd bridge bip mtu ip-masq userland-proxy exec-opts; do
    spoil "daemon.json sets $key, a flag of ours" "daemon.json sets $key" \
        "put etc/docker/daemon.json '{ \"debug\": true, \"$key\": [\"x\"] }'"
done
layer "$LAB_CACHE/instance-root"
put "$root/etc/docker/daemon.json" \
    '{ "default-network-opts": { "bridge": { "mtu": "1400" } }, "labels": ["hosts:", "a\"bip\": 1"] }'
claim "keys of daemon.json that dockerd's flags do not know are no clash" check

# The real dockerd says which of our flags a file may not repeat: the list above has them all.
flags() {
    local unit=units/docker.service.d/kube-bootstrap.conf
    sed -n 's/^ExecStart=.*dockerd //p' "$unit" | grep -oE -- '-(H|-[a-z-]+)'
    sed -n '/^int render_docker_environment/,/^}/p' bootstrap/cluster/render.c | grep -oE -- '--[a-z-]+='
}
clashes() {
    local said key bad=0
    layer "$LAB_CACHE/instance-root"
    for key in '"hosts":["fd://"]' '"containerd":"/x"' '"bridge":"b"' '"mtu":1' '"ip-masq":true' \
        '"userland-proxy":true' '"exec-opts":["native.cgroupdriver=systemd"]'; do
        echo "{ $key }" >"$root/etc/docker/daemon.json"
        said=$(in_root "$root" timeout 20 dockerd -H fd:// --containerd=/run/none.sock --bridge=cbr0 --mtu=1450 \
            --ip-masq=false --userland-proxy=false --exec-opt=native.cgroupdriver=cgroupfs 2>&1)
        grep -q "specified both as a flag and in the configuration file" <<<"$said" || wrong "$key: $said"
    done
    return "$bad"
}
claim "dockerd refuses each of them" clashes
claim "they are all the flags that it is given" same \
    "$(printf '%s\n' --bridge= --containerd --exec-opt= --ip-masq= --mtu= --userland-proxy= -H | sort)" \
    "$(flags | sort)"

layer "$LAB_CACHE/instance-root" 900M
claim "the build fails with less than 1 GiB free" refused "MiB free, expected 1024"

# What a build on EC2 leaves by itself, in places that sshd, systemd, dbus, docker, people, apt and netplan write to.
# cloud-init's own are for cloud-init to clean, which no root of the lab's has.
leavings=(
    etc/ssh/ssh_host_rsa_key etc/machine-id var/lib/systemd/random-seed var/lib/dbus/machine-id etc/docker/key.json
    var/lib/docker/engine-id root/.docker/config.json root/.bash_history home/admin/.ssh/authorized_keys
    var/log/a/b.log var/log/wtmp var/log/journal/0/system.journal var/log/cloud-init.log var/lib/apt/lists/list
    var/cache/apt/archives/a.deb var/tmp/x etc/netplan/50-cloud-init.yaml root/.aws/credentials root/.kube/config)
cleaned() {
    local path bad=0
    for path in "${leavings[@]}"; do
        [ ! -s "$root/$path" ] || wrong "$path is left"
    done
    [ -f "$root/etc/machine-id" ] || wrong "etc/machine-id is not there, and empty"
    return "$bad"
}
clean() { script 90-clean.sh && cleaned && check; }
layer "$LAB_CACHE/instance-root"
(
    cd "$root" || exit
    for path in "${leavings[@]}"; do
        put "$path"
    done
)
claim "what a build leaves by itself is cleaned away" clean

# --- packages of every variant

resolves() { # SUITE ARCHITECTURE: apt finds all that the script asks for, without installing it
    local apt=/var/tmp/apt
    layer "$LAB_CACHE/instance-images"
    cat /etc/resolv.conf >"$root/etc/resolv.conf"
    mkdir -p "$root$apt/lists/partial" "$root$apt/cache/archives/partial"
    echo "deb $LAB_MIRROR $1 main" >"$root$apt/sources.list"
    cp "$keyring" "$root/etc/apt/trusted.gpg.d/all.gpg"
    cat >"$root$apt/conf" <<END
Dir::Etc::sourcelist "$apt/sources.list"; Dir::Etc::sourceparts "/dev/null";
Dir::State::lists "$apt/lists"; Dir::Cache "$apt/cache"; Dir::State::status "/dev/null";
APT::Architecture "$2"; APT::Architectures { "$2"; }; APT::Get::Simulate "true";
END
    script 10-packages.sh APT_CONFIG="$apt/conf" >"$work/resolved" 2>&1 || { cat "$work/resolved"; return 1; }
    grep -q '^Inst docker.io ' "$work/resolved" || { cat "$work/resolved"; return 1; }
    [ "$1" != trixie ] || grep -q '^Inst docker-cli ' "$work/resolved"
}
for suite in bookworm trixie; do
    for architecture in amd64 arm64; do
        claim "its packages are in $suite for $architecture" resolves $suite $architecture
    done
done

# --- kubelet and kubectl

# A site of the project's, with the checksum of what is there, or another one.
site=$work/site
release=$site/v1.27.3/bin/linux/$(dpkg --print-architecture)
mkdir -p "$release"
for program in kubelet kubectl; do
    printf '#!/bin/sh\necho Kubernetes v1.27.3\n' >"$release/$program"
    sha256sum <"$release/$program" | cut -d' ' -f1 >"$release/$program.sha256"
done
/usr/bin/python3 -u -m http.server --bind 127.0.0.1 --directory "$site" 0 >"$work/http" 2>&1 &
server=$!
trap 'kill $server; umount -l "$work"; rmdir "$work"' EXIT
until port=$(sed -n 's/.* port \([0-9]*\) .*/\1/p' "$work/http") && [ -n "$port" ]; do
    kill -0 $server || exit 1
    sleep 0.1
done
download() {
    layer "$LAB_CACHE/instance-images"
    script 30-kubernetes.sh KUBERNETES_VERSION=v1.27.3 KUBERNETES_SITE="http://127.0.0.1:$port"
}
downloaded() { download && cmp "$release/kubelet" "$root/usr/bin/kubelet" && cmp "$release/kubectl" "$root/usr/bin/kubectl"; }
claim "kubelet and kubectl are downloaded" downloaded
echo "# a byte more" >>"$release/kubectl"
corrupt() {
    local said
    said=$(download 2>&1) && return 1
    grep -q 'checksum did NOT match' <<<"$said" || { echo "$said"; return 1; }
}
claim "what is not as its checksum says is refused" corrupt

hyperkube() {
    local folder=$work/hyperkube
    mkdir -p "$folder/usr/local/bin" "$work/images"
    printf '#!/bin/sh\necho Kubernetes v1.18.20\n' >"$folder/hyperkube"
    chmod +x "$folder/hyperkube"
    ln -s /hyperkube "$folder/usr/local/bin/kubelet"
    ln -s /hyperkube "$folder/usr/local/bin/kubectl"
    layer "$LAB_CACHE/instance-images"
    "$images/make-image" --architecture "$(dpkg --print-architecture)" lab/hyperkube:v1.18.20 "$folder" \
        "$root/opt/hyperkube.tar" || return 1
    # docker's layers cannot lie in a layer
    in_root "$root" sh -euc 'mount -t tmpfs tmpfs /var/tmp && exec env "$@"' sh IMAGES_DIR=/opt \
        KUBERNETES_VERSION=v1.18.20 HYPERKUBE_IMAGE=lab/hyperkube:v1.18.20 \
        /run/tree/packer/provision/30-kubernetes.sh || return 1
    cmp "$folder/hyperkube" "$root/usr/bin/kubelet" && cmp "$folder/hyperkube" "$root/usr/bin/kubectl"
}
claim "up to Kubernetes 1.18 they come out of the image hyperkube" hyperkube

other_version() {
    local said
    layer "$LAB_CACHE/instance-images"
    said=$(script 30-kubernetes.sh KUBERNETES_VERSION=v1.21.0 \
        BINARIES_DIR="/run/cache/kubernetes/$kubernetes_version" 2>&1) && return 1
    grep -q 'expected Kubernetes v1.21.0' <<<"$said"
}
claim "a kubelet of another version than asked for is refused" other_version

# --- pre-reading

preread() {
    local unit=/etc/systemd/system/kube-bootstrap-preread.service read needed
    root=$current
    in_root "$root" systemd-analyze verify --man=no "$unit" || return 1
    # shellcheck disable=SC2016 # expanded by the inner shell
    read=$(in_root "$root" sh -euc '
        command=$(sed -e ":a" -e "/\\\\$/N; s/\\\\\n//; ta" $1 | sed -n "s/^ExecStart=//p")
        $command >/dev/null
        sed -n "s/^rchar: //p" /proc/$$/io' sh "$unit") || return 1
    needed=$(du -bc "$root"/usr/bin/{kubelet,kubectl,docker,containerd} "$root/usr/sbin/dockerd" \
        "$root"/var/lib/docker{,-bootstrap}/overlay2 | awk 'END { print $1 }')
    echo "read $read bytes of $needed"
    [ "$read" -ge $((needed * 98 / 100)) ] # folders have a size, too
}
claim "the pre-reading unit is sound, and reads what a boot needs" preread

echo "1..$n"
exit $failed
