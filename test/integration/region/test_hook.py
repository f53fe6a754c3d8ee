# SPDX-License-Identifier: Apache-2.0
"""The hook that moves hardware: when it is called, with what, and what its failure does."""

import json
import subprocess
import tempfile
import urllib.error
from pathlib import Path

import pytest
from region_checks.harness import wait

pytestmark = pytest.mark.needs_root
HOOK = Path(__file__).with_name("hook-program")
NOISE = Path(__file__).resolve().parents[2] / "lab/kblab/noise.py"


@pytest.fixture(scope="module")
def front_options():
    """The hook; where there is one, the simulated machine has no delays of its own."""
    return "--hypervisor", str(HOOK)


def told(front, verb):
    """What the hook was told by verb so far."""
    lines = (front.state / "requests.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines if '"hypervisor"' in line]
    return [e["payload"] for e in events if e["verb"] == verb]


def name_tag(name):
    return [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": name}]}]


def test_it_is_told_of_a_machines_whole_life(front):
    instance = front.launch(TagSpecifications=name_tag("life"))
    interface = front.describe(instance)["NetworkInterfaces"][0]
    assert told(front, "launch")[-1] == {
        "instance_id": instance, "private_ip": interface["PrivateIpAddress"], "prefix_len": 20,
        "gateway": "172.20.128.1", "mac": interface["MacAddress"],
        "eni_id": interface["NetworkInterfaceId"], "zone": "us-east-1a", "type": "t3.small",
        "name": "life"}
    volume = front.new_volume()
    front.ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
    front.wait_volume(volume, "attached")
    disk = {"instance_id": instance, "volume_id": volume, "device": "/dev/sdf", "size_gib": 1}
    assert told(front, "attach") == [disk]
    front.ec2.detach_volume(VolumeId=volume)
    front.wait_volume(volume, "available")
    assert told(front, "detach") == [disk]
    allocated = front.ec2.allocate_address(Domain="vpc")
    front.ec2.associate_address(AllocationId=allocated["AllocationId"], InstanceId=instance)
    front.ec2.reboot_instances(InstanceIds=[instance])
    front.ec2.terminate_instances(InstanceIds=[instance])
    front.wait_instance(instance, "terminated")
    mapped = {"public_ip": allocated["PublicIp"], "private_ip": interface["PrivateIpAddress"]}
    wait(lambda: told(front, "disassociate") == [mapped], "the address taken back")
    assert told(front, "associate") == [mapped]
    for verb in ("reboot", "terminate"):
        assert told(front, verb) == [{"instance_id": instance}]


def test_an_encrypted_volume_reads_as_noise(front):
    instance = front.launch()

    def disk(**params):
        """What the hook is told of a new volume's noise; the volume goes again."""
        volume = front.new_volume(**params)
        front.ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
        front.wait_volume(volume, "attached")
        front.ec2.detach_volume(VolumeId=volume)
        front.wait_volume(volume, "available")
        return told(front, "attach")[-1].get("noise")

    assert disk(Encrypted=True) is None  # the knob is off
    with front.settings(seed=77, noise={"mode": "sparse", "imitate": "jbd"}):
        first, second = disk(Encrypted=True), disk(Encrypted=True)
        assert (first["mode"], first["imitate"], first["seed"].partition("/")[0]) == ("sparse", "jbd", "77")
        assert first["seed"] != second["seed"], (first, second)
        assert disk() is None
        source = front.new_volume(Encrypted=True)
        snapshot = front.ec2.create_snapshot(VolumeId=source)["SnapshotId"]
        assert disk(SnapshotId=snapshot, Encrypted=True) is None
    for wrong in ({"mode": "much"}, {"imitate": "vfat"}, {"mode": 1}):
        with pytest.raises(urllib.error.HTTPError) as refusal:
            front.control("POST", "/settings", {"noise": wrong})
        assert refusal.value.code == 400, wrong
    front.ec2.terminate_instances(InstanceIds=[instance])


def test_noise_is_where_anybody_looks(front):
    """The file that the hook makes of what it is told: the same for the same seed, and none of it zero."""
    size = 256 << 20
    with tempfile.TemporaryDirectory() as folder:
        def made(name, *how):
            path = Path(folder, name)
            subprocess.run([NOISE, path, str(size), *how], check=True)
            return path.read_bytes()

        def known(name):
            return subprocess.run(["blkid", "-p", "-o", "export", Path(folder, name)], check=False,
                                  capture_output=True, text=True).stdout

        first = made("first", "7/1", "sparse")
        blocks = [first[at:at + 4096].strip(b"\0") != b"" for at in range(0, size, 4096)]
        assert all(blocks[:1024]) and all(blocks[-1024:]), "the first and the last 4 MiB"
        assert all(any(blocks[at:at + 64]) for at in range(1024, len(blocks) - 1024, 64)), "one in 64"
        assert not all(blocks), "and not all"
        assert (made("again", "7/1", "sparse") == first, made("other", "7/2", "sparse") == first) == (True, False)
        assert known("first") == ""
        whole = made("whole", "7/1", "whole")
        assert all(whole[at:at + 4096].strip(b"\0") for at in range(0, size, 4096))
        for imitation, wanted in (("atari", "PTTYPE=atari"), ("jbd", "TYPE=jbd"),
                                  ("jmicron", "TYPE=jmicron_raid_member")):
            made(imitation, "7/1", "sparse", imitation)
            assert wanted in known(imitation).split(), (imitation, known(imitation))


def test_a_machine_that_does_not_start_is_terminated(front):
    made = front.ec2.run_instances(
        ImageId=front.seed["image_id"], MinCount=1, MaxCount=1, InstanceType="t3.small",
        SubnetId=front.seed["subnets"]["us-east-1a"],
        TagSpecifications=name_tag("fails-to-launch"))["Instances"][0]["InstanceId"]
    front.wait_instance(made, "terminated")
    assert front.describe(made)["StateReason"]["Code"] == "Server.InternalError"
    # And stays so, once moto is asked again and the instance forgotten.
    front.control("POST", "/instances/forget", {"instance": made})
    front.ec2.create_tags(Resources=[front.seed["volume_id"]], Tags=[{"Key": "a", "Value": "b"}])
    assert made not in [i["id"] for i in front.control("GET", "/instances")]


def test_a_disk_that_does_not_come_stays_attaching(front):
    instance, volume = front.launch(), front.new_volume()
    front.ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdz")  # fails
    wait(lambda: volume in [d["volume_id"] for d in told(front, "attach")], "the hook's end")
    assert front.volume(volume)["Attachments"][0]["State"] == "attaching"
    front.ec2.detach_volume(VolumeId=volume)
    front.wait_volume(volume, "available")
    front.ec2.terminate_instances(InstanceIds=[instance])
