# SPDX-License-Identifier: Apache-2.0
"""Objects: conditional writes, who may know of a key, buckets elsewhere, encryption."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError
from region_checks.harness import refused

pytestmark = pytest.mark.needs_root
BUCKET = "kb-secrets"


def put(front, key, body=b"x", who=None, **headers):
    """A PUT with these headers; returns status, headers and body."""
    request = front.object("PUT", f"/{BUCKET}/{key}", body, **headers)
    return front.send(front.sign(request, who, service="s3"))


def test_a_write_that_must_be_the_first_is_refused_the_second_time(front):
    assert put(front, "claim", b"one", If_None_Match="*")[0] == 200
    status, _, body = put(front, "claim", b"two", If_None_Match="*")
    assert status == 412
    assert "<Code>PreconditionFailed</Code>" in body
    assert front.s3.get_object(Bucket=BUCKET, Key="claim")["Body"].read() == b"one"


def test_of_many_racing_first_writes_one_wins(front):
    with front.settings(s3={"put_ms": 20}), ThreadPoolExecutor(12) as pool:
        results = list(pool.map(
            lambda n: put(front, "race", str(n).encode(), If_None_Match="*")[0], range(12)))
    assert results.count(200) == 1
    assert set(results) <= {200, 409, 412} and 409 in results, results
    winner = front.s3.get_object(Bucket=BUCKET, Key="race")["Body"].read().decode()
    assert results[int(winner)] == 200


def test_a_write_over_a_known_version_is_refused_when_it_changed(front):
    etag = front.s3.put_object(Bucket=BUCKET, Key="index", Body=b"1")["ETag"]
    status, headers, _ = put(front, "index", b"2", If_Match=etag)
    assert status == 200
    assert headers["ETag"] != etag
    assert put(front, "index", b"3", If_Match=etag)[0] == 412
    assert front.s3.get_object(Bucket=BUCKET, Key="index")["Body"].read() == b"2"
    status, _, body = put(front, "no-index", b"3", If_Match=etag)
    assert status == 404
    assert "<Code>NoSuchKey</Code>" in body


def test_a_store_that_ignores_the_condition_can_be_had(front):
    with front.settings(s3={"ignore_if_none_match": True}):
        assert put(front, "like", b"one", If_None_Match="*")[0] == 200
        assert put(front, "like", b"two", If_None_Match="*")[0] == 200
    assert put(front, "like", b"three", If_None_Match="*")[0] == 412


def test_a_missing_key_is_404_only_for_who_may_list(front):
    with refused("NoSuchKey", 404):
        front.s3.get_object(Bucket=BUCKET, Key="nothing")
    with refused("404", 404):
        front.s3.head_object(Bucket=BUCKET, Key="nothing")
    iam = front.client("iam")
    iam.create_role(RoleName="blind", AssumeRolePolicyDocument="{}")
    iam.put_role_policy(RoleName="blind", PolicyName="p", PolicyDocument=(
        '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:GetObject", '
        f'"Resource": "arn:aws:s3:::{BUCKET}/*"}}}}'))
    iam.create_instance_profile(InstanceProfileName="blind")
    iam.add_role_to_instance_profile(InstanceProfileName="blind", RoleName="blind")
    instance = front.launch(role="blind")
    s3 = front.client("s3", front.role_credentials(instance, "blind"))
    front.s3.put_object(Bucket=BUCKET, Key="something", Body=b"x")
    assert s3.get_object(Bucket=BUCKET, Key="something")["Body"].read() == b"x"
    with refused("AccessDenied", 403):
        s3.get_object(Bucket=BUCKET, Key="nothing")
    with refused("AccessDenied", 403):
        s3.list_objects_v2(Bucket=BUCKET)
    front.ec2.terminate_instances(InstanceIds=[instance])


def test_a_node_reads_its_own_part_and_writes_nothing(front):
    for key in ("pki/index.json", "pki/node/1/ca.pem", "pki/master/1/ca.key"):
        front.s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    instance = front.launch(role="kb-node")
    s3 = front.client("s3", front.role_credentials(instance, "kb-node"))
    s3.get_object(Bucket=BUCKET, Key="pki/index.json")
    s3.get_object(Bucket=BUCKET, Key="pki/node/1/ca.pem")
    with refused("NoSuchKey", 404):
        s3.get_object(Bucket=BUCKET, Key="pki/node/1/none")
    for key in ("pki/master/1/ca.key", "pki/master/1/none"):
        with refused("AccessDenied", 403):
            s3.get_object(Bucket=BUCKET, Key=key)
    assert s3.list_objects_v2(Bucket=BUCKET, Prefix="pki/node/")["KeyCount"] == 1
    for prefix in ({}, {"Prefix": ""}, {"Prefix": "pki/"}, {"Prefix": "pki/master/"}):
        with refused("AccessDenied", 403):
            s3.list_objects_v2(Bucket=BUCKET, **prefix)
    with refused("AccessDenied", 403):
        s3.put_object(Bucket=BUCKET, Key="pki/node/1/ca.pem", Body=b"y")
    with refused("AccessDenied", 403):
        s3.delete_object(Bucket=BUCKET, Key="pki/index.json")
    front.ec2.terminate_instances(InstanceIds=[instance])


def test_a_bucket_that_does_not_exist_says_so(front):
    with refused("NoSuchBucket", 404):
        front.s3.get_object(Bucket="no-such-bucket", Key="x")
    with refused("NoSuchBucket", 404):
        front.s3.put_object(Bucket="no-such-bucket", Key="x", Body=b"")
    with refused("NoSuchBucket", 404):
        front.s3.list_objects_v2(Bucket="no-such-bucket")


def test_a_bucket_in_another_region_redirects(front):
    front.s3.create_bucket(Bucket="elsewhere",
                           CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    for method in ("GET", "HEAD", "PUT"):
        request = front.sign(front.object(method, "/elsewhere/x"), service="s3")
        status, headers, body = front.send(request)
        assert (status, headers["x-amz-bucket-region"]) == (301, "eu-west-1")
        assert method == "HEAD" or "<Code>PermanentRedirect</Code>" in body
    there = front.client("s3", region="eu-west-1")
    there.put_object(Bucket="elsewhere", Key="x", Body=b"far")
    assert there.get_object(Bucket="elsewhere", Key="x")["Body"].read() == b"far"
    request = front.sign(front.object("GET", f"/{BUCKET}/x"), service="s3", region="eu-west-1")
    assert front.send(request)[0] == 301


def test_both_url_styles_reach_the_same_object(front):
    front.s3.put_object(Bucket=BUCKET, Key="styles/x", Body=b"both")
    for host, path in ((f"{BUCKET}.s3.us-east-1.amazonaws.com", "/styles/x"),
                       (f"{BUCKET}.s3.amazonaws.com", "/styles/x"),
                       ("s3.us-east-1.amazonaws.com", f"/{BUCKET}/styles/x")):
        request = front.sign(front.object("GET", path, host=host), service="s3")
        status, _, body = front.send(request)
        assert (status, body) == (200, "both")


def test_what_was_written_is_read_and_listed_at_once(front):
    for number in range(20):
        key = f"many/{number:02}"
        front.s3.put_object(Bucket=BUCKET, Key=key, Body=key.encode())
        assert front.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == key.encode()
    pages = front.s3.get_paginator("list_objects_v2").paginate(
        Bucket=BUCKET, Prefix="many/", PaginationConfig={"PageSize": 7})
    assert [o["Key"] for p in pages for o in p["Contents"]] == [f"many/{n:02}" for n in range(20)]
    front.s3.delete_object(Bucket=BUCKET, Key="many/00")
    with refused("NoSuchKey"):
        front.s3.get_object(Bucket=BUCKET, Key="many/00")


def test_encryption_is_recorded_and_wrong_kinds_refused(front):
    assert front.s3.put_object(Bucket=BUCKET, Key="enc", Body=b"")["ServerSideEncryption"] == "AES256"
    front.s3.put_object(Bucket=BUCKET, Key="enc", Body=b"", ServerSideEncryption="aws:kms",
                        SSEKMSKeyId="key-1")
    head = front.s3.head_object(Bucket=BUCKET, Key="enc")
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "key-1")
    with refused("InvalidArgument", 400):
        front.s3.put_object(Bucket=BUCKET, Key="enc", Body=b"", ServerSideEncryption="rot13")


def test_a_wrong_md5_is_refused(front):
    with refused("BadDigest", 400):
        front.s3.put_object(Bucket=BUCKET, Key="md5", Body=b"x",
                            ContentMD5="1B2M2Y8AsgTpgAmY7PhCfg==")


def test_a_wrong_sha256_is_refused(front):
    front.s3.put_object(Bucket=BUCKET, Key="sha", Body=b"abc",
                        ChecksumSHA256="ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=")
    with refused("BadDigest", 400):
        front.s3.put_object(Bucket=BUCKET, Key="sha", Body=b"abd",
                            ChecksumSHA256="ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=")
    with refused("InvalidRequest", 400):
        front.s3.put_object(Bucket=BUCKET, Key="sha", Body=b"abc", ChecksumSHA256="ungWv48B")


def test_a_bucket_of_another_account_is_refused(front):
    front.s3.put_object(Bucket=BUCKET, Key="own", Body=b"x", ExpectedBucketOwner="123456789012")
    front.s3.get_object(Bucket=BUCKET, Key="own", ExpectedBucketOwner="123456789012")
    with refused("AccessDenied", 403):
        front.s3.get_object(Bucket=BUCKET, Key="own", ExpectedBucketOwner="210987654321")
    with refused("AccessDenied", 403):
        front.s3.put_object(Bucket=BUCKET, Key="own", Body=b"y", ExpectedBucketOwner="210987654321")
    with refused("AccessDenied", 403):
        front.s3.delete_object(Bucket=BUCKET, Key="own", ExpectedBucketOwner="210987654321")


def test_an_unchanged_object_is_not_sent_again(front):
    etag = front.s3.put_object(Bucket=BUCKET, Key="same", Body=b"x")["ETag"]
    with pytest.raises(ClientError) as refusal:
        front.s3.get_object(Bucket=BUCKET, Key="same", IfNoneMatch=etag)
    assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 304
    with refused("PreconditionFailed", 412):
        front.s3.get_object(Bucket=BUCKET, Key="same", IfMatch='"other"')
