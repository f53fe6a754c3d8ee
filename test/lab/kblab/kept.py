# SPDX-License-Identifier: Apache-2.0
"""What a cluster holds and no fault may change: planted and taken before the fault, looked for after it.

    kept.plant("master", kube)
    before = kept.take("master", kube)
    ...                                     the fault, and the way back
    kept.lost(before, kept.take("master", kube))    lines; none: nothing is lost
"""

import hashlib
import json
import re
import secrets
from base64 import b64decode, b64encode
from dataclasses import dataclass, field

from . import region
from .runtime import WITH_DOCKER
from .testing import inside

MOUNT = "/var/lib/kubernetes/master"
ETCD = ("curl -sS --max-time 10 --cacert /srv/kubernetes/etcd-ca.crt --cert /srv/kubernetes/etcd-gateway.crt"
              " --key /srv/kubernetes/etcd-gateway.key https://127.0.0.1:2379")
# Of other kinds the cluster makes and removes objects by itself.
KINDS = ("namespaces", "nodes", "secrets", "configmaps", "services", "deployments", "daemonsets", "serviceaccounts",
         "roles", "rolebindings", "clusterroles", "clusterrolebindings", "priorityclasses",
         *(["podsecuritypolicies"] if WITH_DOCKER else []))
# In etcd: kinds whose values nobody but their owner writes, and all that is not the API server's. What the API server
# and its controllers fill in piece by piece while they start is not among them.
KEYS = re.compile(r"/registry/(secrets|configmaps/(?!kube-system/extension-apiserver-authentication$))|/(?!registry/)")
# A join token's life ends; the next one takes its place.
ENDS = re.compile(r"bootstrap-token-|node/join\.json$")


@dataclass
class Kept:
    """Each thing's name, and what is to stay as it is."""
    things: dict = field(default_factory=dict)
    etcd: str = ""  # its unit's state and run
    etcd_files: dict = field(default_factory=dict)  # while it does not run: else they change


def plant(master, kube=None):
    """Files with random content on the volume, each with a mode and an owner of its own; objects likewise."""
    text = secrets.token_hex(512)
    inside(master, f"""
        cd {MOUNT}
        mkdir -p beside/folder
        mkdir -p -m 0700 etcd audit # as the daemon makes them, which may come to it later
        for each in "600 0 etcd/planted" "640 7 audit/planted" "444 33 beside/folder/planted"; do
            set -- $each
            rm -f "$3"
            echo "{text} $3" >"$3"
            chown "$2:$2" "$3"
            chmod "$1" "$3"
        done
        chmod 2750 beside/folder
        ln -sfn folder/planted beside/link
        sync""")
    if kube:
        kube.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "kept"},
             "data": {"random": b64encode(secrets.token_bytes(512)).decode()}},
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept", "labels": {"kept": "so"}},
             "data": {"random": text}},
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "kept"},
             "spec": {"selector": {"app": "kept"}, "ports": [{"port": 80}]}},
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "kept"},
             "spec": {"replicas": 0, "selector": {"matchLabels": {"app": "kept"}},
                      "template": {"metadata": {"labels": {"app": "kept"}},
                                   "spec": {"containers": [{"name": "kept", "image": "kept"}]}}}}]}))


def take(master, kube=None, machines=(), bucket=None):
    """All that is there now: volume, bucket (the seeded one), secrets of the master and of these machines, etcd's
    keys if it answers, the API's objects with kube."""
    kept = Kept(etcd=inside(master, "systemctl show -P ActiveState -P InvocationID etcd").replace("\n", " "))
    kept.things = _volume(master) | _bucket(bucket or region.seed()["bucket"]) | _keys(master) | _objects(kube)
    for whose, name in (("master", master), *((each, each) for each in machines)):
        kept.things |= {f"{whose}'s {what}": value
                        for what, value in _files(name, "/srv/kubernetes", "-maxdepth 1").items()}
    if kept.etcd.split()[0] in ("inactive", "failed"):
        kept.etcd_files = _files(master, f"{MOUNT}/etcd/member")
    return kept


def lost(before, now, *gone):
    """What has changed or is gone, a line each; but for what names one of `gone`. What came since is no loss."""
    things = list(before.things.items())
    found = dict(now.things)
    if before.etcd == now.etcd:
        things += before.etcd_files.items()
        found |= now.etcd_files
    return [f"{name}: was {was}, is {found.get(name, 'gone')}" for name, was in things
            if found.get(name) != was and not any(word in name for word in gone)]


def _files(name, folder, depth="", skip=""):
    """Path to kind, mode, owner and checksum; but for what is being written, whose name begins with a dot."""
    # A file that goes meanwhile is none.
    found = inside(name, f"""
        cd {folder} 2>/dev/null || exit 0
        find . -xdev -mindepth 1 {depth} -name '.*' -prune -o {skip} -printf '%y %m %U:%G %p\\n'
        echo
        find . -xdev -mindepth 1 {depth} -name '.*' -prune -o {skip} -type f -exec sha256sum {{}} + || true""")
    listed, _, sums = found.partition("\n\n")
    sums = {path: digest for digest, path in (line.split(None, 1) for line in sums.splitlines())}
    return {f"{folder}/{path.removeprefix('./')}": f"{what} {sums.get(path, '')}".rstrip()
            for what, path in (line.rsplit(None, 1) for line in listed.splitlines())}


def _volume(master):
    """Of an audit log's entries each sixteenth: it grows to 100 MB."""
    files = _files(master, MOUNT, skip="-path './etcd/member/*' -prune -o -name 'audit*.log' -prune -o")
    text = inside(master, f"cat {MOUNT}/cluster-identity.json 2>/dev/null || true")
    identity = json.loads(text or "{}")
    things = {f"identity's {name}": json.dumps(value) for name, value in identity.items()}
    if "etcd_member" not in identity:  # which is noted down at last
        files.pop(f"{MOUNT}/cluster-identity.json", None)
    audited = inside(master, f"""cd {MOUNT}; findmnt -no UUID .
                                 grep -oh '"auditID":"0[^"]*"' audit/audit*.log 2>/dev/null || true""").split()
    return files | things | {"filesystem": audited[0]} | {each: "there" for each in audited[1:]}


def _bucket(bucket):
    """Every version of every object, and which is the newest."""
    found = region.call("s3", "ListObjectVersions", Bucket=bucket)
    assert not found.get("IsTruncated"), "more versions than one answer holds"
    things = {}
    for each in found.get("Versions", []):
        if each["VersionId"] != "null":  # in a bucket without versions the newest takes its place
            things[f"{each['Key']} {each['VersionId']}"] = each["ETag"]
        if each["IsLatest"] and not ENDS.search(each["Key"]):
            things[f"s3://{bucket}/{each['Key']}"] = f"{each['VersionId']} {each['ETag']}"
    return things


def _objects(kube):
    """Kind, namespace and name to uid, labels and content; of a Node, which kubelet writes, not its spec."""
    things = {}
    for item in kube.get(",".join(KINDS), "--all-namespaces")["items"] if kube else ():
        metadata = item.pop("metadata")
        item.pop("status", None)
        if item["kind"] == "Node":
            item.pop("spec")
        content = json.dumps([metadata.get("labels"), item], sort_keys=True)
        if not ENDS.search(metadata["name"]):
            things[f"{item['kind']} {metadata.get('namespace', '')}/{metadata['name']}"] = \
                f"{metadata['uid']} {hashlib.sha256(content.encode()).hexdigest()}"
    return things


def _keys(master):
    """Keys of etcd that no lease ends to their first revision and value; none where it does not answer."""
    answer = inside(master, f"""
        password=$(cat /srv/kubernetes/etcd-root-password 2>/dev/null) || exit 0
        exec 2>/dev/null # a virtual machine's console shows both
        token=$({ETCD}/v3/auth/authenticate -d "{{\\"name\\":\\"root\\",\\"password\\":\\"$password\\"}}" |
            sed 's/.*"token":"\\([^"]*\\)".*/\\1/') || exit 0
        {ETCD}/v3/kv/range -H "Authorization: $token" -d '{{"key":"AA==","range_end":"AA=="}}' || true""")
    things = {}
    for each in json.loads(answer or "{}").get("kvs", []):
        key = b64decode(each["key"]).decode()
        if KEYS.match(key) and not each.get("lease") and not ENDS.search(key):
            things[f"etcd {key}"] = f"{each['create_revision']} {hashlib.sha256(each['value'].encode()).hexdigest()}"
    return things
