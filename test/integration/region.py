#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The simulated region refuses what AWS refuses: each rule of its front, asked by botocore.

The rest of the tests lean on the front being strict, so its strictness is tested first. It runs
here as an API alone, on the loopback, with no instances behind it. Prints TAP. With words, runs
only the checks that have one of them in their names.
"""

import sys
import traceback

sys.dont_write_bytecode = True

from region_checks import ec2, faults, imds, s3, signatures  # noqa: E402
from region_checks.harness import Front, Skip  # noqa: E402


def main():
    checks = [(f"{module.__name__.rpartition('.')[2]}: {name.replace('_', ' ')}", function)
              for module in (signatures, s3, ec2, imds, faults)
              for name, function in vars(module).items()
              if callable(function) and function.__module__ == module.__name__
              and not name.startswith("_")]
    checks = [c for c in checks if len(sys.argv) == 1 or any(w in c[0] for w in sys.argv[1:])]
    failed = 0
    with Front() as front:
        for number, (name, function) in enumerate(checks, 1):
            front.reset()
            try:
                function(front)
                print(f"ok {number} - {name}", flush=True)
            except Skip as reason:
                print(f"ok {number} - {name} # SKIP {reason}", flush=True)
            except Exception:
                failed += 1
                print(f"not ok {number} - {name}")
                for line in traceback.format_exc().splitlines():
                    print(f"# {line}", flush=True)
        bugs = front.bugs()
    for line in bugs:
        print(f"# {line}")
    print(f"{'not ok' if bugs else 'ok'} {len(checks) + 1} - the front met no error of its own")
    print(f"1..{len(checks) + 1}")
    return 1 if failed or bugs else 0


if __name__ == "__main__":
    sys.exit(main())
