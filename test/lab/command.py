# SPDX-License-Identifier: Apache-2.0
"""A simulated region on this machine, and instances in it.

usage: lab up [--no-build]             make it, and whatever it needs first; again: bring it up to date
                                       (--no-build: without the tree's own program on the image)
       lab down                        end it, and leave nothing
       lab run master|node [--name N] [--zone a|b|c] [--set KEY=VALUE]... [--user-data FILE]
                      [--virtual]
                                       launch an instance as the stack's groups would, with KEY of
                                       stack-config.sh set otherwise; prints its id. --virtual: a QEMU machine
       lab list                        the instances, with state, address and volumes
       lab shell NAME                  a shell inside
       lab exec NAME COMMAND...        a command inside; its exit status is the lab's
       lab logs NAME [OPTION...]       the journal inside (journalctl's options: -f, -u UNIT, ...)
       lab console NAME                what the machine's console showed
       lab wait NAME [SECONDS]         wait until kube-bootstrap inside says ready
       lab start|stop|reboot|terminate NAME
                                       ask the region to
       lab kill NAME                   cut the machine's power; the region does not know
       lab aws SERVICE OPERATION [KEY=VALUE]...
                                       an AWS call as the administrator; values and answer are JSON
       lab calls [reset]               the calls counted since the last reset
       lab fault [JSON|clear]          list, add or clear faults (test/lab/region/front --help)
       lab fault --imds JSON           add one to the instances' metadata
       lab settings [JSON]             show or change the region's: latency, delays, lifetimes
       lab seed                        what the region was made with: ids, names, keys
       lab kubectl ARGUMENT...         kubectl on this machine, with the administrator's kubeconfig from
                                       the bucket of the newest stack that has one

LAB_KNOBS=none|aws|hostile lab up: how slow and strange the region is ("aws" by default); LAB_DRAW=N draws
what it draws as another region did, whose settings showed this seed. LAB_RUNTIME=docker lab up: instances of
Kubernetes 1.20 on docker, instead of a current one on containerd. LAB_KUBERNETES=FOLDER lab up: with the programs
of a release of Kubernetes that lie there (kubelet, kube-apiserver, kube-controller-manager, kube-scheduler, kube-proxy,
kubectl), instead of those that it would compile.

NAME is an instance's name or id. LAB_CACHE (/var/cache/kube-bootstrap-lab) keeps what is slow to
make, LAB_STATE (/var/lib/kube-bootstrap-lab) what "down" removes. Needs root, and Debian.
"""

import contextlib
import fcntl
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time

from kblab import cgroup, cluster, kernel, machine, network, region, tree, volume
from kblab.settings import (INSTANCES, LAB, LAYERS, REGION, RUNTIME, RUNTIME_FILE, STATE, VIRTUAL, VOLUMES, LabError)

PACKAGES = ("systemd-container", "iproute2", "iptables", "conntrack", "procps", "util-linux", "kmod")


def up(build=True):
    """Make the lab, or what is missing of it."""
    with _alone():
        _say("packages")
        _need_packages()
        for folder in (INSTANCES, VOLUMES, LAYERS, REGION):
            folder.mkdir(parents=True, exist_ok=True)
        runs = region.runs()
        if not runs:
            # A new region knows nothing of the instances of one that is gone.
            _end_machines()
        machines = machine.machines()
        if machines:
            _say("images: left as they are, since instances use them")
        else:
            _say("images")
            _visible(LAB / "images" / "build")
        if build:
            _say("kube-bootstrap")
            tree.install(in_use={layer for each in machines for layer in each.request["layers"]})
        RUNTIME_FILE.write_text(RUNTIME)
        if not runs:
            _say("region")
            kernel.load()
            kernel.keep()
            cgroup.setup()
            network.setup()
            region.start()
    _say("up")


def down():
    """End the lab. What is not the lab's is not touched: its control groups say what is."""
    with _alone():
        _end_machines()
        cgroup.teardown()
        network.teardown()
        kernel.restore()
        # Not the whole of STATE: it may be somebody's, and have more in it.
        for folder in (INSTANCES, VOLUMES, LAYERS, REGION):
            if folder.exists():
                shutil.rmtree(folder)
        for file in (RUNTIME_FILE, STATE / "network.lock"):
            file.unlink(missing_ok=True)
    (STATE / "lock").unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        STATE.rmdir()


def _end_machines():
    for name in cgroup.names():
        cgroup.Group(name).kill()
    volume.release_all()
    for folder in (INSTANCES, VOLUMES):
        for entry in folder.iterdir() if folder.exists() else ():
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()


def show_list():
    for each in machine.machines():
        request = each.request
        state = "running" if each.leader else "off"
        volumes = " ".join(f"{volume_id}={loop}" for volume_id, loop in each.attachments.items())
        print(f"{each.id}  {each.name:<12} {state:<8} {request['zone']}  {request['private_ip']:<15} "
              f"{volumes}".rstrip())


def launch(arguments):
    role, options, settings = None, {}, {}
    words = iter(arguments)
    for word in words:
        if word == "--set":
            key, _, value = next(words, "").partition("=")
            settings[key] = value
        elif word in ("--name", "--zone", "--user-data"):
            options[word[2:]] = next(words, "")
        elif word == "--virtual":
            subprocess.run([LAB / "images" / "build", "kernel"], check=True, stdout=sys.stderr)
            options["kind"] = VIRTUAL
        elif word in ("master", "node") and not role:
            role = word
        else:
            raise Usage(f"lab: run: {word}: unknown, or too much (lab help)")
    if not role:
        raise Usage("lab: run: which role, master or node? (lab help)")
    print(region.launch(role, settings, **{key.replace("-", "_"): value
                                           for key, value in options.items()}))


def wait(name, seconds="600"):
    deadline = time.monotonic() + float(seconds)
    while True:
        with contextlib.suppress(LabError):
            found = machine.find(name)
            if found.leader:
                break
        if time.monotonic() > deadline:
            raise LabError(f"{name}: does not run after {seconds} s")
        time.sleep(0.1)
    left = max(1, round(deadline - time.monotonic()))
    found.command("kube-bootstrap", "status", f"--wait={left}")


def aws(service, operation, *words):
    parameters = {}
    for word in words:
        key, _, value = word.partition("=")
        try:
            parameters[key] = json.loads(value)
        except json.JSONDecodeError:
            parameters[key] = value
    _print_json(region.call(service, operation, **parameters))


def kubectl(arguments):
    kube = cluster.connect(timeout_s=0)
    status = subprocess.run(kube.command(*arguments), env=kube.environment(), check=False).returncode
    if status != 0:
        raise LabError(f"kubectl: exit status {status}")


def ask(verb, name):
    """The verbs that EC2 has: the region does it, in its own time."""
    operation = {"start": "start_instances", "stop": "stop_instances",
                 "reboot": "reboot_instances", "terminate": "terminate_instances"}[verb]
    region.call("ec2", operation, InstanceIds=[machine.find(name).id])


def main(argv):
    verb, arguments = (argv[1], argv[2:]) if len(argv) > 1 else (None, [])
    match verb, arguments:
        case "up", []:
            up()
        case "up", ["--no-build"]:
            up(build=False)
        case "down", []:
            down()
        case "run", [*_]:
            launch(arguments)
        case "list", []:
            show_list()
        case "shell", [name]:
            machine.find(name).command("bash", "-l")
        case "exec", [name, _, *_]:
            machine.find(name).command(*arguments[1:])
        case "logs", [name, *options]:
            machine.find(name).command("journalctl", *([] if options else ["--no-pager"]), *options)
        case "console", [name]:
            sys.stdout.write(machine.find(name).console.read_text(errors="replace"))
        case "wait", [name]:
            wait(name)
        case "wait", [name, seconds]:
            wait(name, seconds)
        case ("start" | "stop" | "reboot" | "terminate"), [name]:
            ask(verb, name)
        case "kill", [name]:
            machine.find(name).kill()
        case "aws", [service, operation, *words]:
            aws(service, operation, *words)
        case "calls", []:
            _print_json(region.control("GET", "/calls"))
        case "calls", ["reset"]:
            region.control("POST", "/calls/reset")
        case "fault", []:
            _print_json(region.control("GET", "/faults"))
        case "fault", ["clear"]:
            region.control("DELETE", "/faults")
        case "fault", [fault]:
            _print_json(region.control("POST", "/faults", _json(fault)))
        case "fault", ["--imds", fault]:
            _print_json(region.control("POST", "/imds-faults", _json(fault)))
        case "settings", []:
            _print_json(region.control("GET", "/settings"))
        case "settings", [settings]:
            _print_json(region.control("POST", "/settings", _json(settings)))
        case "seed", []:
            _print_json(region.seed())
        case "kubectl", [_, *_]:
            kubectl(arguments)
        case None, _:
            raise Usage(__doc__.strip())
        case _:
            known = re.findall(r"\w+", " ".join(re.findall(r"(?m)^(?:usage:)? +lab ([a-z|]+)", __doc__)))
            wrong = f"wrong arguments: {shlex.join(arguments)}" if verb in known else "no such command"
            raise Usage(f"lab: {verb}: {wrong} (lab help)")


class Usage(Exception):
    """Called with words it does not know: names the first of them."""


@contextlib.contextmanager
def _alone():
    """One "up" or "down" at a time."""
    STATE.mkdir(parents=True, exist_ok=True)
    with open(STATE / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _need_packages():
    known = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *PACKAGES],
                           check=False, capture_output=True, text=True).stdout.split("\n")
    missing = [name for name in PACKAGES if f"{name} installed" not in known]
    if missing:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        apt = ("apt-get", "-q", "-o", "DPkg::Lock::Timeout=300")
        _visible(*apt, "update", env=environment)
        _visible(*apt, "-y", "--no-install-recommends", "install", *missing,
                 env=environment)


def _visible(*argv, **options):
    """Run what takes long, in sight."""
    status = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False,
                            **options).returncode
    if status != 0:
        raise LabError(f"{' '.join(map(str, argv))}: exit status {status}")


def _json(text):
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise LabError(f"not JSON: {text}: {error}") from error


def _print_json(value):
    json.dump(value, sys.stdout, indent=2, default=str)
    print()


def _say(what):
    print(f"lab: {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 2 and sys.argv[1] in ("-h", "--help", "help"):
        print(__doc__.strip())
        sys.exit(0)
    if os.geteuid() != 0:
        sys.exit("lab: needs root")
    try:
        main(sys.argv)
    except Usage as error:
        print(error, file=sys.stderr)
        sys.exit(64)
    except LabError as error:
        sys.exit(f"lab: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
