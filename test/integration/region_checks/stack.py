# SPDX-License-Identifier: Apache-2.0
"""The stack that users deploy, made, changed and looked at in a front's region."""

from pathlib import Path

TEMPLATE = Path(__file__).resolve().parents[3] / "conf/cloudformation/kubernetes.yaml"


def parameters(front, **given):
    return [{"ParameterKey": key, "ParameterValue": value}
            for key, value in {"ImageId": front.seed["image_id"], "MasterZone": "us-east-1a", "ApiCidr": "198.51.100.0/24",
                               "NodeZone1": "us-east-1b", "NodeZone2": "us-east-1c",
                               "NodeZone3": "us-east-1a", **given}.items()]


def create(front, name, tags=None, template=None, **given):
    answer = front.client("cloudformation").create_stack(
        StackName=name, TemplateBody=template or TEMPLATE.read_text(), Capabilities=["CAPABILITY_IAM"],
        Parameters=parameters(front, ClusterName=name, **given),
        Tags=[{"Key": key, "Value": value} for key, value in (tags or {}).items()])
    return answer["StackId"]


def update(front, name, **given):
    front.client("cloudformation").update_stack(
        StackName=name, TemplateBody=TEMPLATE.read_text(), Capabilities=["CAPABILITY_IAM"],
        Parameters=parameters(front, ClusterName=name, **given))


def status(front, stack):
    [found] = front.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    return found["StackStatus"]


def outputs(front, stack):
    [found] = front.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in found["Outputs"]}


def instances(front, cluster, role):
    filters = [{"Name": "tag:KubernetesCluster", "Values": [cluster]},
               {"Name": "tag:KubernetesRole", "Values": [role]},
               {"Name": "instance-state-name", "Values": ["pending", "running"]}]
    reservations = front.ec2.describe_instances(Filters=filters)["Reservations"]
    return [instance for reservation in reservations for instance in reservation["Instances"]]
