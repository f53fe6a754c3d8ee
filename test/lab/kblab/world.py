# SPDX-License-Identifier: Apache-2.0
"""A master and a node: new ones, or those that the test before has left. The tests named test_cluster… share them."""

import contextlib

from . import machine, region
from .settings import IMAGE_ROOT, LAYERS, LabError
from .testing import lab, ok

READY_S = 420
NAMES = ["master", "node"]


def settle(name, what=None):
    """Waits until it says ready; where it does not, shows what is in the way."""
    done = lab("wait", name, READY_S, check=False)
    return ok(done.returncode == 0, what or f"{name}: ready", "" if done.returncode == 0 else seen_of(name))


def seen_of(name):
    """What there is to say of a machine that is not as it should be; one that is half down or up answers in part."""
    console = machine.find(name).console.read_text(errors="replace").splitlines()
    seen = ["its console:", *console[-25:]]
    for words in (("systemctl", "list-jobs", "--no-pager"), ("kube-bootstrap", "status"),
                  ("sh", "-c", "docker ps -a | tail -n 20; ctr -n k8s.io tasks ls"), ("ps", "-eo", "pid,stat,wchan:20,etimes,args"),
                  ("journalctl", "--no-pager", "-u", "kube-bootstrap", "-u", "kubelet", "-n", "60")):
        done = lab("exec", name, *words, check=False)
        seen += [f"{' '.join(words)}: {done.returncode}", done.stderr, done.stdout]
    return "\n".join(seen)


def boot():
    """From nothing, in a region of their own: another's master would hold the volume. Returns the master's id."""
    lab("down")
    lab("up")
    [master, _] = [lab("run", role).strip() for role in NAMES]
    for name in NAMES:
        settle(name, f"a {name} boots from nothing to ready")
    return master


def enter():
    """Those that are there, if both are ready, of this image and of the tree's own build; else new ones."""
    with contextlib.suppress(LabError, AssertionError):
        if region.runs() and sorted(each.name for each in machine.machines()) == NAMES:
            lab("up")
            current = [str((LAYERS / "current").resolve())], str(IMAGE_ROOT)
            if all((machine.find(name).request["layers"], machine.find(name).request.get("root")) == current and
                   machine.find(name).run("kube-bootstrap", "status").returncode == 0 for name in NAMES):
                return
    boot()
