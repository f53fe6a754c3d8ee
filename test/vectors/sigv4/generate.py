# SPDX-License-Identifier: Apache-2.0
"""Writes cases.json: requests as we send them, signed by botocore: test/tools/python test/vectors/sigv4/generate.py

botocore is the oracle: it knows nothing of this program. Each case holds the request in the form it
has on the wire and the canonical request, string to sign and Authorization that botocore computes.

With the folder of AWS's own suite (tests/aws-signing-test-suite/v4 of github.com/awslabs/aws-c-auth)
it writes that suite's signatures in headers to suite.json instead, one object for each folder.
"""

import json
import os
import sys
from datetime import datetime, timezone
from urllib.parse import quote

import botocore
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

KEY = "AKIDEXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = "IQoJb3JpZ2luX2VjEXAMPLE//////////wEaCXVzLWVhc3QtMSJGMEQCIA+/=="
STAMP = "20260311T235959Z"
BUCKET = "https://kube.s3.us-east-1.amazonaws.com"
EC2 = "https://ec2.us-east-1.amazonaws.com"


def s3(name, key, query="", method="GET", body="", headers=None, token=""):
    return {"name": name, "service": "s3", "region": "us-east-1", "method": method,
            "url": f"{BUCKET}/{quote(key, safe='/-_.~')}", "query": query, "body": body,
            "headers": headers or {}, "token": token}


def ec2(name, body, token="", region="us-east-1", url=EC2):
    return {"name": name, "service": "ec2", "region": region, "method": "POST", "url": f"{url}/",
            "query": "", "body": body, "token": token,
            "headers": {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}}


CASES = [
    s3("plain key", "prefix/index.json"),
    s3("space in a key", "a b/c  d"),
    s3("unreserved in a key", "-._~/x"),
    s3("star, plus and equals in a key", "a*b+c=d"),
    s3("percent in a key", "100%/%41"),
    s3("dots and empty segments in a key", "a/../b//./c"),
    s3("unicode in a key", "schlüssel/鍵/🔑"),
    s3("reserved in a key", "a:b@c,d;e'f(g)h!i&j$k?l#m[n]"),
    s3("empty query value", "", query="list-type=2&prefix="),
    s3("query without a value", "", query="location"),
    s3("query out of order", "", query="prefix=b&list-type=2&delimiter=%2F&Prefix=a"),
    s3("same name twice in a query", "", query="x=b&x=a&x="),
    s3("names of which one begins the other", "", query="a-b=0&a=1&a.b=2&aa=3"),
    s3("encoded query", "", query="prefix=a%20b%2Bc%2A~&marker=%E9%8D%B5"),
    s3("session token", "prefix/node/join.json", token=TOKEN),
    s3("put", "prefix/claim", method="PUT", body='{"instance":"i-0"}',
       headers={"Content-Type": "application/octet-stream", "If-None-Match": "*"}),
    s3("put, encrypted by KMS, with a token", "prefix/claim", method="PUT", body="x" * 1000,
       token=TOKEN, headers={
           "Content-Type": "application/octet-stream", "If-Match": '"0123"',
           "x-amz-server-side-encryption": "aws:kms",
           "x-amz-server-side-encryption-aws-kms-key-id": "arn:aws:kms:us-east-1:1:key/k"}),
    s3("delete", "prefix/claim", method="DELETE"),
    s3("blanks in a header", "x", headers={"x-amz-meta-a": "  a   b  "}),
    ec2("describe", "Action=DescribeVolumes&Version=2016-11-15&VolumeId.1=vol-0"),
    ec2("describe, with a token", "Action=DescribeVolumes&Version=2016-11-15", TOKEN),
    ec2("China", "Action=DescribeVolumes&Version=2016-11-15", TOKEN, "cn-north-1",
        "https://ec2.cn-north-1.amazonaws.com.cn"),
    ec2("a port in the address", "Action=DescribeVolumes&Version=2016-11-15", TOKEN,
        url="https://127.0.0.1:4443"),
]


def sign(case):
    url = case["url"] + (f"?{case['query']}" if case["query"] else "")
    request = AWSRequest(method=case["method"], url=url, data=case["body"].encode())
    for name, value in case["headers"].items():
        request.headers[name] = value
    keys = Credentials(KEY, SECRET, case["token"] or None)
    kind = S3SigV4Auth if case["service"] == "s3" else SigV4Auth
    auth = kind(keys, case["service"], case["region"])
    request.context["timestamp"] = STAMP
    auth._modify_request_before_signing(request)  # pylint: disable=protected-access
    canonical = auth.canonical_request(request)
    to_sign = auth.string_to_sign(request, canonical)
    auth._inject_signature_to_request(  # pylint: disable=protected-access
        request, auth.signature(to_sign, request))
    return case | {"canonical_request": canonical, "string_to_sign": to_sign,
                   "authorization": request.headers["Authorization"]}


def write(name, result):
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), name)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1, ensure_ascii=False)
        file.write("\n")


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


def suite(folder):
    parts = {"request": "request", "canonical_request": "header-canonical-request",
             "string_to_sign": "header-string-to-sign", "signature": "header-signature",
             "signed_request": "header-signed-request"}
    cases = [json.loads(read(folder, name, "context.json")) | {"name": name} |
             {part: read(folder, name, f"{file}.txt") for part, file in parts.items()}
             for name in sorted(os.listdir(folder)) if os.path.isdir(os.path.join(folder, name))]
    return {"notice": "The suite of AWS C Auth, put into one file. " + " ".join(read(folder, "NOTICE").split()),
            "cases": cases}


def main():
    if len(sys.argv) > 1:
        write("suite.json", suite(sys.argv[1]))
        return
    at = datetime.strptime(STAMP, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
    result = {"botocore": botocore.__version__, "access_key_id": KEY, "secret_access_key": SECRET,
              "now": int(at.timestamp()), "cases": [sign(case) for case in CASES]}
    write("cases.json", result)


if __name__ == "__main__":
    main()
