# SPDX-License-Identifier: Apache-2.0
"""A real cluster: its machines, its workloads, its walls, and how it mends itself.

With docker, CoreDNS does not run: services are called by their addresses.
"""

import json
import shutil
import subprocess
import time
from pathlib import Path

import botocore.exceptions
import pytest

from kblab import cluster, kept, machine, region, world
from kblab.runtime import SUITE, UNITS, WITH_DOCKER, image, with_containerd, with_docker
from kblab.settings import LAB
from kblab.testing import equal, eventually, inside, lab, ok
from kblab.world import settle

pytestmark = [pytest.mark.needs_root, pytest.mark.in_order]

TOKEN_S = 150  # of the join token: short, so that the first is over before the machines reboot
SOCKET = "unix:///run/docker-bootstrap/docker.sock"

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      affinity:
        podAntiAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
          - { topologyKey: kubernetes.io/hostname, labelSelector: { matchLabels: { app: web } } }
      tolerations:
      # The test's machines come and go faster than the default of five minutes.
      - { key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 600 }
      - { key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 600 }
      containers:
      - name: web
        image: IMAGE
        imagePullPolicy: Never
        readinessProbe: { httpGet: { port: 8080, path: / }, periodSeconds: 2 }
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec:
  selector: { app: web }
  ports: [{ port: 80, targetPort: 8080 }]
"""


@pytest.fixture(scope="module")
def kube():
    """kubectl, from outside the instances."""
    return cluster.connect()


def node_name(name):
    return machine.find(name).node_name


def show(kube):
    print(kube.kubectl("get", "nodes", "-o", "wide"))


def has_just(kube, names, what, timeout_s=180):
    """Whether these machines' Nodes are there and Ready, and no others are there."""
    wanted = {node_name(name) for name in names}
    ok(eventually(lambda: kube.ready_nodes() == wanted == set(kube.nodes()), timeout_s, 1), what,
       kube.kubectl("get", "nodes,csr", "-o", "wide", check=False).stdout)
    show(kube)


def roles(kube):
    """Name to the roles that it is labelled with."""
    prefix = "node-role.kubernetes.io/"
    return {name: {key.removeprefix(prefix) for key in node["metadata"]["labels"] if key.startswith(prefix)}
            for name, node in kube.nodes().items()}


def test_the_machines_are_there():
    world.enter()


def test_both_are_ready(kube):
    has_just(kube, ["master", "node"], "kubectl from outside, by the bucket's kubeconfig: both are Ready")
    equal(roles(kube), {node_name("master"): {"control-plane", "master"}, node_name("node"): {"node"}},
          "Nodes are labelled with their roles")

    # A static pod runs before the API server shows it: kubelet reports it up to a minute after its Node.
    def nodes_of(component):
        return {pod["spec"]["nodeName"] for pod in kube.pods(f"component={component}", "-n", "kube-system")}

    master, node = node_name("master"), node_name("node")
    for component, wanted in (("kube-apiserver", {master}), ("kube-controller-manager", {master}),
                              ("kube-scheduler", {master}), ("kube-proxy", {master, node})):
        ok(eventually(lambda c=component, w=wanted: nodes_of(c) == w), f"{component} runs where it should",
           nodes_of(component))


@pytest.fixture(scope="module")
def first_token():
    """The id of a join token that is soon over, made in place of the one that is there."""
    inside("master", f"echo JOIN_TOKEN_SECONDS={TOKEN_S} >>/etc/kubernetes/stack-config.sh")
    values, before = region.seed(), token_id()
    region.call("s3", "DeleteObject", Bucket=values["bucket"], Key=f"{values['prefix'].strip('/')}/node/join.json")
    inside("master", "systemctl restart kube-bootstrap")
    return eventually(lambda: token_id() != before and token_id())


def test_a_join_token_that_is_gone_from_the_bucket_is_made_anew(first_token):
    ok(first_token, "a join token that is gone from the bucket is made anew")
    settle("master")


def web_pods(kube):
    return eventually(lambda: (lambda found: found if len(found) == 2 else None)(kube.pods("app=web")), pause_s=1)


def from_pod(kube, pod, *words):
    return kube.kubectl("exec", pod["metadata"]["name"], "--", "/bin/http", "get", *words)


@pytest.fixture(scope="module")
def pods(kube):
    """A deployment's two, once they run."""
    kube.kubectl("apply", "-f", "-", stdin=WEB.replace("IMAGE", image("TEST_IMAGE")))
    found = web_pods(kube)
    ok(found, "a deployment's two pods run", kube.kubectl("describe", "pods", check=False).stdout[-3000:])
    return found


def test_workloads(kube, pods):
    ok(len(pods) == 2, "a deployment's two pods run")
    equal({pod["spec"]["nodeName"] for pod in pods}, {node_name("master"), node_name("node")},
          "on different machines")
    for here, there in (pods, pods[::-1]):
        where = f"from {here['spec']['nodeName']} to {there['spec']['nodeName']}"
        equal(from_pod(kube, here, f"http://{there['status']['podIP']}:8080/").strip(),
              there["metadata"]["name"], f"pod to pod by address, {where}")
    service = kube.get("service", "web")["spec"]["clusterIP"]
    wanted = {each["metadata"]["name"] for each in pods}

    def answering(pod):
        return {from_pod(kube, pod, f"http://{service}/").strip() for _ in range(20)}

    for pod in pods:
        where = f"pod to service by address, from {pod['spec']['nodeName']}"
        ok(eventually(lambda p=pod: answering(p) == wanted), f"{where}: kube-proxy there comes to know the pods")
        equal(answering(pod), wanted, f"{where}: both pods answer, itself too")


@with_containerd
def test_names(kube, pods):
    for pod in pods:
        for name in ("web", "web.default.svc.cluster.local"):
            answer = eventually(lambda p=pod, n=name: from_pod(kube, p, f"http://{n}/").strip())
            ok(answer in {each["metadata"]["name"] for each in pods},
               f"{name} is found from {pod['spec']['nodeName']}", answer)


ESCAPES = {"the host's network": {"hostNetwork": True},
           "a folder of the host's": {"volumes": [{"name": "host", "hostPath": {"path": "/"}}]},
           "a privileged container": {"containers": [{"securityContext": {"privileged": True}}]}}


@with_containerd
@pytest.mark.parametrize("what", ESCAPES)
def test_pods_that_reach_for_the_host_are_refused(kube, what):
    container = {"name": "escape", "image": image("TEST_IMAGE")}
    [more] = ESCAPES[what].get("containers", [{}])
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "escape"},
           "spec": ESCAPES[what] | {"containers": [container | more]}}
    refused = kube.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod), check=False)
    ok(refused.returncode != 0 and 'violates PodSecurity "baseline' in refused.stderr,
       f"a pod with {what} is refused", refused.stdout + refused.stderr)


def test_a_service_account(kube, pods):
    pod = pods[0]
    kube.kubectl("create", "clusterrolebinding", "web-view", "--clusterrole=view",
                 "--serviceaccount=default:default")
    folder = "/var/run/secrets/kubernetes.io/serviceaccount"
    address = kube.kubectl("get", "service", "kubernetes", "-o", "jsonpath={.spec.clusterIP}")
    api = ["-ca", f"{folder}/ca.crt", "-token", f"{folder}/token", f"https://{address}/api/v1/namespaces/default"]
    found = eventually(lambda: from_pod(kube, pod, *api + []))
    ok(found and '"name": "default"' in found or found and '"name":"default"' in found,
       "a pod's service account token works, over the service's address", found)
    refused = kube.kubectl("exec", pod["metadata"]["name"], "--", "/bin/http", "get", *api[:-1],
                           f"https://{address}/api/v1/secrets", check=False)
    ok(refused.returncode != 0 and "403" in refused.stderr + refused.stdout,
       "the same token is refused what its account may not", refused.stderr)


def test_kubectl_into_pods(kube, pods):
    for pod in pods:
        name, where = pod["metadata"]["name"], pod["spec"]["nodeName"]
        ok("listens on" in kube.kubectl("logs", name), f"kubectl logs, {where}")
        equal(kube.kubectl("exec", name, "--", "/bin/hostname").strip(), name, f"kubectl exec, {where}")
        with subprocess.Popen(kube.command("port-forward", f"pod/{name}", ":8080"), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, env=kube.environment()) as forward:
            line = forward.stdout.readline()  # Forwarding from 127.0.0.1:40000 -> 8080
            port = line.partition("127.0.0.1:")[2].split()[0] if "127.0.0.1:" in line else "0"
            got = subprocess.run(["curl", "-sS", "--noproxy", "*", "--max-time", "10",
                                  f"http://127.0.0.1:{port}/"], check=False, capture_output=True, text=True)
            equal(got.stdout.strip(), name, f"kubectl port-forward, {where}")
            forward.terminate()


@with_containerd
def test_a_pull_from_ecr(kube):
    """There is no registry of that name in the lab. kubelet asks for credentials before it pulls."""
    def is_answered():
        asked = region.control("GET", "/calls")["by_action"].get("ecr:GetAuthorizationToken")
        return asked and asked["count"] > sum(asked["errors"].values())

    kube.kubectl("run", "from-ecr", "--restart=Never",
                 "--image=123456789012.dkr.ecr.us-east-1.amazonaws.com/lab/none:1")
    ok(eventually(is_answered), "kubelet gets credentials of ECR with its machine's role",
       kube.kubectl("describe", "pod", "from-ecr", check=False).stdout)
    kube.kubectl("delete", "pod", "from-ecr", "--now")


# What a node's credentials open

def as_kubelet(name, path, method="GET", body=None):
    """HTTP status and body of a request to the API server with that node's own certificate."""
    data = f"-H 'Content-Type: application/json' -d '{json.dumps(body)}'" if body else ""
    output = inside(name, f"""curl -sS --max-time 10 -X {method} -w '\\n%{{http_code}}' {data} \
        --cacert /srv/kubernetes/ca.crt --cert /srv/kubernetes/kubelet/kubelet-client-current.pem \
        'https://172.20.128.9{path}'""")
    text, _, status = output.rpartition("\n")
    return int(status), text


def test_walls(kube):
    kube.kubectl("create", "secret", "generic", "others", "--from-literal=a=b")
    own, other = node_name("node"), node_name("master")
    equal(as_kubelet("node", f"/api/v1/nodes/{own}")[0], 200, "a node's certificate reads its own Node")
    equal(as_kubelet("node", f"/api/v1/pods?fieldSelector=spec.nodeName%3D{own}")[0], 200,
          "and its own pods")
    for path, what in (("/api/v1/namespaces/default/secrets/others", "a Secret that none of its pods uses"),
                       ("/api/v1/secrets", "all Secrets"),
                       ("/api/v1/namespaces/kube-system/secrets", "kube-system's Secrets"),
                       ("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", "who may do what")):
        equal(as_kubelet("node", path)[0], 403, f"it is refused {what}")
    patch = {"metadata": {"labels": {"a": "b"}}}
    equal(inside("node", f"""curl -sS -o /dev/null -w '%{{http_code}}' -X PATCH \
        -H 'Content-Type: application/merge-patch+json' -d '{json.dumps(patch)}' \
        --cacert /srv/kubernetes/ca.crt --cert /srv/kubernetes/kubelet/kubelet-client-current.pem \
        https://172.20.128.9/api/v1/nodes/{other}"""), "403", "it is refused to change another's Node")
    equal(inside("node", "curl -sS -o /dev/null -w '%{http_code}' --cacert /srv/kubernetes/ca.crt"
                         " https://172.20.128.9/api"), "401", "nobody is let in without a name")
    equal(inside("master", "curl -sSk -o /dev/null -w '%{http_code}' "
                           f"https://{machine.find('node').request['private_ip']}:10250/pods"), "401",
          "a kubelet lets nobody in without a name")
    equal(inside("node", "curl -sSk -o /dev/null -w '%{http_code}' "
                         "--cert /srv/kubernetes/kubelet/kubelet-client-current.pem "
                         "https://172.20.128.9:10250/pods"), "403",
          "a kubelet asks the API server what a caller may, here another kubelet")


def test_walls_of_the_bucket():
    """The bucket, with the node's own credentials."""
    values = region.seed()
    prefix = values["prefix"].strip("/")
    keys = json.loads(inside("node", """
        at=http://169.254.169.254/latest
        token=$(curl -sS -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' $at/api/token)
        get() { curl -sS -H "X-aws-ec2-metadata-token: $token" "$at/meta-data/iam/security-credentials/$1"; }
        get "$(get '')" """))
    s3 = region.make_client("s3", keys["AccessKeyId"], keys["SecretAccessKey"], keys["Token"])

    def status(call, **parameters):
        try:
            return call(Bucket=values["bucket"], **parameters)["ResponseMetadata"]["HTTPStatusCode"]
        except botocore.exceptions.ClientError as error:
            return error.response["ResponseMetadata"]["HTTPStatusCode"]

    files = [file["key"] for file in json.loads(cluster.object_of("index.json"))["files"]]
    equal(status(s3.get_object, Key=f"{prefix}/node/join.json"), 200, "a node's role reads its join token")
    for folder in ("master/", "admin/"):
        found = [status(s3.get_object, Key=f"{prefix}/{key}") for key in files if key.startswith(folder)]
        ok(found and set(found) == {403}, f"it is refused every file of {folder}", found)
    equal(status(s3.put_object, Key=f"{prefix}/node/join.json", Body=b"{}"), 403, "it is refused to write")


def as_token(token, path):
    """The status of a request with a join token."""
    return int(inside("node", f"""curl -sS -o /dev/null --max-time 10 -w '%{{http_code}}' \
        -H 'Authorization: Bearer {token}' --cacert /srv/kubernetes/ca.crt 'https://172.20.128.9{path}'"""))


def test_a_join_token_is_kept_nowhere_and_lists_nothing():
    """The token opens the API to ask for a certificate, and to read the answer by its random name."""
    token = json.loads(cluster.object_of("node/join.json"))["token"]
    secret = token.partition(".")[2]
    for name in world.NAMES:
        found = inside(name, f"""
            grep -rlF {secret} /srv /run /etc /var/lib/kubelet /var/lib/kubernetes/master 2>/dev/null |
                grep -v /etcd/member/ || true""")
        equal(found, "", f"no file of the {name} holds the join token")
    requests = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
    equal(as_token(token, f"{requests}/none"), 404, "the token may read a request whose name it knows")
    equal(as_token(token, requests), 403, "it lists no requests")
    equal(as_token(token, "/api/v1/nodes"), 403, "nor Nodes")


def etcdctl(*words):
    """etcd over gRPC, with the certificate that a node's flanneld has."""
    image = inside("master", "sed -n 's/^ETCD_IMAGE=//p' /etc/kubernetes/images")
    return lab("exec", "master", "docker", "-H", SOCKET, "run", "--rm", "--network", "host",
               "-e", "ETCDCTL_API=3", "-v", "/srv/kubernetes:/s:ro", image, "etcdctl",
               "--endpoints=https://127.0.0.1:2379", "--cacert=/s/etcd-ca.crt", "--cert=/s/flanneld.crt",
               "--key=/s/flanneld.key", *words,
               check=False)


@with_docker
def test_walls_of_etcd():
    equal(inside("master", "sha256sum </srv/kubernetes/flanneld.crt"),
          inside("node", "sha256sum </srv/kubernetes/flanneld.crt"), "a node's certificate for etcd is at hand")
    equal(etcdctl("get", "/coreos.com/network/config").returncode, 0, "with it, the overlay's keys can be read")
    for words in (("get", "/registry/", "--prefix", "--limit=1"), ("put", "/registry/a", "b"),
                  ("del", "/registry/", "--prefix"), ("get", "", "--prefix", "--limit=1")):
        refused = etcdctl(*words)
        ok(refused.returncode != 0 and "permission denied" in refused.stderr + refused.stdout,
           f"it is refused: {' '.join(words)}", refused.stderr + refused.stdout)


def test_secrets_are_encrypted_in_etcd():
    stored = inside("master", "grep -aoc 'k8s:enc:secretbox:v1:key1' "
                              "/var/lib/kubernetes/master/etcd/member/snap/db || true")
    ok(int(stored or 0) > 0, "Secrets lie encrypted in etcd")


# How it mends itself

def main_pid(name, unit):
    return inside(name, f"systemctl show -P MainPID {unit}")


def nothing_lost(before, master, kube, what, *gone):
    equal(kept.lost(before, kept.take(master, kube), *gone), [], f"{what}: nothing is lost")


def test_killed_services(kube):
    kept.plant("master", kube)
    before = kept.take("master", kube)
    pods_run_on = "docker" if WITH_DOCKER else "containerd"
    for name, units in (("node", ("kubelet", pods_run_on, "flanneld")), ("master", ("etcd",))):
        for unit in units:
            service_pid = main_pid(name, unit)
            pid = service_pid
            if unit in ("etcd", "flanneld"):  # the container's process, not docker's client
                pid = inside(name, f"docker -H {SOCKET} inspect -f '{{{{.State.Pid}}}}' {unit}")
            began = time.monotonic()
            inside(name, f"kill -9 {pid}")
            back = eventually(lambda n=name, u=unit, p=service_pid: main_pid(n, u) not in ("0", p) and
                              inside(n, f"systemctl is-active {u}") == "active")
            well = eventually(lambda n=name: node_name(n) in kube.ready_nodes() and
                              inside(n, "curl -sSf http://127.0.0.1:10248/healthz"))
            ok(back and well, f"{unit} killed on the {name}: it comes back, and the Node is Ready")
            print(f"after {time.monotonic() - began:.1f} s")
    ok(web_pods(kube), "and the deployment's pods run")
    settle("node")
    settle("master")
    nothing_lost(before, "master", kube, "services killed")


def containers(name):
    """The web pods' containers on a machine, with when they were started."""
    if WITH_DOCKER:
        return inside(name, "docker ps -q --no-trunc -f label=io.kubernetes.container.name=web"
                            " | xargs -r docker inspect -f '{{.Id}} {{.State.StartedAt}}'")
    return inside(name, """
        for id in $(ctr -n k8s.io containers ls -q 'labels."io.kubernetes.container.name"==web'); do
            pid=$(ctr -n k8s.io tasks ls | awk -v id="$id" '$1 == id && $3 == "RUNNING" { print $2 }')
            [ -z "$pid" ] || echo "$id $(cut -d')' -f2 "/proc/$pid/stat" | cut -d' ' -f21)"
        done""")


def reaches_service(kube, pod):
    """Whether the pod was answered by the service each of ten times, so not by way of a pod that is gone."""
    service = kube.get("service", "web")["spec"]["clusterIP"]
    return kube.kubectl("exec", pod["metadata"]["name"], "--", "/bin/sh", "-euc",
                        f"for _ in 0 1 2 3 4 5 6 7 8 9; do /bin/http get http://{service}/; done")


def test_a_master_is_lost(kube):
    before = kept.take("master", kube)
    [lives] = [pod for pod in web_pods(kube) if pod["spec"]["nodeName"] == node_name("node")]
    running = containers("node")
    ok(running, "a pod runs on the node")
    old = node_name("master")
    killed = time.monotonic()
    lab("kill", "master")
    lab("terminate", "master")
    lab("run", "master", "--name", "master", "--set", f"JOIN_TOKEN_SECONDS={TOKEN_S}")
    answered = eventually(kube.answers, pause_s=0.2)
    print(f"the API answers again {time.monotonic() - killed:.1f} s after the master's power was cut")
    ok(answered, "the API answers again at the same address")
    ok(eventually(lambda: reaches_service(kube, lives), pause_s=0.2), "a service reaches only pods that live")
    print(f"and a service reached only pods that live {time.monotonic() - killed:.1f} s after it")
    settle("master", "the new master says ready")
    ok(node_name("master") != old, "it is another machine")
    has_just(kube, ["master", "node"], "one master, no dead one, and the node came back by itself")
    print(f"both Nodes were Ready {time.monotonic() - killed:.1f} s after the master's power was cut")
    nothing_lost(before, "master", kube, "a master lost", old)
    equal(containers("node"), running, "the pod on the node never stopped")
    ok(web_pods(kube), "the pod that was on the master runs on the new one")


def test_a_node_is_lost(kube):
    before, old = kept.take("master", kube), node_name("node")
    lab("kill", "node")
    lab("terminate", "node")
    lab("run", "node", "--name", "node", "--set", f"JOIN_TOKEN_SECONDS={TOKEN_S}")
    settle("node", "a new node joins by itself")
    has_just(kube, ["master", "node"], "the dead one's Node is gone")
    # Kubernetes removes the pods of a Node that is gone after 40 s by itself.
    kube.kubectl("delete", "pods", "--force", "--grace-period=0", f"--field-selector=spec.nodeName={old}")
    ok(web_pods(kube), "the deployment's pods run again")
    nothing_lost(before, "master", kube, "a node lost", old)


def token_id():
    return json.loads(cluster.object_of("node/join.json"))["token"].partition(".")[0]


def test_all_reboot(kube, first_token):
    ok(eventually(lambda: token_id() != first_token, TOKEN_S, 1), "the join token was renewed")
    ok(eventually(lambda: kube.kubectl("get", "secret", "-n", "kube-system", f"bootstrap-token-{first_token}",
                                       check=False).returncode != 0, TOKEN_S, 1),
       "the first join token is no longer in the cluster")
    names = world.NAMES
    before = kept.take("master", kube)
    boots = {name: inside(name, "stat -c %Z /proc/1") for name in names}
    for name in names:
        lab("reboot", name)
    for name, boot_time in boots.items():
        ok(eventually(lambda n=name, b=boot_time: inside(n, "stat -c %Z /proc/1") != b), f"{name} rebooted")
    for name in names:
        settle(name, f"all machines rebooted at once: the {name} is ready again")
    has_just(kube, names, "their Nodes are Ready")
    ok(web_pods(kube), "the deployment's pods run again")
    nothing_lost(before, "master", kube, "all machines rebooted")


@pytest.mark.parametrize("name", world.NAMES)
def test_under_valgrind(name):
    """Every service stopped, and brought up again by a daemon that valgrind watches."""
    root = Path(f"/proc/{machine.find(name).leader}/root")
    # Debian 12's valgrind knows no pidfd_open; any wants the symbols of the C library's loader.
    for suite, package, folder in (("trixie", "valgrind", "opt"), (SUITE, "libc6-dbg", "")):
        subprocess.run([LAB.parent / "tools/unpack", suite, package, root / folder], check=True,
                       stdout=subprocess.DEVNULL)
    shutil.copy(LAB.parent / "tools/valgrind", root / "opt")
    inside(name, f"systemctl stop kube-bootstrap {' '.join(UNITS[name])}")
    done = lab("exec", name, "/opt/valgrind", "/opt", "/usr/sbin/kube-bootstrap", "run", check=False)
    ok(done.returncode == 0, f"{name}: ready under valgrind", done.stdout + done.stderr)
    equal(inside(name, "cat /run/valgrind"), "", f"{name}: which has nothing to say")
    inside(name, "systemctl start kube-bootstrap")
    settle(name)
