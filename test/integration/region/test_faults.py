# SPDX-License-Identifier: Apache-2.0
"""Calls are counted, and faults meet those that they are meant for."""

import http.client
import time
import urllib.error
from email.utils import parsedate_to_datetime

import pytest
from region_checks.harness import refused

pytestmark = pytest.mark.needs_root
BUCKET = "kb-secrets"


def inject(front, **fault):
    front.control("POST", "/faults", fault)


def ask_volumes(front):
    return front.send(front.sign(front.query("DescribeVolumes")))


def test_calls_are_counted_by_action_and_caller(front):
    instance = front.launch(role="kb-node")
    who = front.role_credentials(instance, "kb-node")
    front.control("POST", "/calls/reset")
    front.client("ec2", who).describe_network_interfaces()
    with refused("UnauthorizedOperation"):
        front.client("ec2", who).describe_volumes()
    front.s3.put_object(Bucket=BUCKET, Key="counted", Body=b"")
    calls = front.control("GET", "/calls")
    assert (calls["total"], calls["mutating"], calls["imds"]) == (3, 1, 0)
    assert calls["by_action"]["s3:PutObject"]["mutating"] is True
    assert calls["by_action"]["ec2:DescribeVolumes"]["errors"] == {"UnauthorizedOperation": 1}
    assert calls["by_action"]["ec2:DescribeNetworkInterfaces"]["instances"] == {instance: 1}
    assert front.control("GET", f"/calls?instance={instance}")["total"] == 2
    front.get_metadata(instance, "meta-data/instance-id")
    assert front.control("GET", "/calls")["imds"] == 2
    front.ec2.terminate_instances(InstanceIds=[instance])


def test_an_error_meets_the_nth_call_so_often(front):
    inject(front, action="DescribeVolumes", effect="error", status=503, code="RequestLimitExceeded", nth=2, count=2)
    assert [ask_volumes(front)[0] for _ in range(4)] == [200, 503, 503, 200]
    assert front.control("GET", "/faults")[0]["applied"] == 2
    inject(front, action="s3:*", effect="error", status=503, code="SlowDown", count=0)
    for _ in range(2):
        with refused("SlowDown", 503):
            front.s3.get_object(Bucket=BUCKET, Key="x")
    front.control("DELETE", "/faults")
    with refused("NoSuchKey"):
        front.s3.get_object(Bucket=BUCKET, Key="x")


def test_a_fault_meets_one_instance_or_key(front):
    instance = front.launch()
    who = front.client("ec2", front.role_credentials(instance, "kb-master"))
    inject(front, action="DescribeVolumes", instance=instance, code="InternalError", count=0)
    inject(front, action="GetObject", path="a/*", code="InternalError", count=0)
    with refused("InternalError", 500):
        who.describe_volumes()
    front.ec2.describe_volumes()
    front.s3.put_object(Bucket=BUCKET, Key="b/x", Body=b"")
    front.s3.get_object(Bucket=BUCKET, Key="b/x")
    with refused("InternalError", 500):
        front.s3.get_object(Bucket=BUCKET, Key="a/x")
    front.ec2.terminate_instances(InstanceIds=[instance])


def test_a_reply_is_cut_truncated_or_lost(front):
    inject(front, action="DescribeVolumes", effect="cut", bytes=40)
    with pytest.raises((http.client.IncompleteRead, OSError)):
        ask_volumes(front)
    inject(front, action="DescribeVolumes", effect="truncate", bytes=40)
    status, headers, body = ask_volumes(front)
    assert (status, headers["Content-Length"], len(body)) == (200, "40", 40)
    for effect in ("close", "lost"):
        inject(front, action="PutObject", effect=effect)
        request = front.object("PUT", f"/{BUCKET}/lost-{effect}", b"x")
        with pytest.raises(OSError):
            front.send(front.sign(request, service="s3"))
    front.s3.get_object(Bucket=BUCKET, Key="lost-lost")  # done, though nobody was told
    with refused("NoSuchKey"):
        front.s3.get_object(Bucket=BUCKET, Key="lost-close")


def test_a_reply_is_garbage_or_a_page(front):
    inject(front, action="DescribeVolumes", effect="garbage", bytes=100)
    status, headers, _ = ask_volumes(front)
    assert (status, headers["Content-Length"]) == (200, "100")
    inject(front, action="DescribeVolumes", effect="html")
    status, headers, body = ask_volumes(front)
    assert (status, headers["Content-Type"], body[:6]) == (200, "text/html", "<html>")


def test_a_call_is_delayed_or_never_answered(front):
    inject(front, action="DescribeVolumes", effect="delay", ms=200)
    started = time.monotonic()
    assert ask_volumes(front)[0] == 200
    assert time.monotonic() - started >= 0.2
    inject(front, action="DescribeVolumes", effect="silence", ms=300)
    started = time.monotonic()
    with pytest.raises(OSError):
        ask_volumes(front)
    assert time.monotonic() - started >= 0.3
    with front.settings(latency_ms=50):
        started = time.monotonic()
        ask_volumes(front)
        assert time.monotonic() - started >= 0.05


def test_a_skewed_clock_shows_its_own_date(front):
    inject(front, action="GetObject", effect="skew", seconds=3600)
    request = front.sign(front.object("GET", f"/{BUCKET}/x"), service="s3")
    status, headers, body = front.send(request)
    assert status == 403
    assert "<Code>RequestTimeTooSkewed</Code>" in body
    ahead = parsedate_to_datetime(headers["Date"]).timestamp() - time.time()
    assert 3590 < ahead < 3610, ahead
    # Who has learned the difference is believed.
    inject(front, action="GetObject", effect="skew", seconds=3600)
    front.s3.put_object(Bucket=BUCKET, Key="x", Body=b"x")
    request = front.object("GET", f"/{BUCKET}/x")
    assert front.send(front.sign(request, service="s3", skew_s=3600))[0] == 200


def test_a_token_expires_on_request(front):
    instance = front.launch()
    who = front.client("ec2", front.role_credentials(instance, "kb-master"))
    inject(front, action="DescribeVolumes", effect="expired")
    with refused("RequestExpired", 400):
        who.describe_volumes()
    who.describe_volumes()
    front.ec2.terminate_instances(InstanceIds=[instance])


def test_metadata_fails_on_request(front):
    instance = front.launch()
    for fault, wanted in (({"effect": "html"}, 200), ({"effect": "error", "status": 401}, 401),
                          ({"effect": "error", "status": 404}, 404),
                          ({"effect": "error", "status": 503}, 503)):
        front.control("POST", "/imds-faults", fault | {"path": "/*/meta-data/mac"})
        status, body = front.get_metadata(instance, "meta-data/mac")
        assert (status, "<html>" in body) == (wanted, True)
    front.control("POST", "/imds-faults", {"effect": "silence", "ms": 200, "action": "PutToken"})
    with pytest.raises(OSError):
        front.token(instance)
    assert front.get_metadata(instance, "meta-data/instance-id") == (200, instance)
    front.ec2.terminate_instances(InstanceIds=[instance])


@pytest.mark.parametrize("method, path, body, status", [
    ("POST", "/faults", {"effect": "explode"}, 400), ("POST", "/faults", {"actoin": "x"}, 400),
    ("POST", "/settings", {"latency": 1}, 400), ("POST", "/settings", {"s3": {"put_ms": "x"}}, 400),
    ("GET", "/nothing", None, 404)])
def test_a_wrong_fault_or_setting_is_refused(front, method, path, body, status):
    with pytest.raises(urllib.error.HTTPError) as refusal:
        front.control(method, path, body)
    assert refusal.value.code == status
