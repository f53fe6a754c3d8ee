# SPDX-License-Identifier: Apache-2.0
"""The simulated region: AWS's EC2, S3, IAM and others behind one strict front, and IMDSv2.

moto answers for what exists; in front of it every signature is verified, what moto is lax about is
done as EC2 and S3 document it, calls are counted, and faults are injected on request. What
machines and disks do is left to a hook program.

In the lab, in its network namespace:
  front --state DIR --listen 0.0.0.0:443 --imds-listen 169.254.169.254:80
        --control 172.31.255.2:8470 --hypervisor test/lab/hypervisor
As an API alone, for tests on one machine (port 0 takes a free one; the ready file tells which):
  front --state DIR --listen 127.0.0.1:0 --imds-listen 127.0.0.1:0
        --control 127.0.0.1:0 --ready-file FILE

When all listen it prints "ready" and a line of JSON with the addresses, and puts that JSON into
--ready-file. It ends on SIGTERM or SIGINT, and moto with it. Nothing outlives it: a new front is a
new region, but for the CA and the administrator's key.

In the state folder:
  ca.pem          the lab's CA, for AWS_CA_BUNDLE or the trust store
  credentials     the administrator's key pair, for AWS_SHARED_CREDENTIALS_FILE
  requests.jsonl  a line for every request and every run of the hook
  moto.log        what moto says

An override endpoint is https://ADDRESS for EC2 and for S3 alike: the signature says which is meant.
IMDS knows an instance by the address that it comes from; without that, by the header
X-Lab-Instance, by --imds-instance, or on a listener of its own (POST /imds/listen).

The control API, JSON over plain HTTP:
  GET    /calls[?instance=ID]     calls since the reset: total, mutating, by_action
  POST   /calls/reset
  GET    /instances  /volumes  /addresses  /faults  /settings
  GET    /permissions             what roles were judged on: role, action, resource, context, allowed
  POST   /permissions/judge       {"policies": [DOCUMENT], "asked": [as above]}: the answers instead
  GET    /policies?role=ROLE      a role's policies
  GET    /signals                 what CloudFormation was signalled by SignalResource
  POST   /settings                the same form as GET shows, any part of it
  POST   /faults                  {"action": "AttachVolume", "effect": "error", "status": 503,
                                  "code": "RequestLimitExceeded", "nth": 1, "count": 2};
                                  labregion/faults.py has the whole list
  POST   /imds-faults             the same, for IMDS; "path" is a glob over the URL's path
  DELETE /faults[?id=N]
  POST   /credentials/expire      {"instance": ID}; {} for all
  POST   /imds/expire-tokens
  POST   /imds/listen             {"instance": ID} -> {"endpoint": URL}
  POST   /instances/forget        {"instance": ID}, once it is terminated

The hook is called as PROG VERB with JSON on standard input; see labregion/lifecycle.py.
"""

import argparse
import json
import signal
import sys
import threading
from pathlib import Path

from labregion.knobs import PRESETS, Knobs, turn
from labregion.service import Options, Service


def address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", type=Path, required=True, metavar="DIR")
    parser.add_argument("--listen", type=address, default=("127.0.0.1", 0), metavar="HOST:PORT")
    parser.add_argument("--imds-listen", type=address, default=("127.0.0.1", 0),
                        metavar="HOST:PORT")
    parser.add_argument("--control", type=address, default=("127.0.0.1", 0), metavar="HOST:PORT")
    parser.add_argument("--hypervisor", metavar="PROG", help="the hook (absent: an API alone)")
    parser.add_argument("--moto", metavar="URL", help="a moto_server that runs already")
    parser.add_argument("--moto-port", type=int, default=5000, help="0 takes a free one")
    parser.add_argument("--imds-instance", default="", metavar="ID",
                        help="whose metadata to show to who cannot be told")
    parser.add_argument("--latency-ms", type=float, default=0.0)
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--public", default="203.0.113.0/24", metavar="CIDR",
                        help="where Elastic IPs come from")
    parser.add_argument("--reserve", action="append", metavar="ADDRESS",
                        help="never given out unasked (default 172.20.128.9)")
    parser.add_argument("--credentials-lifetime-s", type=float, default=21600.0)
    parser.add_argument("--forget-s", type=float, default=3600.0,
                        help="how long a terminated instance is remembered")
    parser.add_argument("--seed", action="store_true",
                        help="run seed.py before anything else can; its JSON is seed.json in DIR")
    parser.add_argument("--ready-file", type=Path, metavar="FILE")
    parser.add_argument("--knobs", choices=PRESETS, default="none",
                        help="how much it is like AWS where that is slow or strange (labregion/knobs.py)")
    parser.add_argument("--draw", type=int, metavar="SEED", help="the seed of all that is drawn")
    given = vars(parser.parse_args())
    given["reserve"] = given["reserve"] or ["172.20.128.9"]
    knobs, draw = Knobs(), given.pop("draw")
    turn(knobs, PRESETS[given["knobs"]] | ({} if draw is None else {"seed": draw}))
    given["knobs"], ready_file = knobs, given.pop("ready_file")

    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    service = Service(Options(**given))
    try:
        where = json.dumps(service.start())
        if ready_file is not None:
            temporary = ready_file.with_name(ready_file.name + ".new")
            temporary.write_text(where + "\n")
            temporary.rename(ready_file)
        print(f"ready\n{where}", flush=True)
        # By turns: a signal that comes in another thread's time is seen at the next one.
        while not ended.wait(0.5):
            service.check()
    finally:
        service.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
