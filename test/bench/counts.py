# SPDX-License-Identifier: Apache-2.0
"""What a boot costs, in counts alone, which no other load on the machine changes. test_counts.py holds each to at
most 3 % above the one in limits.

usage: test/bench/counts --record   writes today's counts to test/bench/limits
       test/bench/counts --steps    prints the instructions by step, those of libraries included

A machine without systemd boots as far as it can (boot_checks/machines.py), in a region without delays:
calls are counted by service. `plan` then probes it under callgrind, check-config reads a file, and the fuzz
targets parse what is recorded: the instructions of bootstrap/ are counted by folder, without those of
libraries, which change with their versions, and without the files that wait for the network. The plan sees no disk
but its volume: it looks at each, and loop devices that other tests have made stay. Wake-ups are those of the engine's
thread.
"""

import contextlib
import datetime
import functools
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from unittest import mock

import callgrind
from boot_checks import machines
from boot_checks.crashes import SCENES

ROOT = machines.ROOT
PROGRAM = ROOT / "build/release/kube-bootstrap"
REPLAYS = ROOT / "build/release/replay"
CORPUS = ROOT / "test/fuzz/corpus"
RECORDED = {"xml": ROOT / "test/vectors/ec2"}
LIMITS = Path(__file__).with_name("limits")
BOOTS = ("master, first boot", "master, run again", "master, replaced", "node, first boot", "node, run again")
MORE = 1.03
AT_ONCE = {"imds": {"credentials_absent_s": 0.0, "other_code_s": 0.0, "stale_s": 0.0}, "reads": {"stale_s": 0.0},
           "noise": {"mode": "none"}, "ec2": {"shutting_down_s": 0.0, "throttled": False}}
# An attachment is looked at until it is there: each look comes after it, on a slow machine too.
LATE_LOOKS = {"action": "ec2:DescribeVolumes", "effect": "delay", "ms": 1000, "count": 0}
CANNOT_TELL = 1  # how a plan ends where there is no systemd to ask
PLANS = 3
ONE_DISK = """
for disk in $(losetup --associated "$0" --noheadings --output NAME); do
    link=$(readlink "/sys/block/${disk#/dev/}")
    mount -t tmpfs tmpfs /sys/block
    ln -s "$link" /sys/block
done
exec "$@"
"""
ENGINE_WAKES = "workers_finished"


# Counting

def calls(world, scene):
    """Calls by service of one boot."""
    prepare, role = SCENES[scene]
    machine = prepare(world, role)
    world.front.reset()
    world.front.control("POST", "/faults", LATE_LOOKS)
    outcome = machine.run()
    assert outcome.done, (scene, outcome)
    counted = Counter(dict.fromkeys(("EC2 calls", "S3 calls", "IMDS calls"), 0))
    for name, count in machine.calls().items():
        counted[f"{name.partition(':')[0].upper()} calls"] += count
    world.front.control("DELETE", "/faults")
    changing = world.front.control("GET", f"/calls?instance={machine.id}")["mutating"]
    return {**counted, "calls that change": changing}


def plan(machine):
    """Wake-ups and instructions by folder of `plan` on a machine."""
    command = callgrind.command("/run/callgrind", PROGRAM, "plan")
    done = subprocess.run(["nsenter", f"--mount={machine.namespace}", "unshare", "--mount", "sh", "-euc", ONE_DISK,
                           machine.world.image(machine.volume_id), *command],
                          env=machine.environment(), check=False, capture_output=True, text=True)
    would = [line.split()[0] for line in done.stdout.splitlines() if " would " in line]
    assert done.returncode == CANNOT_TELL and would == [machines.ASKS] * (machine.role == "node"), (done.stdout, done.stderr)
    counts = callgrind.read((machine.root / "run/callgrind").read_text())
    return {**{f"instructions of {folder}/": count for folder, count in sorted(counts.own.items())},
            "wake-ups": counts.calls[ENGINE_WAKES]}


def least(counts):
    """Steps run side by side, and look for what their children say: how they meet costs a little more or less."""
    return functools.reduce(lambda one, other: {name: min(one[name], other[name]) for name in one}, counts)


def run(*words):
    """Instructions of a program."""
    with tempfile.NamedTemporaryFile("r") as output:
        subprocess.run(callgrind.command(output.name, *words), check=True, stdout=subprocess.DEVNULL)
        return {"instructions": callgrind.read(output.read()).own.total()}


def replay(program):
    folders = [CORPUS / program.name, *filter(None, [RECORDED.get(program.name)])]
    return run(program, *sorted(path for folder in folders for path in folder.iterdir()))


def count_all():
    """Every count, by "scene: what"."""
    with world_without_delays() as world:
        found = {scene: calls(world, scene) for scene in BOOTS}
        found |= {f"{machine.role}, plan": least(plan(machine) for _ in range(PLANS)) for machine in world.machines}
    found["check-config"] = run(PROGRAM, "check-config", ROOT / "conf/stack-config.sh")
    found |= {f"parse, {program.name}": replay(program) for program in sorted(REPLAYS.iterdir())}
    return {f"{scene}: {what}": count for scene, counts in found.items() for what, count in counts.items()}


@contextlib.contextmanager
def world_without_delays():
    with mock.patch.object(machines.Machine, "program", (PROGRAM,)), machines.World() as world:
        world.front.control("POST", "/settings", AT_ONCE)
        yield world


# Limits

def compiler():
    version = subprocess.run(["gcc", "-dumpfullversion"], check=True, capture_output=True, text=True)
    return f"gcc {version.stdout.strip()}"


def record(found):
    lines = [f"# Counts of {datetime.date.today()} by {compiler()}, VARIANT=release; see counts.\n"]
    lines += [f"{name:<50} {count:>8}\n" for name, count in found.items()]
    LIMITS.write_text("".join(lines))


def recorded():
    """The head of the table, and its counts."""
    head, *lines = LIMITS.read_text().splitlines()
    return head.removeprefix("# "), {name.strip(): int(count) for name, count in (line.rsplit(maxsplit=1) for line in lines)}


# Steps

def print_steps():
    """Where a first boot's instructions go, those of libraries included."""
    with world_without_delays() as world:
        for scene in ("master, first boot", "node, first boot"):
            prepare, role = SCENES[scene]
            machine = prepare(world, role)
            machine.program = callgrind.command("/run/callgrind", PROGRAM)
            outcome = machine.run()
            assert outcome.done, outcome
            counts = callgrind.read((machine.root / "run/callgrind").read_text())
            steps = Counter()
            for (caller, called), count in counts.inclusive.items():
                steps[part(caller, called)] += count
            del steps[None]
            steps["the rest: loading, the engine"] = counts.total - steps.total()
            print(f"{scene}: {counts.total / 1e6:.1f} million instructions")
            for name, count in steps.most_common():
                print(f"  {name:<30} {count / 1e6:6.1f}  {count / counts.total:5.1%}")
            print(f"  in these: {counts.calls['SSL_connect']} TLS handshakes "
                  f"{counts.inclusive['SSL_connect', 'SSL_do_handshake'] / 1e6:.1f}")


def part(caller, called):
    """What of a boot a call belongs to, if it is such a part's outermost."""
    if caller == "step_run_job":
        return called.rpartition("_")[0].replace("_", "-")
    if caller == "parallel_worker" and called.startswith("work_on"):
        return "secrets, to and from the bucket"
    return "state.json" if called == "state_file_write" else None


def main():
    if sys.argv[1:] not in (["--record"], ["--steps"]):
        sys.exit(__doc__)
    subprocess.run(["make", "-s", f"-j{os.cpu_count()}", "all", "replays"], cwd=ROOT, check=True)
    callgrind.unpack()
    with machines.network():
        return print_steps() if sys.argv[1:] == ["--steps"] else record(count_all())


if __name__ == "__main__":
    sys.exit(main())
