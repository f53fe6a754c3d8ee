#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# kubelet and kubectl, from the folder BINARIES_DIR where that is given, else from the project's
# site.

set -eu
: "${KUBERNETES_VERSION:=v1.20.2}"
architecture=$(dpkg --print-architecture)

for program in kubelet kubectl; do
    if [ -n "${BINARIES_DIR:-}" ]; then
        install -m 0755 "$BINARIES_DIR/$program" "/usr/bin/$program"
        continue
    fi

    # The tests never come here: they reach no such site.
    url=https://dl.k8s.io/release/$KUBERNETES_VERSION/bin/linux/$architecture/$program
    curl -fsSL --retry 5 -o "/tmp/$program" "$url"
    sum=$(curl -fsSL --retry 5 "$url.sha256")
    echo "$sum  /tmp/$program" | sha256sum --check --quiet
    install -m 0755 "/tmp/$program" "/usr/bin/$program"
    rm "/tmp/$program"
done

kubelet --version
kubectl version --client --short
