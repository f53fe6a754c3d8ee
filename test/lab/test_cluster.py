# SPDX-License-Identifier: Apache-2.0
"""A master and a node from nothing, run again, rebooted, and the master replaced."""

import datetime
import ipaddress
import json
import re
import shlex

import pytest
from cryptography import x509

from kblab import cluster, machine, region, world
from kblab.runtime import OVERLAY_STEP, UNITS, WITH_DOCKER, with_containerd, with_docker
from kblab.testing import equal, eventually, inside, lab, ok

pytestmark = [pytest.mark.needs_root, pytest.mark.in_order]

SOCKET = "unix:///run/docker-bootstrap/docker.sock"
# etcd as the node sees it: over TLS, at the master's fixed address
ETCD = ("curl -sS --max-time 10 --cacert /srv/kubernetes/etcd-ca.crt --cert /srv/kubernetes/etcd-gateway.crt"
        " --key /srv/kubernetes/etcd-gateway.key https://172.20.128.9:2379")


def status(name):
    return json.loads(inside(name, "kube-bootstrap status --json || true"))


def overlay_of(name):
    """The overlay's subnet, as the pods' bridge has it."""
    found = re.search(r"inet (\S+)", inside(name, "ip -4 -o address show cbr0"))
    return ipaddress.ip_interface(found.group(1)).network


def check_machine(name, role):
    for unit in UNITS[role]:
        equal(inside(name, f"systemctl is-active {unit} || true"), "active", f"{name}: {unit} is active")
    equal(inside(name, "curl -sS http://127.0.0.1:10248/healthz"), "ok", f"{name}: kubelet's healthz")
    equal(inside(name, "findmnt -n -o FSTYPE /srv/kubernetes"), "tmpfs",
          f"{name}: /srv/kubernetes is a tmpfs")
    options = inside(name, "findmnt -n -o OPTIONS /srv/kubernetes").split(",")
    ok({"nodev", "nosuid", "noexec", "mode=700"} <= set(options),
       f"{name}: the tmpfs is nodev, nosuid, noexec, 0700", options)
    daemon = inside(name, "systemctl show --property MainPID --value kube-bootstrap")
    equal(inside(name, f"readlink /proc/{daemon}/ns/mnt"), inside(name, "readlink /proc/1/ns/mnt"),
          f"{name}: what the daemon mounts, PID 1 and everyone sees")
    keys = inside(name, "ls /srv/kubernetes").split()
    if role == "node":
        equal([key for key in keys if "ca.key" in key], [], f"{name}: no CA's key on the node")
    environment = dict(line.split("=", 1) for line in inside(name, "cat /run/flannel/subnet.env").split())
    equal(str(overlay_of(name)), str(ipaddress.ip_interface(environment["FLANNEL_SUBNET"]).network),
          f"{name}: the pods' bridge is on the overlay's subnet")
    equal(inside(name, "systemctl list-unit-files --state=enabled --type=service --no-legend"
                       " | grep -cE '^(containerd|docker|etcd|kubelet|flanneld|docker-bootstrap)\\.' || true"), "0",
          f"{name}: of all these units none is enabled")
    equal(inside(name, "cat /proc/$(systemctl show -P MainPID kube-bootstrap)/environ | tr '\\0' '\\n'"
                       " | grep -ciE 'secret|token|password' || true"), "0",
          f"{name}: no secret in the daemon's environment")


def etcd_health():
    """As the node sees it: etcd 3.5 says more than 3.4."""
    return json.loads(inside("node", f"{ETCD}/health"))["health"]


def leases():
    """The overlay's leases in etcd, as the daemon's own reader sees them: with user and password."""
    script = f"""
        password=$(cat /srv/kubernetes/etcd-overlay-password)
        token=$({ETCD}/v3/auth/authenticate -d "{{\\"name\\":\\"overlay-reader\\",\\"password\\":\\"$password\\"}}" |
            sed 's/.*"token":"\\([^"]*\\)".*/\\1/')
        {ETCD}/v3/kv/range -H "Authorization: $token" -d "$(printf '{{"key":"%s","range_end":"%s"}}' \
            "$(printf %s "$1" | base64 -w0)" "$(printf %s "$2" | base64 -w0)")"
    """
    def between(first, last):
        return json.loads(lab("exec", "node", "sh", "-euc", script, "sh", first, last))

    config = between("/coreos.com/network/config", "/coreos.com/network/config0")
    subnets = between("/coreos.com/network/subnets/", "/coreos.com/network/subnets0")
    refused = between("/registry/", "/registry0")
    return config.get("kvs", []), subnets.get("kvs", []), refused


def pings(source, address):
    return lab("exec", source, "ping", "-c1", "-W2", address, check=False).returncode == 0


def elastic_ip():
    values = region.seed()
    [address] = region.call("ec2", "DescribeAddresses", AllocationIds=[values["allocation_id"]])["Addresses"]
    return address.get("InstanceId")


def interface_of(instance_id):
    [interface] = region.call("ec2", "DescribeNetworkInterfaces", Filters=[
        {"Name": "attachment.instance-id", "Values": [instance_id]}])["NetworkInterfaces"]
    return interface


def volume_holder():
    [volume] = region.call("ec2", "DescribeVolumes", VolumeIds=[region.seed()["volume_id"]])["Volumes"]
    return [(a["InstanceId"], a["State"]) for a in volume["Attachments"]]


def holds_everything(instance_id, name, what):
    equal(volume_holder(), [(instance_id, "attached")], f"{what}: the volume is attached to it")
    equal(elastic_ip(), instance_id, f"{what}: the Elastic IP is associated with it")
    addresses = [a["PrivateIpAddress"] for a in interface_of(instance_id)["PrivateIpAddresses"]]
    ok("172.20.128.9" in addresses, f"{what}: the fixed address is its own in EC2", addresses)
    ok("172.20.128.9" in inside(name, "ip -4 -o address show"),
       f"{what}: the fixed address is on its interface")
    # IAM lags behind a new machine, and that denial is only a warning: the machine asks again within half a minute.
    ok(eventually(lambda: not interface_of(instance_id)["SourceDestCheck"]),
       f"{what}: the source/dest check is off")


def fingerprints(name):
    """What must outlive a master: certificates, the filesystem, etcd's member."""
    return inside(name, """
        cd /srv/kubernetes; sha256sum *.crt *.key | sort
        findmnt -n -o UUID /var/lib/kubernetes/master
        ls /var/lib/kubernetes/master/etcd/member/snap/db /var/lib/kubernetes/master/etcd/member/wal/0*0.wal
    """)


def started(name):
    """When each unit and container was started: what did not restart has the same."""
    units = " ".join(UNITS["master"])
    return inside(name, f"systemctl show -P InvocationID {units}; "
                        f"docker -H {SOCKET} inspect -f '{{{{.Id}}}} {{{{.State.StartedAt}}}}' etcd flanneld")


def test_both_boot_from_nothing():
    world.boot()
    for name in world.NAMES:
        came = inside(name, "stat -c %Y /srv/kubernetes/kubelet/kubelet-client-2*.pem | sort -n | head -n 1")
        began = inside(name, "date +%s -d \"$(systemctl show -P ActiveEnterTimestamp kubelet)\"")
        ok(int(began) >= int(came), f"the {name}'s kubelet began with its certificate", f"{began} {came}")
        pem = inside(name, "cat /srv/kubernetes/kubelet/kubelet-client-current.pem").encode()
        left = x509.load_pem_x509_certificate(pem).not_valid_after_utc - datetime.datetime.now(datetime.timezone.utc)
        ok(datetime.timedelta(6) < left <= datetime.timedelta(7), "which lives for a week", left)


@pytest.mark.parametrize("name", world.NAMES)
def test_what_a_machine_is(name):
    check_machine(name, name)


def test_the_master_holds_everything():
    holds_everything(machine.find("master").id, "master", "the master")


@with_containerd
def test_etcd_is_the_masters_own():
    listens = inside("master", "ss -ltnH 'sport = :2379 or sport = :2380' | awk '{ print $4 }' | sort").split()
    equal(listens, ["127.0.0.1:2379", "127.0.0.1:2380"], "etcd listens on the loopback alone")
    equal(inside("node", "ls /srv/kubernetes | grep -E 'etcd|flanneld' || true"), "", "a node has nothing of etcd's")


@with_docker
def test_etcd():
    equal(etcd_health(), "true", "etcd is healthy over TLS, as asked from the node")
    config, subnets, refused = leases()
    equal(len(config), 1, "flannel's key is in etcd")
    equal(len(subnets), 2, "both leases are in etcd")
    ok("permission denied" in json.dumps(refused), "the node is refused /registry in etcd", refused)
    ok(lab("exec", "node", "curl", "-sS", "--max-time", "5", "--cacert", "/srv/kubernetes/etcd-ca.crt",
           "https://172.20.128.9:2379/health", check=False).returncode != 0,
       "etcd refuses whoever has no certificate")


def test_the_overlay():
    for source, target in (("master", "node"), ("node", "master")):
        address = str(overlay_of(target).network_address + 1)
        ok(eventually(lambda s=source, a=address: pings(s, a)), f"{source} reaches {target} over the overlay")


def plan(name):
    """The exit status of plan, and what it prints of each step."""
    done = lab("exec", name, "kube-bootstrap", "plan", check=False)
    return done.returncode, dict(re.findall(r"^  (\S+) +(.*)$", done.stdout, re.M))


def test_run_again():
    before = started("master")
    region.control("POST", "/calls/reset")
    done = lab("exec", "master", "kube-bootstrap", "run", check=False)
    calls = region.control("GET", "/calls")
    equal(done.returncode, 0, "run again on a ready master: exit status 0")
    equal(calls["mutating"], 0, "run again: no mutating call")
    ok(calls["total"] > 0, "run again: it did look", calls)
    equal(started("master"), before, "run again: nothing restarted")
    for name in ("master", "node"):
        code, steps = plan(name)
        equal(code, 0, f"plan on a ready {name}: exit status 0")
        equal(steps, {step["name"]: "already so" for step in status(name)["steps"]},
              f"plan on a ready {name}: every step is already so")
    equal(lab("exec", "node", "kube-bootstrap", "run", check=False).returncode, 0,
          "run again on a ready node: exit status 0")


def test_a_plan_of_work():
    """What is to be done is told, and not done."""
    file = "/srv/kubernetes/ca.crt"
    inside("node", f"systemctl stop kube-bootstrap kubelet; chmod 0600 {file}")
    region.control("POST", "/calls/reset")
    code, steps = plan("node")
    equal(code, 2, "plan where there is work: exit status 2")
    ok(steps["secrets"].startswith("would do: ") and
       f"({file} has mode 0600 and owner 0, expected 0644 and 0)" in steps["secrets"],
       "plan where a file's mode is wrong: secrets would put it right, and why", steps)
    equal(steps["config"], "already so", "plan where there is work: what is so is told, too")
    equal(inside("node", f"stat -c %a {file}; systemctl is-active kubelet || true"),
          "600\ninactive", "plan where there is work: none of it is done")
    equal(region.control("GET", "/calls")["mutating"], 0, "plan where there is work: no mutating call")
    inside("node", "systemctl start kube-bootstrap")
    world.settle("node", "run does it: the node is ready")


def test_kubelet_restarts():
    """One that systemd has just started anew is waited for; one from before the clock was set back is not for ever
    older than its files."""
    inside("node", "systemctl restart kubelet")
    before = inside("node", "systemctl show -P InvocationID kubelet")
    equal(lab("exec", "node", "kube-bootstrap", "run", check=False).returncode, 0,
          "run while kubelet comes up: exit status 0")
    equal(inside("node", "systemctl show -P InvocationID kubelet"), before,
          "run while kubelet comes up: it is not started once more")
    for unit in ("kubelet", "docker") if WITH_DOCKER else ("kubelet",):
        inside("node", f"touch -d '1 hour' /run/kube-bootstrap/{unit}.env")
    equal(lab("exec", "node", "timeout", "120", "kube-bootstrap", "run", check=False).returncode, 0,
          "run with files from the future, as after the clock was set back: exit status 0")
    # the run may have followed one of the daemon's that had looked at them before: then its next look finds them
    ok(eventually(lambda: inside("node", "find /run/kube-bootstrap -newermt '1 minute' -name '*.env'") == ""),
       "run with files from the future: they are of now")


def test_a_stale_subnet():
    """As on a machine whose lease is no longer its own, or an image that was one: the pods' bridge has another subnet,
    and so has subnet.env."""
    subnet = overlay_of("node")
    pods = inside("node", "ls /sys/class/net/cbr0/brif")
    inside("node", "systemctl stop kube-bootstrap flanneld; ip address flush dev cbr0; "
                   "ip address add 10.244.250.1/24 dev cbr0; "
                   "sed -i 's,^FLANNEL_SUBNET=.*,FLANNEL_SUBNET=10.244.250.1/24,' /run/flannel/subnet.env")
    equal(lab("exec", "node", "timeout", "120", "kube-bootstrap", "run", check=False).returncode, 0,
          "run with a stale subnet.env and a stale bridge: exit status 0")
    inside("node", "systemctl start kube-bootstrap")
    equal(overlay_of("node"), subnet, "run with a stale subnet.env and a stale bridge: the lease's is back")
    if not WITH_DOCKER:  # docker's containers are started again
        equal(inside("node", "ls /sys/class/net/cbr0/brif"), pods, "run with a stale bridge: its pods are still on it")


BAD = {"PublicIP": "172.20.144.253", "BackendType": "vxlan", "BackendData": {"VNI": 1, "VtepMAC": "none"}}


def lease_in_etcd(verb, subnet, lease):
    """Puts a lease there, or ("deleterange") takes it away."""
    script = f"""
        password=$(cat /srv/kubernetes/etcd-root-password)
        token=$({ETCD}/v3/auth/authenticate -d "{{\\"name\\":\\"root\\",\\"password\\":\\"$password\\"}}" |
            sed 's/.*"token":"\\([^"]*\\)".*/\\1/')
        {ETCD}/v3/kv/$1 -H "Authorization: $token" -d "$(printf '{{"key":"%s"%s}}' \
            "$(printf %s "$2" | base64 -w0)" "${{3:+,\\"value\\":\\"$(printf %s "$3" | base64 -w0)\\"}}")"
    """
    lab("exec", "master", "sh", "-euc", script, "sh", verb, f"/coreos.com/network/subnets/{subnet.replace('/', '-')}",
        json.dumps(lease) if lease else "")


def lease_of_node(verb, subnet, lease):
    """A Node with such a lease, as its flanneld writes it ("create"), or none."""
    flannel = "flannel.alpha.coreos.com/"
    node = {"apiVersion": "v1", "kind": "Node", "spec": {"podCIDR": subnet, "podCIDRs": [subnet]},
            "metadata": {"name": "bad", "annotations": {
                f"{flannel}kube-subnet-manager": "true", f"{flannel}public-ip": lease["PublicIP"],
                f"{flannel}backend-type": lease["BackendType"],
                f"{flannel}backend-data": json.dumps(lease["BackendData"])}}}
    cluster.connect().kubectl(verb, "-f", "-", stdin=json.dumps(node), check=verb == "create")


def test_a_bad_lease():
    """A lease that flanneld can make no route for: told, and no reason not to be ready, nor to restart for ever."""
    subnet = "10.244.253.0/24"
    if WITH_DOCKER:
        lease_in_etcd("put", subnet, BAD)
    else:
        lease_of_node("create", subnet, BAD)
    done = lab("exec", "node", "timeout", "120", "kube-bootstrap", "run", check=False)
    equal(done.returncode, 0, "a lease without a route: still ready")

    def flanneld():
        return next(step for step in status("node")["steps"] if step["name"] == OVERLAY_STEP)

    # the run's end has the daemon look as well, which finds the same and says so anew
    warns = eventually(lambda: subnet in (flanneld()["warning"] or ""), pause_s=1)
    ok(warns, "a lease without a route: status warns of it", flanneld())
    if WITH_DOCKER:
        lease_in_etcd("deleterange", subnet, None)
    else:
        lease_of_node("delete", subnet, BAD)


def test_settings_that_stay():
    """Another overlay is refused at once; and also where the volume does not tell, but etcd does."""
    config, identity = "/etc/kubernetes/stack-config.sh", "/var/lib/kubernetes/master/cluster-identity.json"
    inside("master", f"cp {config} {config}.good; cp {identity} /var/tmp/identity.json")
    recorded = json.loads(inside("master", f"cat {identity}"))
    names = ("overlay_network", "overlay_backend", "service_network", "cluster_domain")
    ok(all(name in recorded for name in names), "the volume's identity records the settings", recorded)
    before = started("master")

    def refused(what, *words):
        def tried(verb):
            """How it ends; None while the daemon looks at something itself."""
            done = lab("exec", "master", *f"kube-bootstrap {verb}".split(), check=False)
            return None if "another run holds the lock" in done.stderr else done

        for verb in ("run --no-follow", "plan"):
            done = eventually(lambda v=verb: tried(v))
            said = done.stdout + done.stderr
            ok(done.returncode == 78 and all(word in said for word in words), f"{what}: {verb} refuses it", said)

    inside("master", f"grep -v ^OVERLAY_NETWORK= {config}.good >{config}; "
                     f"echo OVERLAY_NETWORK=10.200.0.0/16 >>{config}")
    refused("another overlay", "config", "OVERLAY_NETWORK=10.200.0.0/16, but this cluster was made with", identity)
    if WITH_DOCKER:
        old = {key: value for key, value in recorded.items() if key not in names}
        inside("master", f"printf %s {shlex.quote(json.dumps(old))} >{identity}")
        refused("another overlay, of a volume from before", "flannel-config", "OVERLAY_NETWORK=10.200.0.0/16, but",
                "flannel's configuration in etcd")
    inside("master", f"cp {config}.good {config}; kube-bootstrap run; "
                     "systemctl reset-failed kube-bootstrap; systemctl start kube-bootstrap")
    world.settle("master", "with the right one it is ready")
    equal(json.loads(inside("master", f"cat {identity}")), recorded, "with the right one the identity is completed")
    equal(started("master"), before, "none of it restarted anything")


def test_another_hardware_address():
    """flannel.1 has another address than the machine's own lease names, so that what the others send is lost there
    (flannel-io/flannel#1795): the daemon finds out, and the lease is right again."""
    mac = "5a:00:00:00:00:01"
    inside("node", f"ip link set flannel.1 address {mac}")
    done = lab("exec", "node", "timeout", "120", "kube-bootstrap", "run", check=False)
    equal(done.returncode, 0, "flannel.1 with another hardware address: exit status 0")
    now = inside("node", "cat /sys/class/net/flannel.1/address")
    ok(eventually(lambda: f"lladdr {now}" in inside("master", "ip neighbour show dev flannel.1")),
       "flannel.1 with another hardware address: the master knows it", now)
    address = str(overlay_of("node").network_address + 1)
    ok(eventually(lambda: pings("master", address)),
       "flannel.1 with another hardware address: the node is reached over the overlay")


def test_a_reboot():
    first = machine.find("master").id
    before = fingerprints("master")
    boot = inside("master", "stat -c %Z /proc/1")
    lab("reboot", "master")
    ok(eventually(lambda: inside("master", "stat -c %Z /proc/1") != boot), "the master rebooted")
    world.settle("master", "a rebooted master is ready again")
    equal(fingerprints("master"), before, "after the reboot: same volume, etcd data and certificates")
    holds_everything(first, "master", "the rebooted master")
    check_machine("master", "master")


def test_another_master():
    first = machine.find("master").id
    before = fingerprints("master")
    overlay = overlay_of("node")
    lab("kill", "master")
    lab("terminate", "master")
    second = lab("run", "master", "--name", "master").strip()
    ok(second != first, "the new master is another instance")
    world.settle("master", "a new master takes over")
    equal(fingerprints("master"), before, "after the takeover: same volume, etcd data and certificates")
    holds_everything(second, "master", "the new master")
    check_machine("master", "master")
    if WITH_DOCKER:
        ok(eventually(lambda: etcd_health() == "true"), "the node reaches the new master's etcd")
    equal(overlay_of("node"), overlay, "the node's subnet is what it was")
    address = str(overlay_of("master").network_address + 1)
    ok(eventually(lambda: pings("node", address)), "the node reaches the new master over the overlay")


def test_no_secret_is_in_journals():
    for name in ("master", "node"):
        words = inside(name, "cat /srv/kubernetes/*password* 2>/dev/null || true").split()
        journal = lab("logs", name)
        equal([word for word in words if word in journal], [], f"{name}: no password in its journal")
        ok("PRIVATE KEY" not in journal, f"{name}: no key in its journal")
