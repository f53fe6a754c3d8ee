#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Whole boots under valgrind: no invalid access, nothing uninitialised used, nothing leaked. Prints TAP.

Children (mkfs and the like) are not looked at.
"""

import os
import subprocess
import sys

sys.dont_write_bytecode = True

from boot_checks import machines  # noqa: E402
from boot_checks.crashes import SCENES  # noqa: E402

PROGRAM = machines.ROOT / "build/debug/kube-bootstrap"
VALGRIND = machines.ROOT / "build/valgrind"
COMMAND = (machines.ROOT / "test/tools/valgrind", VALGRIND, PROGRAM)


def boot(world, scene):
    """What valgrind has to say of one run, or that the run did not do what it should."""
    prepare, role = SCENES[scene]
    world.clear()
    machine = prepare(world, role)
    machine.program = COMMAND
    outcome = machine.run()
    return (machine.root / "run/valgrind").read_text() if outcome.done else outcome.said or "ended late"


def main():
    if os.geteuid() != 0:
        print("ok 1 - valgrind # SKIP needs root, for namespaces and loop devices\n1..1")
        return 0
    for variant, program in (("effects", machines.PROGRAM), ("debug", PROGRAM)):
        subprocess.run(["make", "-s", f"VARIANT={variant}", program.relative_to(machines.ROOT)],
                       cwd=machines.ROOT, check=True)
    if "ALONE" not in os.environ:  # Debian 12's knows no pidfd_open
        subprocess.run([machines.ROOT / "test/tools/unpack", "trixie", "valgrind", VALGRIND], check=True,
                       stdout=subprocess.DEVNULL)
    machines.alone()
    bad = 0
    with machines.World() as world:
        for number, scene in enumerate(SCENES, 1):
            wrong = boot(world, scene)
            bad += bool(wrong)
            print(f"{'not ok' if wrong else 'ok'} {number} - {scene}: clean", flush=True)
            for line in wrong.splitlines():
                print(f"# {line}")
    print(f"1..{len(SCENES)}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
