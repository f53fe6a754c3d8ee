# SPDX-License-Identifier: Apache-2.0
"""A test's program, run so that nothing is left of it, however it ends."""

import contextlib
import os
import subprocess
import tempfile

# Killed, or ended, it takes with it all that it started and mounted. Orphans are the shell's, PID 1.
ALONE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", '"$0" "$@"; exit $?')


@contextlib.contextmanager
def folder():
    """One for its files; loop devices on them are detached at the end."""
    with tempfile.TemporaryDirectory() as path:
        yield path
        for line in subprocess.run(["losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE"],
                                   stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines():
            if path in line:
                subprocess.run(["losetup", "--detach", line.split()[0]], check=False)


def run(command, path, patience_s, **variables):
    """Its status (None: it hung, and was killed) and what it said; path is where it puts its files."""
    process = subprocess.Popen([*ALONE, *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace",
                               env=os.environ | variables | {"TMPDIR": path})
    try:
        output, _ = process.communicate(timeout=patience_s)
        return process.returncode, output
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
        return None, output
