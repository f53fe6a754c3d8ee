# SPDX-License-Identifier: Apache-2.0
"""Effects on the lab's hardware: runs the hook program in the background, in order per subject."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

TIMEOUT_S = 300.0

# How long the simulated hardware takes when there is no hook, in milliseconds.
DEFAULT_DELAYS = {"launch": 50, "reboot": 50, "stop": 50, "start": 50, "terminate": 50,
                  "attach": 100, "detach": 100, "associate": 0, "disassociate": 0}

Done = Callable[[str], None]  # gets "", or what went wrong


class Hypervisor:
    def __init__(self, program: str | None, log: Callable[..., None]) -> None:
        self.program = program
        self.delays_ms = dict(DEFAULT_DELAYS) if program is None else dict.fromkeys(
            DEFAULT_DELAYS, 0)
        self._log = log
        self._lock = threading.Lock()
        self._queues: dict[str, deque[tuple[str, dict[str, Any], Done]]] = {}

    def submit(self, subject: str, verb: str, payload: dict[str, Any],
               done: Done = lambda error: None) -> None:
        """Runs verb after everything submitted earlier for subject, then calls done."""
        with self._lock:
            waiting = self._queues.get(subject)
            if waiting is not None:
                waiting.append((verb, payload, done))
                return
            self._queues[subject] = deque([(verb, payload, done)])
        threading.Thread(target=self._drain, args=(subject,), daemon=True).start()

    def _drain(self, subject: str) -> None:
        while True:
            with self._lock:
                waiting = self._queues[subject]
                if not waiting:
                    del self._queues[subject]
                    return
                verb, payload, done = waiting.popleft()
            done(self._run(verb, payload))

    def _run(self, verb: str, payload: dict[str, Any]) -> str:
        time.sleep(self.delays_ms[verb] / 1000)
        if self.program is None:
            return ""
        started = time.monotonic()
        error = ""
        try:
            result = subprocess.run([self.program, verb], input=json.dumps(payload),
                                    capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
            if result.returncode != 0:
                error = f"{self.program} {verb} ended with {result.returncode}: " + \
                    result.stderr.strip()[-2000:]
        except (OSError, subprocess.TimeoutExpired) as problem:
            error = f"{self.program} {verb}: {problem}"
        shown = {k: v for k, v in payload.items() if k != "user_data"}
        self._log(event="hypervisor", verb=verb, payload=shown, error=error,
                  ms=round((time.monotonic() - started) * 1000, 1))
        return error
