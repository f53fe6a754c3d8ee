# SPDX-License-Identifier: Apache-2.0
"""A boot by kube-bootstrap, measured in the lab; with docker beside the same boot by a shell script.

usage: test/bench/run [--rounds N] [--json FILE]      (LAB_RUNTIME=containerd: machines on containerd)

Each round, in regions of their own without latency: a master's first boot on a blank volume with an
empty bucket, its run again, and a node's boot; first by the daemon, then, on docker, by test/bench/shell
with the AWS CLI. The figures are medians. Ends with 1 if a target is missed. What must not rise meanwhile is
held by test/integration/test_counts.py, which is quick; test/bench/counts --steps says what own CPU is spent on.

wall time until kubelet is healthy
own CPU   of the daemon's process, not of mkfs, kubelet --version and other children, nor what
          systemd does in the process before the program runs; and of the script and what it runs,
          but mkfs, fsck, docker, kubelet and systemctl
peak RSS  of the daemon, and of the largest aws process
at rest   wake-ups of all threads of a daemon that is ready
"""

import argparse
import datetime
import json
import os
import shlex
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lab"))

from kblab import cgroup, machine, region  # noqa: E402
from kblab.settings import CACHE, LAB, LAYERS, REGION, RUNTIME, LabError  # noqa: E402
from spans import longest_chain, needs_of, seconds, when  # noqa: E402

READY_S = 180
REST_S = 30
PLANS = 20
NODES = 100
PROGRAM = "/usr/sbin/kube-bootstrap"
STATE_FILE = "run/kube-bootstrap/state.json"
BOOTS = {"first": "a master's first boot", "again": "a master's run again", "node": "a node's boot"}

# What both sides only wait for. The script finds wrappers of these in its path, which note what
# each costs.
WAITED_FOR = {"mkfs.ext4": "/sbin/mkfs.ext4", "e2fsck": "/sbin/e2fsck", "resize2fs": "/sbin/resize2fs",
              "docker": "/usr/bin/docker", "kubelet": "/usr/bin/kubelet",
              "systemctl": "/usr/bin/systemctl"}
WRAPPED = {"aws": "/usr/bin/aws", **WAITED_FOR}
WRAPPERS = "/opt/bench"
NOTES = "/run/bench"

# Keeps the daemon from starting with the machine: both sides begin on one that is at rest.
HOLD = {"path": "/etc/systemd/system/kube-bootstrap.service.d/bench.conf",
        "content": f"[Unit]\nConditionPathExists={NOTES}\n"}

# The figures of a boot: name, title, format, targets by boot.
FIGURES = [
    ("wall_s", "wall time", "{:.2f} s", {}),
    ("api_s", "wall time to the API and its roles", "{:.2f} s", {}),
    ("ready_s", "wall time to a Ready node", "{:.2f} s", {}),
    ("own_cpu_ms", "own CPU", "{:.1f} ms", {"first": 150, "node": 60}),
    ("systemd_cpu_ms", "systemd's, before it runs", "{:.1f} ms", {}),
    ("peak_rss_kb", "peak RSS", "{:.0f} kB", dict.fromkeys(BOOTS, 16384)),
    ("anonymous_kb", "anonymous memory", "{:.0f} kB", dict.fromkeys(BOOTS, 4096)),
    ("ec2", "EC2 calls", "{:.0f}", {"first": 12, "node": 3}),
    ("s3", "S3 calls", "{:.0f}", {}),
    ("imds", "IMDS calls", "{:.0f}", {}),
    ("cloudformation", "CloudFormation calls", "{:.0f}", {}),
    ("mutating", "calls that change", "{:.0f}", {"again": 0}),
    ("chain_s", "longest chain of steps", "{:.2f} s", {}),
    ("wall_by_chain", "to Ready / longest chain", "{:.3f}", {"first": 1.05, "node": 1.05}),
    ("region_s", "region's time for all calls", "{:.2f} s", {}),
    ("wakes", "wake-ups a minute at rest", "{:.0f}", {}),
    ("aws_runs", "runs of aws", "{:.0f}", {}),
]
SIZE_TARGET = 600_000
MISSED = " MISSED"
SERVICES = ("ec2", "s3", "imds", "cloudformation")
# Steps that ask this machine alone.
LOCAL = {"config", "docker-bootstrap", "containerd", "etcd", "flannel-config", "flanneld", "flannel", "cni", "docker",
         "static-pods", "kubelet", "roles", "addons", "ready"}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every round's figures")
    given = parser.parse_args()
    if given.rounds < 1:
        parser.error("--rounds: at least 1")
    os.environ["LAB_KNOBS"] = "none"  # what is measured is the program, not how late AWS may be
    try:
        everything = measure(given.rounds)
    finally:
        lab("down")
    if given.json:
        given.json.write_text(json.dumps(everything, indent=1) + "\n")
    return 1 if print_table(everything) else 0


def measure(rounds):
    """Every round's figures, and those that have no rounds."""
    sides = {"daemon": Daemon}
    if RUNTIME == "docker":  # the script knows no other
        sides["shell"] = Shell
        run(HERE / "awscli", stdout=subprocess.DEVNULL)
    boots = {boot: {by: [] for by in sides} for boot in BOOTS}
    plans = []
    commit = run("git", "-C", HERE, "describe", "--always", "--dirty", stdout=subprocess.PIPE).strip()
    circumstances = f"{RUNTIME}, {datetime.date.today()}, {commit}, {os.cpu_count()} cores, " \
                    f"load {os.getloadavg()[0]:.1f} before"
    for number in range(1, rounds + 1):
        for by, side in sides.items():
            say(f"round {number} of {rounds}, {by}")
            new_region()
            master = launch("master", side)
            boots["first"][by].append(side.first(master))
            boots["again"][by].append(side.again(master))
            node = launch("node", side)
            boots["node"][by].append(side.first(node))
            if side is Daemon:
                plans.append(many_plans(node))
    return {"rounds": rounds, "boots": boots, "plans": plans, "circumstances": circumstances,
            "program_bytes": (LAYERS / "current" / PROGRAM[1:]).stat().st_size,
            "script_bytes": script_bytes() if "shell" in sides else None}


def script_bytes():
    """Of the script and the AWS CLI."""
    files = [HERE / "shell", *(CACHE / "awscli").rglob("*")]
    return sum(path.lstat().st_size for path in files if path.is_file() and not path.is_symlink())


def new_region():
    """A region whose stack has just been made, and whose cluster is not there yet."""
    lab("down")
    lab("up")
    region._client.cache_clear()  # of the region before
    settings = region.control("GET", "/settings")
    region.control("POST", "/settings", {"latency_ms": 0,
                                         "delays_ms": dict.fromkeys(settings["delays_ms"], 0)})


def launch(role, side):
    """A machine at rest."""
    found = machine.find(region.launch(role, {}, files=[HOLD]))
    inside(found, "until systemctl -q is-active multi-user.target 2>/dev/null; do sleep 0.1; done;"
                  " systemctl is-system-running --wait >/dev/null || true")
    side.prepare(found)
    return found


class Counted:
    """What the region was asked by an instance meanwhile."""

    def __init__(self, found):
        self._id = found.id
        region.control("POST", "/calls/reset")
        self._seen = (REGION / "requests.jsonl").stat().st_size

    def figures(self):
        calls = region.control("GET", f"/calls?instance={self._id}")
        with (REGION / "requests.jsonl").open(encoding="utf-8") as log:
            log.seek(self._seen)
            entries = [json.loads(line) for line in log]
        own = [entry for entry in entries if entry.get("instance") == self._id]
        return {"mutating": sum(entry.get("mutating", False) and entry["status"] < 400 for entry in own),
                **{service: sum(each["count"] for name, each in calls["by_action"].items()
                                if name.startswith(f"{service}:")) for service in SERVICES},
                "region_s": sum(entry.get("ms", 0) for entry in own) / 1000,
                "calls": [(when(entry["time"]), entry["service"]) for entry in own if "service" in entry]}


class Daemon:
    """The boot by kube-bootstrap."""

    @staticmethod
    def prepare(found):
        """Beside what keeps the daemon waiting: its unit with another program, which does nothing."""
        inside(found, f"""mkdir {NOTES}
            sed -e 's,^ExecStart=.*,ExecStart=/bin/sleep infinity,' -e 's/^Type=.*/Type=exec/' \
                -e '/^RuntimeDirectory/d; /^WatchdogSec=/d' /lib/systemd/system/kube-bootstrap.service \
                >/run/systemd/system/bench-sandbox.service
            systemctl daemon-reload
            systemctl start bench-sandbox""")

    @classmethod
    def first(cls, found):
        return cls._converge(found, "start")

    @classmethod
    def again(cls, found):
        return cls._converge(found, "restart")

    @classmethod
    def _converge(cls, found, verb):
        counted = Counted(found)
        before = cls._state(found)
        inside(found, f"systemctl --no-block {verb} kube-bootstrap")
        deadline = time.monotonic() + READY_S
        while True:
            state = cls._state(found)
            if state and state["phase"] == "ready" and state["pid"] != (before or {}).get("pid"):
                break
            if time.monotonic() > deadline or (state or {}).get("phase") == "failed":
                raise LabError(f"{found.name}: not ready:\n"
                               + inside(found, "kube-bootstrap status || true"))
            time.sleep(0.02)
        time.sleep(0.2)  # what it does after saying so, before it is idle
        sandbox = cls._find(found, int(inside(found, "systemctl show -P MainPID bench-sandbox")))
        daemon = cls._find(found, state["pid"])
        systemd_cpu_ms = cls._cpu_ms(sandbox)
        figures = {"own_cpu_ms": cls._cpu_ms(daemon) - systemd_cpu_ms, "systemd_cpu_ms": systemd_cpu_ms,
                   **cls._memory(daemon), **cls._times(found, state, counted.figures())}
        before = cls._wakes(daemon)
        time.sleep(REST_S)
        return {**figures, "wakes": (cls._wakes(daemon) - before) * 60 / REST_S}

    @staticmethod
    def _state(found):
        try:
            return json.loads(Path(f"/proc/{found.leader}/root", STATE_FILE).read_text())
        except FileNotFoundError:
            return None

    @staticmethod
    def _find(found, pid_inside):
        """A process of the machine's, as this host numbers it."""
        for pid in cgroup.Group(found.id).pids():
            try:
                # In a namespace below the machine's, as containers have, the number is another's.
                if fields(f"/proc/{pid}/status")["NSpid"].split()[1:] == [str(pid_inside)]:
                    return pid
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended since
        raise LabError(f"{found.name}: process {pid_inside} has ended")

    @staticmethod
    def _cpu_ms(pid):
        """To the nanosecond, with threads that have ended, without children."""
        return time.clock_gettime((~pid << 3) | 2) * 1000  # clock_getcpuclockid(3)

    @staticmethod
    def _memory(pid):
        status = fields(f"/proc/{pid}/status")
        mapped = Counter()
        name = ""
        for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
            words = line.split()
            if not words[0].endswith(":"):  # a mapping begins: addresses, flags, …, its file
                name = Path(words[5]).name if len(words) > 5 else "memory without a name"
            elif words[0] == "Rss:":
                mapped[name] += int(words[1])
        return {"peak_rss_kb": int(status["VmHWM"].split()[0]),
                "anonymous_kb": int(status["RssAnon"].split()[0]), "mapped_kb": dict(mapped.most_common())}

    @staticmethod
    def _wakes(pid):
        return sum(int(fields(path)["voluntary_ctxt_switches"]) for path in Path(f"/proc/{pid}/task").glob("*/status"))

    @staticmethod
    def _times(found, state, counted):
        steps = {step["name"]: (when(step["started"]), when(step["finished"])) for step in state["steps"]}
        begun = inside(found, "systemctl show -P ExecMainStartTimestamp --timestamp=us+utc"
                              " kube-bootstrap")
        begun = datetime.datetime.strptime(begun, "%a %Y-%m-%d %H:%M:%S.%f %Z").replace(
            tzinfo=datetime.timezone.utc).timestamp()
        ready_s = steps["ready"][1] - begun
        chain = longest_chain(steps, needs_of(steps, inside(found, "kube-bootstrap graph")))
        api = {"api_s": steps["roles"][1] - begun} if "roles" in steps else {}
        return {**counted, **api, "wall_s": steps["kubelet"][1] - begun, "ready_s": ready_s,
                "chain_s": seconds(chain), "wall_by_chain": ready_s / seconds(chain), "chain": chain,
                "steps": [(name, since - begun, until - since) for name, (since, until) in
                          sorted(steps.items(), key=lambda item: item[1])],
                "calls": calls_by_step(steps, counted["calls"])}


def calls_by_step(steps, calls):
    """[(steps, calls by service)]: those of them that were at work at the time of a call."""
    found = {}
    for at, service in calls:
        who = [name for name, (since, until) in steps.items() if name not in LOCAL and since <= at <= until]
        found.setdefault(" or ".join(who) or "no step", Counter())[service] += 1
    return list(found.items())


def fields(path):
    return dict(line.split(":", 1) for line in Path(path).read_text().splitlines())


def many_plans(found):
    """Many plans at once, for what many machines at once ask of the region."""
    counted = Counted(found)
    begun = time.monotonic()
    inside(found, f"for i in $(seq {PLANS}); do kube-bootstrap plan >/dev/null & done; wait")
    return {"wall_s": time.monotonic() - begun, **counted.figures()}


class Shell:
    """The boot by the script."""

    @staticmethod
    def prepare(found):
        copy = subprocess.Popen(["tar", "-C", CACHE / "awscli", "-c", "usr"], stdout=subprocess.PIPE)
        inside(found, "tar -C / -x --keep-directory-symlink", stdin=copy.stdout)
        copy.stdout.close()
        if copy.wait() != 0:
            raise LabError("the AWS CLI was not copied")
        with (HERE / "shell").open("rb") as script:
            inside(found, f"mkdir {WRAPPERS}; cat >{WRAPPERS}/shell", stdin=script)
        for name, program in WRAPPED.items():
            wrapper = ("#!/bin/sh\n"
                       f"exec time -q -a -o {NOTES}/{name} -f '%U %S %M' {program} \"$@\"\n")
            inside(found, f"printf %s {shlex.quote(wrapper)} >{WRAPPERS}/{name};"
                          f" chmod +x {WRAPPERS}/{name}")

    @classmethod
    def first(cls, found):
        counted = Counted(found)
        inside(found, f"rm -rf {NOTES}; mkdir {NOTES}; PATH={WRAPPERS}:$PATH;"
                      f" /usr/bin/time -o {NOTES}/script -f '%e %U %S' bash {WRAPPERS}/shell")
        notes = {name: cls._notes(found, name) for name in ("script", *WRAPPED)}
        [(wall, user, system)] = notes["script"]
        waited_for = sum(sum(run[:2]) for name in WAITED_FOR for run in notes[name])
        return {"wall_s": wall, "own_cpu_ms": (user + system - waited_for) * 1000,
                "peak_rss_kb": max(run[2] for run in notes["aws"]), "aws_runs": len(notes["aws"]),
                **counted.figures()}

    again = first

    @staticmethod
    def _notes(found, name):
        text = inside(found, f"cat {NOTES}/{name} 2>/dev/null || true")
        return [tuple(map(float, line.split())) for line in text.splitlines()]


# The table

def print_table(everything):
    """Returns how many targets were missed."""
    lines = [("", "daemon", "target", "shell", "shell/daemon")]
    for boot, title in BOOTS.items():
        lines += [("",) * 5, (title, "", "", "", "")]
        by = everything["boots"][boot]
        for name, label, form, targets in FIGURES:
            values = [statistics.median(each[name] for each in by[who]) if who in by and name in by[who][0] else None
                      for who in ("daemon", "shell")]
            lines.append(line_of(f"  {label}", form, *values, targets.get(boot)))
    lines += [("",) * 5, line_of("program, stripped, bytes", "{:.0f}", everything["program_bytes"],
                                 everything["script_bytes"], SIZE_TARGET)]
    print(f"Medians of {everything['rounds']} rounds ({everything['circumstances']}).\n"
          "The script's size is with the AWS CLI's.\n")
    print_lines(lines)
    for boot, title in BOOTS.items():
        print_boot(title, everything["boots"][boot]["daemon"][-1])
    print_scale(everything)
    missed = sum(MISSED in line[2] for line in lines)
    print(f"\n{missed} targets missed.")
    return missed


def print_lines(lines):
    """The first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines)]
    for line in lines:
        cells = [line[0].ljust(widths[0]), *(cell.rjust(width)
                                             for cell, width in zip(line[1:], widths[1:]))]
        print("  ".join(cells).rstrip())


def line_of(label, form, daemon, shell, target):
    """A line of the table; a target is the largest value that is good."""
    wanted = ""
    if target is not None:
        wanted = f"<= {form.format(target)}{'' if daemon <= target else MISSED}"
    ratio = f"{shell / daemon:.1f}" if daemon and shell is not None else ""
    return (label, "-" if daemon is None else form.format(daemon), wanted,
            "-" if shell is None else form.format(shell), ratio)


def print_boot(title, figures):
    """Where time, calls and memory of one boot went."""
    print(f"\n{title}, the last round's:\n")
    links = dict(figures["chain"])
    print_lines([("step", "begins at", "takes", "of the longest chain"),
                 *((name, f"{since:.2f} s", f"{took:.2f} s", f"{links[name]:.2f} s" if name in links else "")
                   for name, since, took in figures["steps"])])
    print()
    print_lines([("calls while at work", *(service.upper() for service in SERVICES)),
                 *((who, *(str(count[service] or "") for service in SERVICES)) for who, count in figures["calls"])])
    print("\nmemory at rest, kB: " + ", ".join(f"{name} {kb}" for name, kb in
                                               list(figures["mapped_kb"].items())[:8]))


def print_scale(everything):
    node = everything["boots"]["node"]["daemon"]
    made = sorted({(each["ec2"], each["s3"]) for each in node})
    calls = " or ".join(f"{ec2} EC2 and {s3} S3" for ec2, s3 in made)
    print(f"\nScale: a node's boot made {calls} calls in {len(node)} of {len(node)} rounds; "
          f"{NODES} nodes make {NODES * max(made)[0]} and {NODES * max(made)[1]}.")
    plans = everything["plans"][-1]
    print(f"{PLANS} plans at once on a node: {plans['wall_s']:.2f} s, {plans['ec2'] / PLANS:g} EC2 and "
          f"{plans['s3'] / PLANS:g} S3 calls each, {plans['mutating']} that change.")


# The lab

def lab(*words):
    run(LAB / "lab", *words)


def inside(found, script, **options):
    """Run a shell script in an instance; returns what it wrote, without the last newline."""
    return run(LAB / "lab", "exec", found.id, "bash", "-euc", script, stdout=subprocess.PIPE,
               **options).rstrip("\n")


def run(*argv, **options):
    """Run a program; its errors are shown, its failure ends this one."""
    done = subprocess.run([str(word) for word in argv], check=False, text=True,
                          **{"stdin": subprocess.DEVNULL, **options})
    if done.returncode != 0:
        raise LabError(f"{' '.join(map(str, argv))}: exit status {done.returncode}")
    return done.stdout or ""


def say(what):
    print(f"bench: {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LabError as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
