# SPDX-License-Identifier: Apache-2.0
"""Who signed a request, and whether AWS would believe it."""

import hashlib
import re
import subprocess
from email.utils import parsedate_to_datetime

import pytest
from botocore.credentials import Credentials
from region_checks.harness import wait

pytestmark = pytest.mark.needs_root


def refusal(front, request, status, code):
    got, headers, body = front.send(request)
    found = re.search("<Code>(.*?)</Code>", body)
    assert found, f"no error in: {got} {body}"
    assert (got, found[1]) == (status, code)
    return headers, body


def test_a_well_signed_request_is_served_and_dated(front):
    status, headers, body = front.send(front.sign(front.query("DescribeVpcs")))
    assert status == 200
    assert parsedate_to_datetime(headers["Date"])
    assert headers["Content-Type"].startswith("text/xml")
    assert headers["x-amzn-RequestId"] in body


def test_an_unsigned_request_is_refused(front):
    _, body = refusal(front, front.query("DescribeVpcs"), 400, "MissingParameter")
    assert re.search("<Response><Errors><Error>.*</Error></Errors><RequestID>[0-9a-f-]{36}", body)
    headers, body = refusal(front, front.object("GET", "/kb-secrets/x"), 403, "AccessDenied")
    assert f"<RequestId>{headers['x-amz-request-id']}</RequestId>" in body


def test_an_unknown_key_is_refused(front):
    who = Credentials("AKIAAAAAAAAAAAAAAAAA", "x")
    refusal(front, front.sign(front.query("DescribeVpcs"), who), 401, "AuthFailure")
    refusal(front, front.sign(front.object("GET", "/kb-secrets/x"), who, "s3"), 403, "InvalidAccessKeyId")


def test_a_wrong_secret_is_refused(front):
    who = Credentials(front.admin.access_key, front.admin.secret_key + "x")
    refusal(front, front.sign(front.query("DescribeVpcs"), who), 403, "SignatureDoesNotMatch")
    _, body = refusal(front, front.sign(front.object("GET", "/kb-secrets/x"), who, "s3"), 403, "SignatureDoesNotMatch")
    assert "<CanonicalRequest>GET\n/kb-secrets/x\n" in body


def test_a_body_changed_after_signing_is_refused(front):
    request = front.sign(front.query("DescribeVpcs"))
    request.data = request.data.replace(b"DescribeVpcs", b"DescribeTags")
    refusal(front, request, 403, "SignatureDoesNotMatch")
    request = front.sign(front.object("PUT", "/kb-secrets/x", b"one"), service="s3")
    request.data = b"two"
    _, body = refusal(front, request, 400, "XAmzContentSHA256Mismatch")
    assert hashlib.sha256(b"two").hexdigest() in body


def test_a_changed_path_query_or_header_is_refused(front):
    request = front.sign(front.object("GET", "/kb-secrets/x"), service="s3")
    request.url += "y"
    refusal(front, request, 403, "SignatureDoesNotMatch")
    request = front.sign(front.object("GET", "/kb-secrets?list-type=2"), service="s3")
    request.url += "&prefix=a"
    refusal(front, request, 403, "SignatureDoesNotMatch")
    request = front.sign(front.object("PUT", "/kb-secrets/x", b"", If_None_Match="*"), service="s3")
    request.headers.replace_header("If-None-Match", '"x"')
    refusal(front, request, 403, "SignatureDoesNotMatch")


def test_an_unsorted_query_is_sorted_before_it_is_compared(front):
    request = front.sign(front.object("GET", "/kb-secrets?prefix=a%2Fb&list-type=2"), service="s3")
    assert front.send(request)[0] == 200


def test_odd_characters_in_a_key_are_signed_as_s3_does(front):
    key = "sign/a b+c~d*e'(f)&=%/é"
    front.s3.put_object(Bucket="kb-secrets", Key=key, Body=b"odd")
    assert front.s3.get_object(Bucket="kb-secrets", Key=key)["Body"].read() == b"odd"
    listed = front.s3.list_objects_v2(Bucket="kb-secrets", Prefix="sign/")["Contents"]
    assert [o["Key"] for o in listed] == [key]


def test_a_request_signed_by_curl_is_served(front):
    """The one signer here that is not botocore."""
    secret = f"{front.admin.access_key}:{front.admin.secret_key}"
    curl = ["/usr/bin/curl", "-sS", "--fail-with-body", "--cacert", front.state / "ca.pem",
            "--user", secret]
    subprocess.run([*curl, "--aws-sigv4", "aws:amz:us-east-1:ec2", "--output", "/dev/null",
                    "--data", "Action=DescribeVolumes&Version=2016-11-15", front.endpoint + "/"],
                   check=True)
    digest = hashlib.sha256(b"by curl").hexdigest()
    subprocess.run([*curl, "--aws-sigv4", "aws:amz:us-east-1:s3", "--request", "PUT",
                    "--header", f"x-amz-content-sha256: {digest}", "--header",
                    "Expect: 100-continue", "--data-binary", "by curl",
                    front.endpoint + "/kb-secrets/curl"], check=True)
    assert front.s3.get_object(Bucket="kb-secrets", Key="curl")["Body"].read() == b"by curl"


def test_a_header_of_amazons_that_is_not_signed_is_refused(front):
    request = front.sign(front.object("PUT", "/kb-secrets/x"), service="s3")
    request.headers["x-amz-server-side-encryption"] = "AES256"
    _, body = refusal(front, request, 403, "AccessDenied")
    assert "<HeadersNotSigned>x-amz-server-side-encryption" in body


def test_a_missing_body_hash_is_refused_by_s3(front):
    request = front.sign(front.object("GET", "/kb-secrets/x"), service="s3")
    del request.headers["X-Amz-Content-SHA256"]
    refusal(front, request, 400, "InvalidRequest")


def test_a_clock_that_is_off_by_more_than_5_minutes_is_refused_and_by_s3_than_15(front):
    for skew, code, status in ((-400, "RequestExpired", 400), (400, "AuthFailure", 401)):
        refusal(front, front.sign(front.query("DescribeVpcs"), skew_s=skew), status, code)
    for skew in (-200, 200):
        assert front.send(front.sign(front.query("DescribeVpcs"), skew_s=skew))[0] == 200
    for skew in (-1000, 1000):
        headers, body = refusal(
            front, front.sign(front.object("GET", "/kb-secrets/x"), service="s3", skew_s=skew),
            403, "RequestTimeTooSkewed")
        assert parsedate_to_datetime(headers["Date"]) and "<ServerTime>20" in body
    for skew in (-800, 800):
        assert front.send(front.sign(front.object("GET", "/kb-secrets/x"), service="s3", skew_s=skew))[0] == 404


def test_another_region_or_service_in_the_scope_is_refused(front):
    refusal(front, front.sign(front.query("DescribeVpcs"), region="eu-west-1"), 401, "AuthFailure")
    request = front.sign(
        front.object("GET", "/kb-secrets/x", host="s3.us-east-1.amazonaws.com"), service="s3",
        region="eu-west-1")
    _, body = refusal(front, request, 400, "AuthorizationHeaderMalformed")
    assert "<Region>us-east-1</Region>" in body


def test_a_malformed_authorization_is_refused(front):
    request = front.sign(front.object("GET", "/kb-secrets/x"), service="s3")
    request.headers.replace_header("Authorization", "AWS4-HMAC-SHA256 nothing")
    refusal(front, request, 400, "AuthorizationHeaderMalformed")


def test_a_role_needs_its_session_token(front):
    instance = front.launch()
    who = front.role_credentials(instance, "kb-master")
    assert front.send(front.sign(front.query("DescribeVolumes"), who))[0] == 200
    without = Credentials(who.access_key, who.secret_key)
    refusal(front, front.sign(front.query("DescribeVolumes"), without), 401, "AuthFailure")
    refusal(front, front.sign(front.object("GET", "/kb-secrets/x"), without, "s3"), 403, "InvalidAccessKeyId")
    wrong = Credentials(who.access_key, who.secret_key, who.token[::-1])
    refusal(front, front.sign(front.object("GET", "/kb-secrets/x"), wrong, "s3"), 400, "InvalidToken")
    front.ec2.terminate_instances(InstanceIds=[instance])


def test_an_expired_session_token_is_refused_and_imds_has_a_new_one(front):
    instance = front.launch()
    who = front.role_credentials(instance, "kb-master")
    assert front.role_credentials(instance, "kb-master").access_key == who.access_key
    assert front.control("POST", "/credentials/expire", {"instance": instance}) == {"expired": 1}
    refusal(front, front.sign(front.query("DescribeVolumes"), who), 400, "RequestExpired")
    refusal(front, front.sign(front.object("GET", "/kb-secrets/x"), who, "s3"), 400, "ExpiredToken")
    new = front.role_credentials(instance, "kb-master")
    assert new.access_key != who.access_key
    assert front.send(front.sign(front.query("DescribeVolumes"), new))[0] == 200
    front.ec2.terminate_instances(InstanceIds=[instance])


def test_short_lived_credentials_are_replaced_before_they_end(front):
    instance = front.launch()
    with front.settings(credentials_lifetime_s=2):
        first = front.role_credentials(instance, "kb-master")
        assert front.role_credentials(instance, "kb-master").access_key == first.access_key
        wait(lambda: front.role_credentials(instance, "kb-master").access_key != first.access_key,
             "a new credential")
        # The old one still counts until its own end.
        assert front.send(front.sign(front.query("DescribeVolumes"), first))[0] == 200
    front.ec2.terminate_instances(InstanceIds=[instance])
