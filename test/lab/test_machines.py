# SPDX-License-Identifier: Apache-2.0
"""The lab's own promises: machines, network, volumes, power cuts, and that nothing is left behind."""

import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from kblab import cgroup, machine, region, world
from kblab.settings import INSTANCES, NAME, STATE
from kblab.testing import equal, eventually, inside, lab, ok

pytestmark = [pytest.mark.needs_root, pytest.mark.in_order]

OVERCOMMIT = Path("/proc/sys/vm/overcommit_memory")


def booted(name):
    return eventually(lambda: inside(name, "systemctl is-active multi-user.target") == "active")


def boot_id(name):
    """Its PID 1: the kernel's own boot id is the host's."""
    return machine.find(name).leader


def pings(name, address):
    return lab("exec", name, "ping", "-c1", "-W2", address, check=False).returncode == 0


def state(instance_id):
    found = region.call("ec2", "DescribeInstances", InstanceIds=[instance_id])["Reservations"]
    return found[0]["Instances"][0]["State"]["Name"]


def volume_state(volume_id):
    [volume] = region.call("ec2", "DescribeVolumes", VolumeIds=[volume_id])["Volumes"]
    attachments = volume["Attachments"]
    return attachments[0]["State"] if attachments else volume["State"]


def attach(volume_id, instance_id):
    region.call("ec2", "AttachVolume", VolumeId=volume_id, InstanceId=instance_id,
                Device="/dev/sdf")
    return eventually(lambda: volume_state(volume_id) == "attached")


def device(name, volume_id):
    """The loop device of a volume, found as from inside: by its backing file's name."""
    return inside(name, f"cd /sys/block; grep -l /{volume_id}.img loop*/loop/backing_file"
                        " | sed 's,/.*,,; s,^,/dev/,'")


def leftovers():
    """Whatever the lab has outside its folders, as a list to show."""
    def lines(*argv):
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.splitlines()

    found = [line for line in lines("ip", "netns") if line.split()[:1] == [NAME]]
    found += [line for line in lines("ip", "-o", "link") if NAME in line]
    found += [line for line in lines("ip", "route") if NAME in line]
    found += [line for line in lines("losetup", "--list", "--noheadings") if str(STATE) in line]
    found += [line for line in Path("/proc/mounts").read_text().splitlines()
              if str(STATE) in line or f"/netns/{NAME}" in line]
    found += [folder for folder, _, _ in os.walk("/sys/fs/cgroup") if Path(folder).name == NAME]
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it has ended
        if str(INSTANCES) in command or "hypervisor.py supervise" in command:
            found.append(f"{process.parent.name}: {command}")
    if STATE.exists():
        found += map(str, STATE.iterdir())
    return found


@pytest.fixture(scope="module", autouse=True)
def overcommit():
    """The lab is up, without the tree's program, and is ended. The value is one of the kernel's settings before."""
    was_up = region.runs()
    lab("down")
    before = OVERCOMMIT.read_text()
    lab("up", "--no-build", timeout_s=3600)
    started = time.monotonic()
    lab("up", "--no-build")
    print(f"a second up takes {time.monotonic() - started:.1f} s")
    yield before
    lab("down")
    if was_up:
        lab("up")


def id_of(name):
    return machine.find(name).id


def test_two_machines_boot():
    started = time.monotonic()
    lab("run", "node", "--name", "one", "--zone", "a")
    print(f"an instance runs {time.monotonic() - started:.2f} s after asking for it")
    lab("run", "node", "--name", "two", "--zone", "b")
    ok(booted("one") and booted("two"), "two instances boot", lab("console", "one")[-2000:])

    equal(inside("one", "cat /proc/1/comm"), "systemd", "systemd is PID 1")
    equal(lab("exec", "one", "sh", "-c", "exit 7", check=False).returncode, 7,
          "exec passes the exit status")
    address = inside("one", "hostname -I").split()[0]
    equal(inside("one", "hostname -f"), f"ip-{address.replace('.', '-')}.ec2.internal",
          "the host name is the private DNS name")
    equal(inside("one", "cat /sys/class/net/host0/address"),
          inside("one", "t=$(curl -sf -X PUT -H X-aws-ec2-metadata-token-ttl-seconds:60"
                        " 169.254.169.254/latest/api/token);"
                        " curl -sf -H X-aws-ec2-metadata-token:$t"
                        " 169.254.169.254/latest/meta-data/mac"),
          "the interface has the MAC address that the metadata tells")
    ok("KUBERNETES_ROLE=node" in inside("one", "cat /etc/kubernetes/stack-config.sh"),
       "user data wrote stack-config.sh")
    # An unsigned call lacks a parameter: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
    equal(inside("one", "curl -s -o /run/answer -w '%{http_code} ' -d 'Action=DescribeVolumes&Version=2016-11-15'"
                        " https://ec2.us-east-1.amazonaws.com/; grep -o 'MissingParameter' /run/answer"),
          "400 MissingParameter", "TLS to AWS's own host name is trusted inside, and EC2 answers")


def test_the_network():
    ok(pings("two", inside("one", "hostname -I").split()[0]), "they reach each other across subnets")
    address = region.call("ec2", "AllocateAddress", Domain="vpc")
    region.call("ec2", "AssociateAddress", AllocationId=address["AllocationId"], InstanceId=id_of("one"))
    ok(eventually(lambda: pings("two", address["PublicIp"])), "an Elastic IP leads to its instance")
    inside("one", "systemd-socket-activate -l 8000 --inetd -a echo hello </dev/null >/dev/null 2>&1 &"
                  " sleep 0.3")
    with socket.create_connection((address["PublicIp"], 8000), timeout=5) as connection:
        equal(connection.makefile().read(), "hello\n", "and from this host, too")


def test_a_container_gets_no_token():
    """A container gets no token of its machine's metadata: the answer's hop limit is 1, as in the template."""
    inside("one", """
        ip netns add box
        ip link add box0 type veth peer name eth0 netns box
        ip address add 192.0.2.1/24 dev box0; ip link set box0 up
        ip -n box address add 192.0.2.2/24 dev eth0; ip -n box link set eth0 up
        ip -n box route add default via 192.0.2.1
        sysctl -qw net.ipv4.ip_forward=1
        iptables -t nat -A POSTROUTING -s 192.0.2.0/24 -j MASQUERADE""")
    ask = "nsenter --net=/run/netns/box curl -s -m 3 -o /dev/null -w '%{http_code}'"
    equal(inside("one", f"{ask} 169.254.169.254/latest/meta-data/ || true"), "401",
          "a container on an instance reaches the metadata")
    equal(inside("one", f"{ask} -X PUT -H X-aws-ec2-metadata-token-ttl-seconds:60"
                        " 169.254.169.254/latest/api/token || true"), "000", "but is answered no token")


def test_volumes_and_power_cuts():
    one = id_of("one")
    volume_id = region.call("ec2", "CreateVolume", AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    ok(eventually(lambda: volume_state(volume_id) == "available"), "a volume is made")
    ok(attach(volume_id, one), "a volume attaches")
    disk = device("one", volume_id)
    inside("one", f"mkfs.ext4 -q {disk}; mkdir /mnt/v; mount {disk} /mnt/v; echo kept >/mnt/v/file")
    ok(lab("exec", "two", "test", "-e", disk, check=False).returncode != 0,
       "its device is in the /dev of that instance only")

    before = boot_id("one")
    cut = threading.Thread(target=machine.find("one").run, args=("sleep", "3000"))
    cut.start()
    asked = lab("exec", "one", "systemctl", "reboot", check=False)
    again = eventually(lambda: boot_id("one") not in (None, before))
    is_up = again and booted("one")
    ok(is_up, "a reboot from inside boots it again", "" if is_up else f"{asked} {again}\n{world.seen_of('one')}")
    cut.join(300)
    ok(not cut.is_alive(), "which ends a command that ran inside")
    ok(eventually(lambda: inside("one", f"mount {disk} /mnt/v; cat /mnt/v/file") == "kept"),
       "the volume is there after it")

    lab("kill", "one")
    ok("one off" in " ".join(" ".join(line.split()[1:3]) for line in lab("list").splitlines()),
       "a power cut leaves the instance off")
    equal(state(one), "running", "which the region does not know")
    lab("reboot", "one")
    ok(eventually(lambda: inside("one", f"mount {disk} /mnt/v; cat /mnt/v/file") == "kept"),
       "a reboot by the region powers it on, with its volume")

    region.call("ec2", "DetachVolume", VolumeId=volume_id)
    time.sleep(1)
    equal(volume_state(volume_id), "detaching", "a volume that is mounted stays detaching")
    inside("one", "umount /mnt/v")
    ok(eventually(lambda: volume_state(volume_id) == "available"), "until it is unmounted")

    attach(volume_id, one)
    inside("one", f"mount {device('one', volume_id)} /mnt/v")
    lab("terminate", "one")
    ok(eventually(lambda: state(one) == "terminated"), "an instance terminates")
    ok(eventually(lambda: volume_state(volume_id) == "available"), "which frees its volume")
    three = lab("run", "node", "--name", "three", "--zone", "a").strip()
    booted("three")
    attach(volume_id, three)
    equal(inside("three", f"mount {device('three', volume_id)} /mnt; cat /mnt/file"), "kept",
          "the next instance finds the data")


def test_a_stop_and_a_start():
    two = id_of("two")
    lab("stop", "two")
    ok(eventually(lambda: state(two) == "stopped"), "an instance stops")
    lab("start", "two")
    ok(eventually(lambda: state(two) == "running") and booted("two"), "and starts again")


def test_the_processes_of_the_lab_die():
    """Whatever does, "down" finds what it left."""
    # Only what is in the lab's own control groups: another lab's region may run on this machine.
    ours = {pid for name in cgroup.names() for pid in cgroup.Group(name).pids()}
    for pid in ours:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # it has ended
        if b"supervise" in command or str(region.FRONT).encode() in command:
            os.kill(pid, signal.SIGKILL)
    ok(eventually(lambda: not region.runs()), "the region is gone with its process")
    ok("running" in lab("list"), "machines go on without their supervisors")


def test_down_leaves_nothing(overcommit):
    lab("down")
    equal(leftovers(), [], "down leaves nothing")
    equal(OVERCOMMIT.read_text(), overcommit, "the kernel's settings are back")
    equal(lab("down", check=False).returncode, 0, "a second down has nothing to do")
