# SPDX-License-Identifier: Apache-2.0
"""What the region calls to move hardware: hypervisor VERB, with a JSON object on stdin.

launch        {"instance_id", "private_ip", "prefix_len", "gateway", "mac", "type", "name", "user_data", ...}
start, stop, reboot, kill, terminate
              {"instance_id"}
attach        {"instance_id", "volume_id", "size_gib"}; for a volume that reads as noise where nobody has
              written, also "noise": {"mode", "seed", "imitate"} (kblab/noise.py)
detach        {"instance_id", "volume_id"}
associate     {"public_ip", "private_ip"}
disassociate  {"public_ip"}

Each returns when it is so, with status 0; otherwise with status 1 and the reason on stderr. Asking
for what is so already is no error, but for launch.
"""

import json
import sys

from kblab import network
from kblab.machine import of
from kblab.settings import LabError

VERBS = {
    "launch": lambda ask: of(ask["instance_id"], ask).launch(ask),
    "start": lambda ask: of(ask["instance_id"]).start(),
    "stop": lambda ask: of(ask["instance_id"]).stop(),
    "reboot": lambda ask: of(ask["instance_id"]).reboot(),
    "kill": lambda ask: of(ask["instance_id"]).kill(),
    "terminate": lambda ask: of(ask["instance_id"]).terminate(),
    "attach": lambda ask: of(ask["instance_id"]).attach(ask["volume_id"], ask["size_gib"], ask.get("noise")),
    "detach": lambda ask: of(ask["instance_id"]).detach(ask["volume_id"]),
    "associate": lambda ask: network.associate(ask["public_ip"], ask["private_ip"]),
    "disassociate": lambda ask: network.disassociate(ask["public_ip"]),
}


def main(argv):
    if len(argv) == 3 and argv[1] == "supervise":
        of(argv[2]).supervise()
    elif len(argv) == 2 and argv[1] in VERBS:
        VERBS[argv[1]](json.load(sys.stdin))
    else:
        print(__doc__.strip(), file=sys.stderr)
        return 64
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv))
    except LabError as error:
        print(f"hypervisor: {error}", file=sys.stderr)
        sys.exit(1)
