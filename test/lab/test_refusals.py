# SPDX-License-Identifier: Apache-2.0
"""Bad input: each is refused with a message that names what is wrong, and nothing is changed."""

import hashlib
import json
import shlex
import subprocess

import pytest

from kblab import machine, region
from kblab.settings import VOLUMES
from kblab.testing import equal, eventually, inside, lab, ok

pytestmark = [pytest.mark.needs_root, pytest.mark.in_order]

CONFIG = "/etc/kubernetes/stack-config.sh"
FAILED, CONVERGING, UNSAFE, DENIED, CONFIGURATION = 1, 2, 65, 77, 78
GIB = 1 << 30


def run(name, timeout_s=60):
    """kube-bootstrap run by hand: its exit status, and all that it said."""
    done = lab("exec", name, "timeout", "--signal=INT", timeout_s, "kube-bootstrap", "run", check=False)
    return done.returncode, done.stdout + done.stderr


def refused(name, what, statuses, *words, timeout_s=60):
    """Run, and claim: refused with one of these statuses, in these words, without a mutating call."""
    region.control("POST", "/calls/reset")
    status, said = run(name, timeout_s)
    ok(status in statuses, f"{what}: refused", f"status {status}, wanted {statuses}\n{said}")
    missing = [word for word in words if word not in said]
    ok(not missing, f"{what}: the message says why", f"lacks {missing}\n{said}")
    return calls_of(name)


def calls_of(name):
    return region.control("GET", f"/calls?instance={machine.find(name).id}")


def changed_nothing(calls, what, allowed=()):
    mutating = [action for action, count in calls["by_action"].items()
                if count["mutating"] and action.partition(":")[2] not in allowed]
    equal(mutating, [], f"{what}: nothing was changed in the region")


def configure(name, text):
    inside(name, f"printf %s {shlex.quote(text)} >{CONFIG}")


def with_key(text, key, value):
    return "".join(f"{key}={shlex.quote(value)}\n" if line.startswith(f"{key}=") else f"{line}\n"
                   for line in text.splitlines())


def volume(content, zone="us-east-1a"):
    """A volume with that on it; content is a command that gets the image's path."""
    made = region.call("ec2", "CreateVolume", AvailabilityZone=zone, Size=1, VolumeType="gp3")
    image = VOLUMES / f"{made['VolumeId']}.img"
    assert eventually(lambda: state(made["VolumeId"]) == "available")
    with open(image, "wb") as file:
        file.truncate(GIB)
    if content:
        subprocess.run(["sh", "-euc", content, "sh", image], check=True, capture_output=True)
    region.outlast_reads()
    return made["VolumeId"]


def digest(volume_id):
    with open(VOLUMES / f"{volume_id}.img", "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def state(volume_id):
    [found] = region.call("ec2", "DescribeVolumes", VolumeIds=[volume_id])["Volumes"]
    return found["State"]


def run_until(name, *words):
    """Run by hand until it says all of these, and then told to stop; or until it ends by itself."""
    there = " && ".join(f"grep -qF {shlex.quote(word)} /run/said" for word in words)
    done = inside(name, f"""
        : >/run/said # what the run before has said is not looked at
        kube-bootstrap run >/run/said 2>&1 & run=$!
        for _ in $(seq 600); do
            if {{ {there}; }} || ! kill -0 $run 2>/dev/null; then break; fi
            sleep 0.2
        done
        kill -TERM $run 2>/dev/null || true
        wait $run && status=0 || status=$?
        echo $status
        cat /run/said""")
    status, _, said = done.partition("\n")
    return int(status), said


@pytest.fixture(scope="module", autouse=True)
def lab_is_up():
    lab("up")


def test_user_data_that_is_a_script():
    """It is not run in time: the first boot ends in a refusal, not in a hang."""
    script = VOLUMES / "user-data"
    script.write_text("#!/bin/sh\necho KUBERNETES_ROLE=master >/etc/kubernetes/stack-config.sh\n")
    lab("run", "master", "--name", "scripted", "--user-data", script)
    what = "user data given as a script"
    failed = eventually(lambda: inside("scripted", "systemctl is-failed kube-bootstrap || true") == "failed")
    ok(failed, f"{what}: the unit fails, and is not restarted")
    equal(inside("scripted", "systemctl show -P ExecMainStatus kube-bootstrap"), str(CONFIGURATION),
          f"{what}: with the status of a wrong configuration")
    ok("#cloud-config" in lab("logs", "scripted", "--no-pager", "-u", "kube-bootstrap"),
       f"{what}: the journal says what to do")
    ok(eventually(lambda: inside("scripted", "systemctl is-active multi-user.target") == "active"),
       f"{what}: the boot went on")
    lab("terminate", "scripted")


@pytest.fixture(scope="module")
def good():
    """Machines whose own boots are refused, for everything else to be tried in by hand: a node, which goes on asking
    for its bucket, and a master, which ends. The master's stack-config.sh."""
    lab("run", "node", "--name", "waiting", "--set", "S3_BUCKET=no-such-bucket-anywhere")
    lab("run", "master", "--name", "bench", "--set", "KUBERNETES_ROLE=node")
    assert eventually(lambda: inside("bench", "systemctl is-failed kube-bootstrap || true") == "failed")
    inside("bench", f"sed -i 's/^KUBERNETES_ROLE=.*/KUBERNETES_ROLE=master/' {CONFIG}")
    return inside("bench", f"cat {CONFIG}") + "\n"


def test_a_wrong_configuration(good):
    """stack-config.sh: missing, partial, or what only a shell could make sense of."""
    name = "bench"
    inside(name, f"mv {CONFIG} {CONFIG}.good")
    calls = refused(name, "no stack-config.sh", [CONFIGURATION], CONFIG, "does not exist", "write_files")
    changed_nothing(calls, "no stack-config.sh")
    ok(calls["total"] == 0, "no stack-config.sh: nobody was asked anything", calls)
    cases = [
        ("half a file", "".join(good.splitlines(True)[:2]), [f"{CONFIG}: S3_BUCKET is missing"]),
        ("cut within quotes", good + "X='half", [f"{CONFIG}:", "never closed"]),
        ("$(reboot)", good + "X=$(reboot)\n", [f"{CONFIG}:", "command substitution"]),
        ("an unknown role", with_key(good, "KUBERNETES_ROLE", "king"), ["KUBERNETES_ROLE", "king", "master|node"]),
        ("a role that contradicts IMDS", with_key(good, "KUBERNETES_ROLE", "node"),
         ["KUBERNETES_ROLE=node", "IAM role"]),
    ]
    boot = inside(name, "stat -c %Z /proc/1")
    for what, text, words in cases:
        configure(name, text)
        changed_nothing(refused(name, what, [CONFIGURATION], *words), what)
    equal(inside(name, "stat -c %Z /proc/1"), boot, "$(reboot): the machine was not rebooted")
    equal(lab("exec", name, "kube-bootstrap", "check-config", check=False).returncode, 0,
          "check-config accepts what only IMDS contradicts")
    configure(name, good)


@pytest.mark.usefixtures("good")
def test_wrong_metadata():
    """IMDS that answers HTML, 401, or nothing."""
    for what, fault, wanted, words in [
            ("IMDS answers HTML", {"effect": "html"}, CONFIGURATION,
             ["instance metadata: ", "something else answers at its address: \"<html>"]),
            ("IMDS answers 401", {"effect": "error", "status": 401}, DENIED,
             ["instance metadata: ", "HTTP status 401"]),
            # which is waited for, as it may come up late
            ("IMDS answers nothing", {"effect": "silence"}, CONVERGING,
             ["the instance metadata service"])]:
        region.control("POST", "/imds-faults", {"action": "*", "count": 0, **fault})
        region.control("POST", "/calls/reset")
        status, said = run_until("bench", *words)
        equal(status, wanted, f"{what}: the exit status says so")
        ok(all(word in said for word in words), f"{what}: the message says so", said)
        changed_nothing(calls_of("bench"), what)
        region.control("DELETE", "/faults")


def test_a_wrong_volume(good):
    """Volumes that are not to be had, or hold something that is not this cluster's."""
    name = "bench"
    instance_id = machine.find(name).id
    configure(name, with_key(good, "MASTER_VOLUME_ID", "vol-0123456789abcdef0"))
    what = "a volume that does not exist"
    # the instance's own source/destination check depends on no volume: it is off from here on
    changed_nothing(refused(name, what, [CONFIGURATION], "vol-0123456789abcdef0", timeout_s=120), what,
                    ["ModifyNetworkInterfaceAttribute"])

    elsewhere = volume(None, "us-east-1b")
    configure(name, with_key(good, "MASTER_VOLUME_ID", elsewhere))
    what = "a volume in another zone"
    changed_nothing(refused(name, what, [CONFIGURATION], elsewhere, "us-east-1a", "us-east-1b"), what)

    holder = lab("run", "node", "--name", "holder", "--zone", "a").strip()
    held = volume(None)
    region.call("ec2", "AttachVolume", VolumeId=held, InstanceId=holder, Device="/dev/sdf")
    ok(eventually(lambda: state(held) == "in-use"), "the volume is attached elsewhere")
    region.outlast_reads()
    configure(name, with_key(good, "MASTER_VOLUME_ID", held) + "ATTACH_TIMEOUT_SECONDS=5\n")
    what = "a volume attached elsewhere"
    changed_nothing(refused(name, what, [FAILED], held, holder, "running"), what,
                    ["ModifyNetworkInterfaceAttribute"])
    lab("terminate", "holder")

    # The stack's role may attach the stack's volume alone.
    region.call("iam", "PutRolePolicy", RoleName="kb-master", PolicyName="any-volume", PolicyDocument=json.dumps({
        "Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "ec2:AttachVolume", "Resource": "arn:aws:ec2:*:*:volume/*"}]}))
    contents = [
        ("ext4 of another cluster", "mkfs.ext4 -q -L other-cluster $1", ["ext4", "other-cluster"]),
        ("xfs", "mkfs.xfs -q $1", ["xfs"]),
        ("LUKS", "printf secret | cryptsetup luksFormat -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 $1 -",
         ["crypto_LUKS"]),
        ("a partition table", "printf 'label: gpt\\n,\\n' | sfdisk -q $1", ["gpt"]),
        ("one byte at its end", "printf x | dd of=$1 bs=1 seek=$((1073741824 - 4096)) conv=notrunc", []),
    ]
    for what, content, words in contents:
        foreign = volume(content)
        before = digest(foreign)
        configure(name, with_key(good, "MASTER_VOLUME_ID", foreign))
        calls = refused(name, f"a volume holding {what}", [UNSAFE], foreign, *words)
        changed_nothing(calls, f"a volume holding {what}", ["AttachVolume"])
        region.call("ec2", "DetachVolume", VolumeId=foreign, InstanceId=instance_id)
        ok(eventually(lambda v=foreign: state(v) == "available"), f"a volume holding {what} is detached")
        equal(digest(foreign), before, f"a volume holding {what}: not a byte of it changed")
    lab("terminate", name)


@pytest.mark.usefixtures("good")
def test_a_wrong_bucket():
    """Buckets that are not there, or deny; run on a node, which needs nothing but the bucket."""
    name = "waiting"
    ok(eventually(lambda: "NoSuchBucket" in lab("logs", name)), "a boot with a bucket that does not exist says so")
    equal(inside(name, "systemctl is-active kube-bootstrap || true"), "activating", "and goes on asking for it")
    inside(name, "systemctl stop kube-bootstrap")  # it would run the table beside the runs by hand
    good = with_key(inside(name, f"cat {CONFIG}"), "S3_BUCKET", region.seed()["bucket"])
    configure(name, with_key(good, "S3_BUCKET", "no-such-bucket-anywhere"))
    what = "a bucket that does not exist"
    # the instance's own source/destination check depends on no bucket
    own = ["ModifyNetworkInterfaceAttribute"]
    changed_nothing(refused(name, what, [CONFIGURATION], "no-such-bucket-anywhere", timeout_s=120), what, own)
    configure(name, good)
    what = "a bucket that denies"
    region.control("POST", "/faults", {"action": "s3:*", "effect": "error", "status": 403,
                                       "code": "AccessDenied", "count": 0})
    changed_nothing(refused(name, what, [DENIED], "s3:GetObject"), what, own)
    region.control("DELETE", "/faults")
    lab("terminate", name)
