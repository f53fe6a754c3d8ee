# SPDX-License-Identifier: Apache-2.0
"""The template's two roles: they suffice, each of their statements is needed, and a node may no more."""

import json

from botocore.exceptions import ClientError

from .harness import same
from .stack import create, instances, outputs

_DENIED = ("UnauthorizedOperation", "AccessDenied", "403")


class _Machine:
    """An instance of the stack, and clients with what its metadata hands out."""

    def __init__(self, front, name, stack, role):
        self.front, self.stack, self.role = front, stack, role
        [instance] = instances(front, name, role)
        self.id = instance["InstanceId"]
        front.wait_instance(self.id, "running")
        self.interface = instance["NetworkInterfaces"][0]["NetworkInterfaceId"]
        status, self.iam_role = front.get_metadata(self.id, "meta-data/iam/security-credentials/")
        same(status, 200)
        self.keys = front.role_credentials(self.id, self.iam_role)
        made = outputs(front, stack)
        self.volume, self.bucket = made["MasterVolumeId"], made["BucketName"]
        self.address = made["AddressAllocationId"]

    def client(self, service):
        return self.front.client(service, self.keys)

    def allowed(self, call):
        """Whether call gets past the policies; what becomes of it then is not asked here."""
        try:
            call(self)
        except ClientError as error:
            return error.response["Error"]["Code"] not in _DENIED
        return True

    def policy(self):
        iam = self.front.client("iam")
        [name] = iam.list_role_policies(RoleName=self.iam_role)["PolicyNames"]
        return name, iam.get_role_policy(RoleName=self.iam_role, PolicyName=name)["PolicyDocument"]

    def put(self, name, document):
        self.front.client("iam").put_role_policy(
            RoleName=self.iam_role, PolicyName=name, PolicyDocument=json.dumps(document))


def _ec2(operation, **parameters):
    def call(machine):
        given = {key: value(machine) if callable(value) else value for key, value in parameters.items()}
        getattr(machine.client("ec2"), operation)(**given)
    return call


def _get(key):
    return lambda machine: machine.client("s3").get_object(Bucket=machine.bucket, Key=f"pki/{key}")


def _put(key):
    return lambda machine: machine.client("s3").put_object(Bucket=machine.bucket, Key=f"pki/{key}",
                                                           Body=b"x")


def _names(machine):
    machine.client("s3").list_objects_v2(Bucket=machine.bucket, Prefix="pki/")


def _signal(machine):
    machine.client("cloudformation").signal_resource(
        StackName=machine.stack, UniqueId=machine.id, Status="SUCCESS",
        LogicalResourceId="MasterGroup" if machine.role == "master" else "NodeGroup")


def _volume(machine):
    return machine.volume


def _address(machine):
    return machine.address


def _instance(machine):
    return machine.id


def _interface(machine):
    return machine.interface


# EC2 judges before it looks whether a call is a dry run.
_ATTACH = _ec2("attach_volume", VolumeId=_volume, InstanceId=_instance, Device="/dev/xvdf", DryRun=True)
_DETACH = _ec2("detach_volume", VolumeId=_volume, InstanceId=_instance, DryRun=True)
_ASSOCIATE = _ec2("associate_address", AllocationId=_address, NetworkInterfaceId=_interface, DryRun=True)
_ASSIGN = _ec2("assign_private_ip_addresses", NetworkInterfaceId=_interface,
               PrivateIpAddresses=["172.20.128.9"])
_SOURCE_DEST = _ec2("modify_network_interface_attribute", NetworkInterfaceId=_interface,
                    SourceDestCheck={"Value": False}, DryRun=True)
_LOOK_INTERFACES = _ec2("describe_network_interfaces")

# What boot, re-run and failover call, by the statement that allows it.
_CALLS = {
    "master": {
        "Look": [_ec2("describe_instances"), _ec2("describe_volumes"), _ec2("describe_addresses"),
                 _LOOK_INTERFACES],
        "OwnVolumeAndAddress": [_ATTACH, _DETACH, _ASSOCIATE],
        "ToMasters": [_ATTACH, _DETACH, _ASSOCIATE, _ASSIGN],
        "SourceDestCheck": [_SOURCE_DEST],
        "Names": [_names],
        "Secrets": [_get("index.json"), _put("master/x")],
        "Signal": [_signal],
    },
    "node": {
        "Look": [_LOOK_INTERFACES],
        "SourceDestCheck": [_SOURCE_DEST],
        "Names": [_names],
        "Secrets": [_get("index.json"), _get("node/1/ca.crt")],
        "Signal": [_signal],
    },
}


def _check_statements(front, role):
    name = f"needed-{role}"
    machine = _Machine(front, name, create(front, name, NodeDesired="1"), role)
    policy, document = machine.policy()
    statements = document["Statement"]
    same([statement["Sid"] for statement in statements], list(_CALLS[role]))
    for sid, calls in _CALLS[role].items():
        for number, call in enumerate(calls):
            assert machine.allowed(call), f"{role}: call {number} of {sid} is refused"
    for sid, calls in _CALLS[role].items():
        machine.put(policy, {**document, "Statement": [s for s in statements if s["Sid"] != sid]})
        for number, call in enumerate(calls):
            assert not machine.allowed(call), f"{role}: call {number} of {sid} is allowed without it"
    machine.put(policy, document)


def a_master_needs_each_statement_of_its_role(front):
    _check_statements(front, "master")


def a_node_needs_each_statement_of_its_role(front):
    _check_statements(front, "node")


def a_node_may_do_nothing_of_a_masters(front):
    stack = create(front, "node-may-not", NodeDesired="1")
    node = _Machine(front, "node-may-not", stack, "node")
    master = _Machine(front, "node-may-not", stack, "master")
    group = front.describe(node.id)["SecurityGroups"][0]["GroupId"]
    for what, call in {
            "reads the master's files": _get("master/1/ca.key"),
            "reads the administrator's": _get("admin/1/kubeconfig"),
            "writes a secret": _put("node/x"), "writes the index": _put("index.json"),
            "deletes": lambda m: m.client("s3").delete_object(Bucket=m.bucket, Key="pki/node/x"),
            "attaches the volume": _ATTACH, "detaches it": _DETACH,
            "moves the Elastic IP": _ASSOCIATE,
            "takes the master's address": _ASSIGN,
            "changes its interface's security groups": _ec2(
                "modify_network_interface_attribute", NetworkInterfaceId=_interface, Groups=[group]),
            "changes the master's interface": _ec2(
                "modify_network_interface_attribute", NetworkInterfaceId=master.interface,
                SourceDestCheck={"Value": False}),
    }.items():
        assert not node.allowed(call), f"a node {what}"


def a_master_may_not_change_security_groups_or_a_nodes_machine(front):
    stack = create(front, "master-may-not", NodeDesired="1")
    master = _Machine(front, "master-may-not", stack, "master")
    node = _Machine(front, "master-may-not", stack, "node")
    group = front.describe(node.id)["SecurityGroups"][0]["GroupId"]
    for what, call in {
            "changes security groups": _ec2(
                "modify_network_interface_attribute", NetworkInterfaceId=_interface, Groups=[group]),
            "attaches its volume to a node": _ec2(
                "attach_volume", VolumeId=_volume, InstanceId=node.id, Device="/dev/xvdf", DryRun=True),
            "assigns addresses to a node": _ec2(
                "assign_private_ip_addresses", NetworkInterfaceId=node.interface,
                PrivateIpAddresses=["172.20.144.99"]),
            "writes outside its prefix": lambda m: m.client("s3").put_object(
                Bucket=m.bucket, Key="other/x", Body=b"x"),
            "terminates a machine": _ec2("terminate_instances", InstanceIds=[node.id]),
    }.items():
        assert not master.allowed(call), f"a master {what}"
