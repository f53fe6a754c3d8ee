# SPDX-License-Identifier: Apache-2.0
"""The stack that users deploy, in the lab's region: made, changed and looked at, and its machines."""

from . import kept, machine, region
from .settings import TREE
from .testing import equal, eventually, lab, ok

TEMPLATE = TREE / "conf/cloudformation/kubernetes.yaml"
NAME = "kubernetes"
READY_S = 420


def change(operation, nodes):
    """Creates or updates the stack with so many nodes; what is not given stays."""
    parameters = {"ImageId": region.seed()["image_id"], "MasterZone": "us-east-1a", "NodeZone1": "us-east-1b",
                  "NodeZone2": "us-east-1c", "ApiCidr": "198.51.100.0/24", "NodeDesired": nodes, "NodeMax": 9}
    region.call("cloudformation", operation, StackName=NAME, Capabilities=["CAPABILITY_IAM"],
                TemplateBody=TEMPLATE.read_text(),
                Parameters=[{"ParameterKey": key, "ParameterValue": str(value)}
                            for key, value in parameters.items()])


def output(name):
    [stack] = region.call("cloudformation", "describe_stacks", StackName=NAME)["Stacks"]
    return next(o["OutputValue"] for o in stack["Outputs"] if o["OutputKey"] == name)


def resource(name):
    return region.call("cloudformation", "describe_stack_resource", StackName=NAME,
                       LogicalResourceId=name)["StackResourceDetail"]["PhysicalResourceId"]


def machines(role):
    """Ids of the running machines of a role."""
    return {each.id for each in machine.machines()
            if each.leader and each.name == f"{NAME}-{role}"}


def settle(role, count):
    """Waits until so many machines run, and each says ready."""
    there = eventually(lambda: len(machines(role)) == count)
    ready = [lab("wait", each, READY_S, check=False).returncode == 0 for each in sorted(machines(role))]
    if not ok(there and all(ready), f"{count} of role {role}, launched by the group, ready: {len(ready)}"):
        for each in machines(role):
            print(lab("exec", each, "kube-bootstrap", "status", check=False).stdout)


def replace_master(client, count):
    """Cuts the master's power and has EC2 end it; waits until the group's next one is ready, one of so many Nodes, and
    looks whether something is lost."""
    [old] = machines("master")
    name, bucket = machine.find(old).node_name, output("BucketName")
    kept.plant(old, client)
    before = kept.take(old, client, bucket=bucket)
    lab("kill", old)
    lab("terminate", old)
    ok(eventually(lambda: machines("master") - {old}), "the group launches another master by itself")
    settle("master", 1)
    nodes_are(client, count, "it took volume and addresses, one master is in the cluster, no dead one")
    [new] = machines("master")
    equal(kept.lost(before, kept.take(new, client, bucket=bucket), name), [], "with the master nothing is lost")


def nodes_are(client, count, what):
    ok(eventually(lambda: len(client.ready_nodes()) == count == len(client.nodes()), pause_s=1), what,
       client.kubectl("get", "nodes", check=False).stdout)
