# SPDX-License-Identifier: Apache-2.0
"""A front of a test's own, and ways to ask it: botocore, raw requests, IMDS, control."""

import configparser
import contextlib
import datetime
import http.client
import json
import os
import shutil
import ssl
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import botocore.session
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

REGION = Path(__file__).resolve().parents[2] / "lab" / "region"
START_S = 120
STOP_S = 60
VERSION = "2016-11-15"


class Front:
    """One front for many tests, since starting moto takes longer than any of them."""

    def __init__(self, *options):
        self._options = options

    def __enter__(self):
        self.state = Path(tempfile.mkdtemp(prefix="region-test."))
        ready = self.state / "ready"
        self._log = (self.state / "front.log").open("wb")
        self._process = subprocess.Popen(
            [REGION / "front", "--state", self.state, "--moto-port", "0",
             "--seed", "--ready-file", ready, *self._options,
             *(["--draw", os.environ["DRAW"]] if "DRAW" in os.environ else [])], stdout=self._log, stderr=self._log)
        try:
            deadline = time.monotonic() + START_S
            while not ready.exists():
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit("the front does not start:\n"
                                     + (self.state / "front.log").read_text())
                time.sleep(0.02)
        except BaseException:
            self.__exit__()
            raise
        where = json.loads(ready.read_text())
        self.endpoint, self.imds_url, self.control_url = (
            where["endpoint"], where["imds"], where["control"])
        self.seed = json.loads((self.state / "seed.json").read_text())
        keys = configparser.ConfigParser()
        keys.read(self.state / "credentials")
        self.admin = Credentials(keys["default"]["aws_access_key_id"],
                                 keys["default"]["aws_secret_access_key"])
        for name in [n for n in os.environ if n.startswith("AWS_")]:
            del os.environ[name]
        os.environ |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
                       # botocore's own checksums come in a trailer, which the front does not read.
                       "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
                       "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required"}
        self._session = botocore.session.Session()
        self._clients = {}
        self._tls = ssl.create_default_context(cafile=self.state / "ca.pem")
        return self

    def __exit__(self, *_):
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        self._log.close()
        if os.environ.get("KEEP"):
            print(f"kept {self.state}")
        else:
            shutil.rmtree(self.state)

    def bugs(self):
        """Where the front or moto broke, by the front's own log."""
        lines = (self.state / "requests.jsonl").read_text().splitlines()
        found = [line for line in lines if json.loads(line)["event"] in ("bug", "moto-error")]
        log = (self.state / "front.log").read_text()
        return found + ([log] if "Traceback" in log else [])

    def draw(self):
        """What DRAW must be to have what was drawn again."""
        return self.control("GET", "/settings")["seed"]

    def reset(self):
        self.control("DELETE", "/faults")
        self.control("POST", "/calls/reset")

    # botocore

    def client(self, service, credentials=None, region="us-east-1"):
        who = credentials or self.admin
        key = (service, who.access_key, region)
        if key not in self._clients:
            self._clients[key] = self._session.create_client(
                service, region_name=region, endpoint_url=self.endpoint,
                verify=str(self.state / "ca.pem"), aws_access_key_id=who.access_key,
                aws_secret_access_key=who.secret_key, aws_session_token=who.token,
                config=Config(retries={"max_attempts": 0}, s3={"addressing_style": "path"}))
        return self._clients[key]

    @property
    def ec2(self):
        return self.client("ec2")

    @property
    def s3(self):
        return self.client("s3")

    # Raw requests

    def sign(self, request, credentials=None, service="ec2", region="us-east-1", skew_s=0):
        """Signs an AWSRequest as of skew_s from now."""
        auth = (S3SigV4Auth if service == "s3" else SigV4Auth)(
            credentials or self.admin, service, region)
        stamp = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=skew_s)
        request.context["timestamp"] = stamp.strftime("%Y%m%dT%H%M%SZ")
        auth._modify_request_before_signing(request)
        canonical = auth.canonical_request(request)
        auth._inject_signature_to_request(
            request, auth.signature(auth.string_to_sign(request, canonical), request))
        return request

    def query(self, action, version=VERSION, **params):
        """An unsigned EC2 request."""
        body = urlencode({"Action": action, "Version": version, **params})
        return AWSRequest("POST", self.endpoint + "/", {
            "Host": urlsplit(self.endpoint).netloc,
            "Content-Type": "application/x-www-form-urlencoded"}, body.encode())

    def object(self, method, path, body=b"", host=None, **headers):
        """An unsigned S3 request; underscores in the names of headers stand for dashes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return AWSRequest(method, self.endpoint + path,
                          {"Host": host or urlsplit(self.endpoint).netloc, **named}, body)

    def send(self, request):
        """Sends an AWSRequest as it is; returns status, headers and body."""
        url = urlsplit(request.url)
        connection = http.client.HTTPSConnection(url.hostname, url.port, context=self._tls,
                                                 timeout=10)
        with contextlib.closing(connection):
            target = url.path + (f"?{url.query}" if url.query else "")
            connection.putrequest(request.method, target, skip_host=True,
                                  skip_accept_encoding=True)
            for name, value in request.headers.items():
                connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(request.data or b"")))
            connection.endheaders(request.data or None)
            reply = connection.getresponse()
            return reply.status, reply.headers, reply.read().decode("utf-8", "replace")

    # Metadata and control

    def metadata(self, path, instance="", method="GET", headers=None):
        """One IMDS request; returns status and body."""
        url = urlsplit(self.imds_url)
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=10)
        with contextlib.closing(connection):
            named = {"X-Lab-Instance": instance} if instance else {}
            connection.request(method, path, headers=named | (headers or {}))
            reply = connection.getresponse()
            return reply.status, reply.read().decode()

    def token(self, instance, ttl="60"):
        status, body = self.metadata("/latest/api/token", instance, "PUT",
                                     {"X-aws-ec2-metadata-token-ttl-seconds": ttl})
        assert status == 200, (status, body)
        return body

    def get_metadata(self, instance, path, version="2021-07-15"):
        token = self.token(instance)
        return self.metadata(f"/{version}/{path}", instance,
                             headers={"X-aws-ec2-metadata-token": token})

    def role_credentials(self, instance, role):
        status, body = self.get_metadata(instance, f"meta-data/iam/security-credentials/{role}")
        assert status == 200, (status, body)
        found = json.loads(body)
        return Credentials(found["AccessKeyId"], found["SecretAccessKey"], found["Token"])

    def control(self, method, path, body=None):
        request = urllib.request.Request(
            self.control_url + path, method=method,
            data=None if body is None else json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=120) as reply:
            return json.loads(reply.read())

    @contextlib.contextmanager
    def settings(self, **changed):
        before = self.control("GET", "/settings")
        self.control("POST", "/settings", changed)
        try:
            yield
        finally:
            self.control("POST", "/settings", before)

    # What many checks need

    def launch(self, zone="us-east-1a", role="kb-master", **params):
        """An instance that runs; the caller terminates it, or leaves it to the end."""
        instance = self.ec2.run_instances(
            ImageId=self.seed["image_id"], InstanceType="t3.small", MinCount=1, MaxCount=1,
            SubnetId=self.seed["subnets"][zone], IamInstanceProfile={"Name": role},
            **{"TagSpecifications": self.tags(role), **params})["Instances"][0]
        self.wait_instance(instance["InstanceId"], "running")
        return instance["InstanceId"]

    def tags(self, role):
        """As the stack's launch templates tag what the machines of a role are made of."""
        tags = [{"Key": "KubernetesCluster", "Value": self.seed["cluster"]},
                {"Key": "KubernetesRole", "Value": role.removeprefix("kb-")}]
        return [{"ResourceType": kind, "Tags": tags} for kind in ("instance", "network-interface")]

    def let_attach_any_volume(self, role="kb-master"):
        """What the stack's role may to the stack and its volume alone: for checks that bring volumes of their own."""
        self.client("iam").put_role_policy(
            RoleName=role, PolicyName="any-volume", PolicyDocument=json.dumps({
                "Version": "2012-10-17", "Statement": [
                    {"Effect": "Allow", "Action": ["ec2:AttachVolume", "ec2:DetachVolume"],
                     "Resource": "arn:aws:ec2:*:*:volume/*"},
                    {"Effect": "Allow", "Action": "cloudformation:SignalResource", "Resource": "*"}]}))

    def describe(self, instance):
        found = self.ec2.describe_instances(InstanceIds=[instance])
        return found["Reservations"][0]["Instances"][0]

    def wait_instance(self, instance, state):
        wait(lambda: self.describe(instance)["State"]["Name"] == state, f"{instance} {state}")

    def new_volume(self, zone="us-east-1a", **params):
        volume = self.ec2.create_volume(AvailabilityZone=zone, Size=1, **params)["VolumeId"]
        self.wait_volume(volume, "available")
        return volume

    def new_stack(self, name):
        """A stack of one volume as the template's: encrypted, and tagged by CloudFormation; both ids."""
        client = self.client("cloudformation")
        stack = client.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": {"MasterVolume": {
            "Type": "AWS::EC2::Volume", "Properties": {
                "AvailabilityZone": "us-east-1a", "Size": 1, "VolumeType": "gp3", "Encrypted": True}}}}))["StackId"]
        volume = client.describe_stack_resource(
            StackName=stack, LogicalResourceId="MasterVolume")["StackResourceDetail"]["PhysicalResourceId"]
        self.wait_volume(volume, "available")
        return volume, stack

    def volume(self, volume):
        return self.ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]

    def wait_volume(self, volume, state):
        def reached():
            found = self.volume(volume)
            return state in (found["State"], *(a["State"] for a in found["Attachments"]))
        wait(reached, f"{volume} {state}")


def wait(condition, what, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not in {seconds} s: {what}"
        time.sleep(0.01)


@contextlib.contextmanager
def sound_front(*options):
    """A front that must have met no error of its own when its tests are over."""
    with Front(*options) as front:
        yield front
        bugs = front.bugs()
    assert not bugs, "the front met an error of its own:\n" + "\n".join(bugs)


@contextlib.contextmanager
def refused(code, status=None):
    """The call inside must be refused with code."""
    try:
        yield
    except ClientError as error:
        got = error.response["Error"]["Code"]
        assert got == code, f"refused with {got}, not {code}: {error}"
        if status is not None:
            number = error.response["ResponseMetadata"]["HTTPStatusCode"]
            assert number == status, f"status {number}, not {status}"
    else:
        raise AssertionError(f"done, not refused with {code}")
