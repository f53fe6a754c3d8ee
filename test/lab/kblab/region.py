# SPDX-License-Identifier: Apache-2.0
"""The region's front: starting it, asking it as the administrator, launching instances."""

import configparser
import functools
import itertools
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from unittest import mock

from . import cgroup, machine, network
from .settings import (CONTROL_PORT, ELASTIC_IPS, HYPERVISOR, LAB, METADATA_ADDRESS, REGION,
                       REGION_ADDRESS, REGION_NAME, RESOLVER_ADDRESS, LabError)

FRONT = LAB / "region" / "front.py"
RESOLVER = LAB / "resolver.py"
GROUP = "region"
LOG = REGION / "front.log"
CA = REGION / "ca.pem"
CREDENTIALS = REGION / "credentials"
REQUESTS = REGION / "requests.jsonl"
SEED = REGION / "seed.json"
START_S = 300
RUNNING_S = 300


def runs():
    """Whether the region answers."""
    try:
        control("GET", "/settings")
    except LabError:
        return False
    return True


def start():
    """Start a new region: the front with its moto, and the name server."""
    group = cgroup.Group(GROUP)
    group.kill()
    front = _spawn(group, FRONT, "--state", REGION, "--listen", "0.0.0.0:443",
                   "--imds-listen", f"{METADATA_ADDRESS}:80", "--control", f"{REGION_ADDRESS}:{CONTROL_PORT}", "--public", ELASTIC_IPS,
                   "--hypervisor", HYPERVISOR, "--seed", "--knobs", os.environ.get("LAB_KNOBS", "aws"),
                   *(["--draw", os.environ["LAB_DRAW"]] if "LAB_DRAW" in os.environ else []))
    _spawn(group, RESOLVER, RESOLVER_ADDRESS, REGION_ADDRESS)
    deadline = time.monotonic() + START_S
    while not runs():
        if front.poll() is not None or time.monotonic() > deadline:
            raise LabError(f"the region does not start, see {LOG}:\n{_last_lines(LOG)}")
        time.sleep(0.1)


def _spawn(group, *command):
    """Start one of the region's processes, in its network and control group."""
    with LOG.open("ab") as log:
        return subprocess.Popen(network.inside(sys.executable, *command), stdin=subprocess.DEVNULL,
                                stdout=log, stderr=log, start_new_session=True,
                                preexec_fn=group.enter)


def launch(role, settings, name=None, zone=None, user_data=None, files=(), kind="m5.large"):
    """Launch an instance as the stack's groups would; returns its id once it runs.

    `files`: further entries of write_files, as cloud-init knows them.
    """
    values = seed()
    if role == "master":
        _refuse_second_master(values)
    if zone is None:
        # The volume's zone for a master; for a node another one, so that the overlay crosses subnets.
        zone = "a" if role == "master" else "b"
    if user_data is None:
        data = _user_data(role, values, settings, files)
    else:
        data = Path(user_data).read_text()
    name = name or _free_name(role)
    tags = [{"Key": "KubernetesCluster", "Value": values["cluster"]},
            {"Key": "KubernetesRole", "Value": role}]
    [instance] = call(
        "ec2", "run_instances", ImageId=values["image_id"], InstanceType=kind,
        MinCount=1, MaxCount=1, SubnetId=values["subnets"][f"{values['region']}{zone}"],
        SecurityGroupIds=[values["security_group_id"]],
        IamInstanceProfile={"Name": values[f"{role}_role"]}, UserData=data,
        TagSpecifications=[{"ResourceType": "instance",
                            "Tags": [*tags, {"Key": "Name", "Value": name}]},
                           {"ResourceType": "network-interface", "Tags": tags}])["Instances"]
    wait_for(instance["InstanceId"], "running")
    return instance["InstanceId"]


def _refuse_second_master(values):
    """The seeded cluster's master and a stack's have the same fixed address, and the lab one network."""
    for each in control("GET", "/instances"):
        for interface in each["interfaces"]:
            if values["private_ip"] in interface["addresses"] \
                    and interface["subnet"] not in values["subnets"].values():
                raise LabError(f"{each['name']} ({each['id']}) of another VPC has {values['private_ip']}, which "
                               "this master would take: end that stack first (lab aws cloudformation delete_stack)")


def _free_name(role):
    """master, master-2, master-3: a name that no other instance has."""
    taken = {each.name for each in machine.machines()}
    names = itertools.chain([role], (f"{role}-{number}" for number in itertools.count(2)))
    return next(name for name in names if name not in taken)


def wait_for(instance_id, state, timeout_s=RUNNING_S):
    """Wait until EC2 says that an instance is in this state."""
    deadline = time.monotonic() + timeout_s
    while True:
        reservations = call("ec2", "describe_instances", InstanceIds=[instance_id])["Reservations"]
        instance = reservations[0]["Instances"][0]
        now = instance["State"]["Name"]
        if now == state:
            return
        if now == "terminated" or time.monotonic() > deadline:
            why = _hypervisor_error(instance_id) or instance.get("StateReason", {}).get("Message")
            raise LabError(f"{instance_id} is {now}, not {state}: {why}")
        time.sleep(0.1)


def outlast_reads():
    """Wait until no read of an instance shows any more what was before a change."""
    time.sleep(control("GET", "/settings")["reads"]["stale_s"])


def _user_data(role, values, settings, files):
    """What the stack's template gives an instance: a stack-config.sh, written by cloud-init."""
    keys = {
        "KUBERNETES_ROLE": role,
        "CLUSTER_NAME": values["cluster"],
        "S3_BUCKET": values["bucket"],
        "S3_PREFIX": values["prefix"].strip("/"),
        "MASTER_VOLUME_ID": values["volume_id"],
        "MASTER_EIP_ALLOCATION_ID": values["allocation_id"],
        "MASTER_PRIVATE_IP": values["private_ip"],
        "MASTER_IAM_ROLE": values["master_role"],
        "NODE_IAM_ROLE": values["node_role"],
        # The volume is proven new by the tag that its stack gave it; it has no groups, and takes no signal.
        "STACK_NAME": values["stack_id"],
        "STACK_RESOURCE": f"{role.title()}Group",
        **settings,
    }
    content = "".join(f"{key}={shlex.quote(value)}\n" for key, value in keys.items())
    return "#cloud-config\n" + json.dumps({"write_files": [
        {"path": "/etc/kubernetes/stack-config.sh", "permissions": "0644", "content": content},
        *files]})


def seed():
    """What the region was made with: ids, names, the administrator's keys."""
    try:
        return json.loads(SEED.read_text())
    except FileNotFoundError:
        raise LabError("the lab is not up (run: lab up)") from None


def control(method, path, body=None):
    """Ask the front's control API, which the instances do not use: counts, faults, delays."""
    request = urllib.request.Request(
        f"http://{REGION_ADDRESS}:{CONTROL_PORT}{path}", method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as answer:
            text = answer.read()
    except urllib.error.HTTPError as error:
        raise LabError(f"{method} {path}: {error.code}: {error.read().decode().strip()}") from error
    except OSError as error:
        raise LabError(f"{method} {path}: {error} (is the lab up?)") from error
    return json.loads(text) if text.strip() else None


def call(service, operation, **parameters):
    """One AWS call as the administrator; returns botocore's answer without its metadata."""
    import botocore.exceptions
    client = _client(service, *_administrator())
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", operation).replace("-", "_").lower()
    if name not in client.meta.method_to_api_mapping:
        raise LabError(f"{service} has no operation {operation}")
    try:
        answer = getattr(client, name)(**parameters)
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        raise LabError(f"{service} {operation}: {error}") from error
    answer.pop("ResponseMetadata", None)
    for key, value in answer.items():
        if hasattr(value, "read"):  # S3's Body
            answer[key] = value.read().decode(errors="replace")
    return answer


def _administrator():
    """The access key's id and secret."""
    keys = configparser.ConfigParser()
    if not keys.read(CREDENTIALS):
        raise LabError("the lab is not up (run: lab up)")
    return keys["default"]["aws_access_key_id"], keys["default"]["aws_secret_access_key"]


@functools.cache  # by the key: each region has an administrator, and a CA, of its own
def _client(service, access_key_id, secret_access_key):
    return make_client(service, access_key_id, secret_access_key)


def make_client(service, access_key_id, secret_access_key, session_token=None):
    """A client whose AWS host names lead to the lab, as they do inside the instances."""
    import botocore.config
    import botocore.session
    socket.getaddrinfo = _to_the_lab
    with mock.patch.dict(os.environ):
        for name in [key for key in os.environ if key.startswith("AWS_") or key.lower().endswith("_proxy")]:
            del os.environ[name]
        os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
        # botocore's own checksums would come in trailers of a body in chunks, which the front does not take.
        for name in ("AWS_REQUEST_CHECKSUM_CALCULATION", "AWS_RESPONSE_CHECKSUM_VALIDATION"):
            os.environ[name] = "when_required"
        return botocore.session.Session().create_client(
            service, region_name=REGION_NAME, verify=str(CA), aws_access_key_id=access_key_id,
            aws_secret_access_key=secret_access_key, aws_session_token=session_token,
            config=botocore.config.Config(retries={"max_attempts": 0}, read_timeout=300))


def _to_the_lab(host, *rest, resolve=socket.getaddrinfo, **options):
    name = host.decode() if isinstance(host, bytes) else host
    return resolve(REGION_ADDRESS if str(name).endswith(".amazonaws.com") else host, *rest, **options)


def _hypervisor_error(instance_id):
    """What last went wrong with this instance's machine."""
    for line in reversed(REQUESTS.read_text().splitlines()):
        entry = json.loads(line)
        if entry["event"] == "hypervisor" and entry["payload"].get("instance_id") == instance_id:
            return entry["error"]
    return None


def _last_lines(path, count=20):
    return "\n".join(path.read_text(errors="replace").splitlines()[-count:])
