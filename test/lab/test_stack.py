# SPDX-License-Identifier: Apache-2.0
"""The stack, from its creation to its end: what its groups launch is a cluster, by the template's own user data and
under its own policies; and each statement of these is needed. The region is at its worst: roles that come late, IAM's
lag, stale reads, a volume of noise that looks like a partition table, machines that take long to end; nobody asks in
vain more often than the pauses between attempts allow."""

import copy
import math

import pytest

from kblab import cluster, machine, region
from kblab.stack import NAME, READY_S, change, machines, nodes_are, output, replace_master, resource, settle
from kblab.testing import equal, eventually, inside, lab, ok

pytestmark = [pytest.mark.needs_root, pytest.mark.in_order]

OPTIONAL = 12  # paths of the metadata that may be absent
WAITS_S = 5  # the longest pause between looks at what another machine makes (RETRY_LOCAL)
# Answers that say that something is not there yet, by whose lateness.
LATE = {"UnauthorizedOperation": "iam", "AccessDenied": "iam", "NoSuchBucket": "s3",
        "InvalidVolume.NotFound": "reads", "InvalidNetworkInterfaceID.NotFound": "reads",
        "InvalidInstanceID.NotFound": "reads", "InvalidAllocationID.NotFound": "reads",
        "VolumeInUse": "ec2", "IncorrectState": "ec2", "Resource.AlreadyAssociated": "ec2"}


@pytest.fixture(scope="module")
def knobs():
    """Of a hostile region, in which nothing is yet."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_KNOBS", "hostile")
        lab("down")
        lab("up")
        yield region.control("GET", "/settings")


@pytest.fixture(scope="module")
def client():
    """kubectl, once the stack has a master."""
    return cluster.connect()


@pytest.fixture(scope="module")
def seen():
    """The machines that there were before the first master was lost."""
    return set()


def test_the_groups_launch_machines(knobs):
    equal([knobs["noise"], knobs["iam"]["lag_s"] > 0, knobs["reads"]["stale_s"] > 0],
          [{"mode": "sparse", "imitate": "atari"}, True, True], "the region is hostile")
    change("create_stack", 2)
    settle("master", 1)
    settle("node", 2)


def test_user_data():
    [master] = machines("master")
    text = inside(master, "cat /etc/kubernetes/stack-config.sh")
    for line in (f"MASTER_VOLUME_ID={output('MasterVolumeId')}", f"S3_BUCKET={output('BucketName')}",
                 f"MASTER_IAM_ROLE={resource('MasterRole')}"):
        ok(line in text.replace('"', "").splitlines(), f"user data says {line.partition('=')[0]}", text)
    zones = {machine.find(node).request["zone"] for node in machines("node")}
    equal(len(zones), 2, "two nodes are in two zones")


def test_signals():
    said = {(each["resource"], each["unique_id"]): each["status"]
            for each in region.control("GET", "/signals")}
    for role, group in (("master", "MasterGroup"), ("node", "NodeGroup")):
        for each in machines(role):
            ok(eventually(lambda k=(group, each): {
                (s["resource"], s["unique_id"]): s["status"]
                for s in region.control("GET", "/signals")}.get(k) == "SUCCESS"),
               f"{group} was told that {role} is ready", said)


def test_they_are_a_cluster(client):
    nodes_are(client, 3, "kubectl from outside shows the three")
    equal(lab("kubectl", "config", "view", "-o", "jsonpath={.clusters[*].cluster.server}"),
          output("ApiEndpoint") + ":443", "lab kubectl asks the stack's master, not the seeded cluster's")


def test_lab_run_beside_a_stack():
    refusal = lab("run", "master", check=False)
    ok(refusal.returncode == 1 and "172.20.128.9" in refusal.stderr,
       "lab run refuses a second master with the same fixed address", refusal.stderr)
    lab("run", "node", "--name", "beside")
    held = [address for each in region.control("GET", "/instances") for i in each["interfaces"]
            for address in i["addresses"]]
    equal(sorted(set(held)), sorted(held), "lab run gives out no address twice")
    lab("terminate", "beside")


def test_a_third_node(client, seen):
    change("update_stack", 3)
    settle("node", 3)
    nodes_are(client, 4, "update-stack to a third node: it joins")
    seen |= machines("master") | machines("node")


def test_the_master_is_lost(client):
    replace_master(client, 4)


def tries(seconds):
    """How often a step asks in so long: its pauses are drawn up to 1 s, 2 s, 4 s, … 15 s (RETRY_AWS of the table)."""
    return 3 + 2 * math.ceil(math.log2(1 + seconds))


def in_vain(knobs):
    """(call, answer) -> how often a machine may have had it; nothing else may be refused."""
    lasts = {"iam": knobs["iam"]["lag_s"], "s3": knobs["s3"]["bucket_lag_s"], "reads": knobs["reads"]["stale_s"],
             "ec2": knobs["ec2"]["shutting_down_s"] + knobs["reads"]["stale_s"]}
    role = knobs["imds"]["credentials_absent_s"] + knobs["imds"]["other_code_s"]

    def allowed(call, code):
        if call.startswith("imds:"):
            return OPTIONAL + 2 * tries(role) if code == "404" else 0
        once = {("s3:PutObject", "PreconditionFailed"),  # the claim of the master that was lost
                ("cloudformation:SignalResource", "ValidationError")}  # the stack does not wait for its heir
        if (call, code) in once:
            return 1
        if (call, code) == ("s3:GetObject", "NoSuchKey"):
            return READY_S // WAITS_S  # what the master has yet to make
        return tries(lasts[LATE[code]]) if code in LATE else 0
    return allowed


def check_calls(machine_id, knobs):
    allowed, wrong = in_vain(knobs), []
    for call, entry in region.control("GET", f"/calls?instance={machine_id}")["by_action"].items():
        for code, count in entry["errors"].items():
            print(f"{machine_id} {call} {code}: {count}, allowed {allowed(call, code)}")
            if count > allowed(call, code):
                wrong.append((call, code, count))
        done = entry["count"] - sum(entry["errors"].values())
        # What a stale read did not show is done again.
        if call.startswith("ec2:") and entry["mutating"] and done > 1 + tries(knobs["reads"]["stale_s"]):
            wrong.append((call, "done", done))
    equal(wrong, [], f"{machine_id} asked for nothing in vain but what was late, and not too often")


def test_calls_in_vain(seen, knobs):
    refused_calls = sum(sum(entry["errors"].values()) for call, entry in
                        region.control("GET", "/calls")["by_action"].items() if call.startswith("ec2:"))
    ok(refused_calls > 0, f"EC2 refused {refused_calls} calls")
    for each in sorted(seen | machines("master")):
        check_calls(each, knobs)
    equal({each["status"] for each in region.control("GET", "/signals")}, {"SUCCESS"}, "no machine told of a failure")


def without(document, sid):
    left = copy.deepcopy(document)
    left["Statement"] = [each for each in left["Statement"] if each["Sid"] != sid]
    return left


def test_each_statement_of_the_policies_is_needed():
    """Each statement of the two roles' policies is needed for something that was done here."""
    asked = region.control("GET", "/permissions")
    roles = {role: resource(f"{role}Role") for role in ("Master", "Node")}
    equal([each for each in asked if each["role"] in roles.values() and not each["allowed"]], [],
          "the two roles suffice: nothing was denied, from the first boot to the failover")
    for role, name in roles.items():
        mine = [each for each in asked if each["role"] == name]
        documents = region.control("GET", f"/policies?role={name}")
        for i, document in enumerate(documents):
            for sid in [each["Sid"] for each in document["Statement"]]:
                changed = [*documents[:i], without(document, sid), *documents[i + 1:]]
                answers = region.control("POST", "/permissions/judge", {"policies": changed, "asked": mine})
                lost = sorted({each["action"] for each, still in zip(mine, answers) if not still})
                ok(lost, f"{role}'s statement {sid}: without it is refused {', '.join(lost)}")
    refused(roles["Node"], [each for each in asked if each["role"] == roles["Master"]])


def refused(node_role, masters):
    """What a master did, asked by a node's role; and the interface's groups."""
    wanted = {"ec2:AttachVolume", "ec2:DetachVolume", "ec2:AssociateAddress",
              "ec2:AssignPrivateIpAddresses", "s3:PutObject"}
    policies = region.control("GET", f"/policies?role={node_role}")
    asked = [each | {"role": node_role} for each in masters
             if each["action"] in wanted or "/master/" in each["resource"] or "/admin/" in each["resource"]]
    asked += [each | {"action": "ec2:DetachVolume"} for each in asked if each["action"] == "ec2:AttachVolume"]
    asked.append({"role": node_role, "action": "ec2:ModifyNetworkInterfaceAttribute", "context": {},
                  "resource": "arn:aws:ec2:us-east-1:123456789012:security-group/"
                              + resource("ClusterSecurityGroup")})
    for each, allowed in zip(asked, region.control("POST", "/permissions/judge",
                                                   {"policies": policies, "asked": asked})):
        wanted.discard(each["action"])
        if allowed:
            ok(False, f"a node's role is refused {each['action']} on {each['resource']}")
    equal(wanted, set(), f"a node's role is refused all {len(asked)} of what the master may beyond it")


def test_the_end_of_the_stack():
    volume, bucket = output("MasterVolumeId"), output("BucketName")
    allocation = output("AddressAllocationId")
    region.call("cloudformation", "delete_stack", StackName=NAME)
    ok(eventually(lambda: not machines("master") | machines("node")), "the stack's end is its machines'")
    ok(eventually(lambda: [each["State"] for each in region.call(
        "ec2", "describe_volumes", VolumeIds=[volume])["Volumes"]] == ["available"]), "the volume stays")
    ok(region.call("s3", "list_objects_v2", Bucket=bucket)["Contents"], "so does the bucket, with what is in it")
    ok(region.call("ec2", "describe_addresses", AllocationIds=[allocation])["Addresses"], "and the address")
    lab("down")
