# SPDX-License-Identifier: Apache-2.0
"""moto_server: as a child of the front, and as an upstream."""

from __future__ import annotations

import ctypes
import http.client
import queue
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import botocore.session
from botocore.config import Config

from .wire import Reply, Request

START_S = 240.0
_PR_SET_PDEATHSIG = 1

_SERVER = Path(__file__).resolve().parent.parent / "moto_server"


def die_with_parent() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class MotoChild:
    """Runs moto until stop()."""

    def __init__(self, port: int, public: str, log: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, str(_SERVER), "127.0.0.1", str(port), public]
        with log.open("ab") as output:
            # Called from the main thread: the death signal is tied to the thread that forks.
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output,
                                             stderr=output, preexec_fn=die_with_parent)
        self._log = log

    def wait_ready(self) -> None:
        deadline = time.monotonic() + START_S
        host = urlsplit(self.url)
        while True:
            self.check()
            try:
                connection = http.client.HTTPConnection(host.hostname or "", host.port, timeout=5)
                connection.request("GET", "/moto-api/")
                connection.getresponse().read()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"moto does not answer: see {self._log}") from None
                time.sleep(0.05)

    def check(self) -> None:
        if self._process.poll() is not None:
            raise RuntimeError(f"moto ended with {self._process.returncode}: see {self._log}")

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


class Moto:
    """The upstream: raw requests passed on, and botocore clients for the front's own questions."""

    def __init__(self, url: str, region: str, session: botocore.session.Session) -> None:
        self.url = url
        self._host = urlsplit(url)
        self._idle: queue.LifoQueue[http.client.HTTPConnection] = queue.LifoQueue()
        self._session = session
        self._region = region
        self.ec2 = self._client("ec2")
        self.iam = self._client("iam")
        self.kms = self._client("kms")
        self.autoscaling = self._client("autoscaling")
        self.cloudformation = self._client("cloudformation")

    def _client(self, service: str) -> Any:
        return self._session.create_client(
            service, region_name=self._region, endpoint_url=self.url,
            aws_access_key_id="front", aws_secret_access_key="front",
            config=Config(retries={"max_attempts": 0}, read_timeout=120))

    def forward(self, request: Request, target: str | None = None,
                headers: dict[str, str] | None = None, drop: tuple[str, ...] = ()) -> Reply:
        """Passes request on; target and headers replace its own, drop leaves some out."""
        send = {name: value for name, value in request.headers.items()
                if name.lower() not in ("connection", "expect", "content-length", *drop)}
        send |= headers or {}
        send["Content-Length"] = str(len(request.body))
        if target is None:
            target = request.path + (f"?{request.query}" if request.query else "")
        return self.send(request.method, target, request.body, send)

    def send(self, method: str, target: str, body: bytes, headers: dict[str, str]) -> Reply:
        try:
            connection = self._idle.get_nowait()
        except queue.Empty:
            connection = http.client.HTTPConnection(self._host.hostname or "", self._host.port,
                                                    timeout=120)
        try:
            try:
                connection.request(method, target, body, headers)
                response = connection.getresponse()
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                # An idle connection that moto had closed; nothing was handled, so ask again.
                connection.close()
                connection.request(method, target, body, headers)
                response = connection.getresponse()
            data = response.read()
        except OSError:
            connection.close()
            raise
        if response.will_close:
            connection.close()
        self._idle.put(connection)
        kept = {name: value for name, value in response.getheaders() if name.lower() not in (
            "connection", "content-length", "content-type", "date", "server",
            "transfer-encoding", "x-amzn-requestid", "x-amz-request-id")}
        if method == "HEAD" and response.getheader("Content-Length"):
            kept["Content-Length"] = response.getheader("Content-Length") or "0"
        return Reply(response.status, data, response.getheader("Content-Type") or "", kept)
