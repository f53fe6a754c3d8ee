# SPDX-License-Identifier: Apache-2.0
"""The template's two roles: they suffice, each of their statements is needed, and a node may no more."""

import json

import pytest
from botocore.exceptions import ClientError
from region_checks.stack import create, instances, outputs

pytestmark = pytest.mark.needs_root
DENIED = ("UnauthorizedOperation", "AccessDenied", "403")


class Machine:
    """An instance of the stack, and clients with what its metadata hands out."""

    def __init__(self, front, name, stack, role):
        self.front, self.stack, self.role = front, stack, role
        [instance] = instances(front, name, role)
        self.id = instance["InstanceId"]
        front.wait_instance(self.id, "running")
        self.interface = instance["NetworkInterfaces"][0]["NetworkInterfaceId"]
        status, self.iam_role = front.get_metadata(self.id, "meta-data/iam/security-credentials/")
        assert status == 200
        self.keys = front.role_credentials(self.id, self.iam_role)
        made = outputs(front, stack)
        self.volume, self.bucket = made["MasterVolumeId"], made["BucketName"]
        self.address = made["AddressAllocationId"]

    def client(self, service):
        return self.front.client(service, self.keys)

    def allowed(self, call):
        """Returns True if the policies allow the call, even if it is refused for another reason."""
        try:
            call(self)
        except ClientError as error:
            return error.response["Error"]["Code"] not in DENIED
        return True

    def policy(self):
        iam = self.front.client("iam")
        [name] = iam.list_role_policies(RoleName=self.iam_role)["PolicyNames"]
        return name, iam.get_role_policy(RoleName=self.iam_role, PolicyName=name)["PolicyDocument"]

    def may(self, action, resource):
        """Returns True if all policies of the role together allow the action."""
        asked = [{"role": self.iam_role, "action": action, "resource": resource, "context": {}}]
        policies = self.front.control("GET", f"/policies?role={self.iam_role}")
        [answer] = self.front.control("POST", "/permissions/judge", {"policies": policies, "asked": asked})
        return answer

    def put(self, name, document):
        self.front.client("iam").put_role_policy(
            RoleName=self.iam_role, PolicyName=name, PolicyDocument=json.dumps(document))


def ec2(operation, **parameters):
    def call(machine):
        given = {key: value(machine) if callable(value) else value for key, value in parameters.items()}
        getattr(machine.client("ec2"), operation)(**given)
    return call


def get(key):
    return lambda machine: machine.client("s3").get_object(Bucket=machine.bucket, Key=f"pki/{key}")


def put(key):
    return lambda machine: machine.client("s3").put_object(Bucket=machine.bucket, Key=f"pki/{key}",
                                                           Body=b"x")


def names(machine):
    prefix = {"master": "pki/", "node": "pki/node/"}[machine.role]
    machine.client("s3").list_objects_v2(Bucket=machine.bucket, Prefix=prefix)


def names_of(**parameters):
    return lambda machine: machine.client("s3").list_objects_v2(Bucket=machine.bucket, **parameters)


def signal(machine):
    machine.client("cloudformation").signal_resource(
        StackName=machine.stack, UniqueId=machine.id, Status="SUCCESS",
        LogicalResourceId="MasterGroup" if machine.role == "master" else "NodeGroup")


def volume(machine):
    return machine.volume


def address(machine):
    return machine.address


def instance(machine):
    return machine.id


def interface(machine):
    return machine.interface


# EC2 judges before it looks whether a call is a dry run.
ATTACH = ec2("attach_volume", VolumeId=volume, InstanceId=instance, Device="/dev/xvdf", DryRun=True)
DETACH = ec2("detach_volume", VolumeId=volume, InstanceId=instance, DryRun=True)
ASSOCIATE = ec2("associate_address", AllocationId=address, NetworkInterfaceId=interface, DryRun=True)
ASSIGN = ec2("assign_private_ip_addresses", NetworkInterfaceId=interface, PrivateIpAddresses=["172.20.128.9"])
SOURCE_DEST = ec2("modify_network_interface_attribute", NetworkInterfaceId=interface,
                  SourceDestCheck={"Value": False}, DryRun=True)
LOOK_INTERFACES = ec2("describe_network_interfaces")

# What boot, re-run and failover call, by the statement that allows it.
CALLS = {
    "master": {
        "Look": [ec2("describe_instances"), ec2("describe_volumes"), ec2("describe_addresses"),
                 LOOK_INTERFACES],
        "OwnVolumeAndAddress": [ATTACH, DETACH, ASSOCIATE],
        "ToMasters": [ATTACH, DETACH, ASSOCIATE, ASSIGN],
        "SourceDestCheck": [SOURCE_DEST],
        "Names": [names],
        "Secrets": [get("index.json"), put("master/x")],
        "Signal": [signal],
    },
    "node": {
        "Look": [LOOK_INTERFACES],
        "SourceDestCheck": [SOURCE_DEST],
        "Names": [names],
        "Secrets": [get("index.json"), get("node/1/ca.crt")],
        "Signal": [signal],
    },
}


@pytest.mark.parametrize("role", CALLS)
def test_a_role_needs_each_of_its_statements(front, role):
    name = f"needed-{role}"
    machine = Machine(front, name, create(front, name, NodeDesired="1"), role)
    policy, document = machine.policy()
    statements = document["Statement"]
    assert [statement["Sid"] for statement in statements] == list(CALLS[role])
    for sid, calls in CALLS[role].items():
        for number, call in enumerate(calls):
            assert machine.allowed(call), f"{role}: call {number} of {sid} is refused"
    for sid, calls in CALLS[role].items():
        machine.put(policy, {**document, "Statement": [s for s in statements if s["Sid"] != sid]})
        for number, call in enumerate(calls):
            assert not machine.allowed(call), f"{role}: call {number} of {sid} is allowed without it"
    machine.put(policy, document)


def test_a_node_may_do_nothing_of_a_masters(front):
    stack = create(front, "node-may-not", NodeDesired="1")
    node = Machine(front, "node-may-not", stack, "node")
    master = Machine(front, "node-may-not", stack, "master")
    group = front.describe(node.id)["SecurityGroups"][0]["GroupId"]
    for what, call in {
            "reads the master's files": get("master/1/ca.key"),
            "reads the administrator's": get("admin/1/kubeconfig"),
            "writes a secret": put("node/x"), "writes the index": put("index.json"),
            "deletes": lambda m: m.client("s3").delete_object(Bucket=m.bucket, Key="pki/node/x"),
            "lists the bucket": names_of(), "lists the prefix": names_of(Prefix="pki/"),
            "lists the master's files": names_of(Prefix="pki/master/"),
            "learns which of the master's files are there": get("master/1/none"),
            "attaches the volume": ATTACH, "detaches it": DETACH,
            "moves the Elastic IP": ASSOCIATE,
            "takes the master's address": ASSIGN,
            "changes its interface's security groups": ec2(
                "modify_network_interface_attribute", NetworkInterfaceId=interface, Groups=[group]),
            "changes the master's interface": ec2(
                "modify_network_interface_attribute", NetworkInterfaceId=master.interface,
                SourceDestCheck={"Value": False}),
    }.items():
        assert not node.allowed(call), f"a node {what}"


def test_a_master_may_not_change_security_groups_or_a_nodes_machine(front):
    stack = create(front, "master-may-not", NodeDesired="1")
    master = Machine(front, "master-may-not", stack, "master")
    node = Machine(front, "master-may-not", stack, "node")
    group = front.describe(node.id)["SecurityGroups"][0]["GroupId"]
    for what, call in {
            "changes security groups": ec2(
                "modify_network_interface_attribute", NetworkInterfaceId=interface, Groups=[group]),
            "attaches its volume to a node": ec2(
                "attach_volume", VolumeId=volume, InstanceId=node.id, Device="/dev/xvdf", DryRun=True),
            "assigns addresses to a node": ec2(
                "assign_private_ip_addresses", NetworkInterfaceId=node.interface,
                PrivateIpAddresses=["172.20.144.99"]),
            "writes outside its prefix": lambda m: m.client("s3").put_object(
                Bucket=m.bucket, Key="other/x", Body=b"x"),
            "terminates a machine": ec2("terminate_instances", InstanceIds=[node.id]),
    }.items():
        assert not master.allowed(call), f"a master {what}"


REGISTRY = "arn:aws:ecr:us-east-1:123456789012:repository"
PULL = ("ecr:GetAuthorizationToken", "*"), *(
    (f"ecr:{action}", f"{REGISTRY}/team/app") for action in ("BatchGetImage", "GetDownloadUrlForLayer"))
NO_PULL = *((f"ecr:{action}", f"{REGISTRY}/other/app") for action in ("BatchGetImage", "GetDownloadUrlForLayer")), *(
    (f"ecr:{action}", f"{REGISTRY}/team/app") for action in (
        "PutImage", "InitiateLayerUpload", "BatchDeleteImage", "DescribeImages", "CreateRepository"))


@pytest.mark.parametrize("role", CALLS)
def test_a_role_pulls_from_the_repositories_that_the_stack_names(front, role):
    name = f"pulls-{role}"
    machine = Machine(front, name, create(front, name, NodeDesired="1", EcrRepositories="team/*"), role)
    assert [each for each in PULL if not machine.may(*each)] == [], f"a {role} is refused"
    assert [each for each in NO_PULL if machine.may(*each)] == [], f"a {role} is allowed"


@pytest.mark.parametrize("role", CALLS)
def test_a_role_pulls_nothing_where_the_stack_names_none(front, role):
    name = f"pulls-no-{role}"
    machine = Machine(front, name, create(front, name, NodeDesired="1"), role)
    assert [each for each in PULL if machine.may(*each)] == [], f"a {role} is allowed"
