# SPDX-License-Identifier: Apache-2.0
"""Puts the parts of the front together, starts and stops them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import botocore.session

from .api import Api
from .calls import Calls
from .cloudformation import Stacks
from .control import Control
from .credentials import Keyring
from .ec2 import Ec2
from .faults import Faults
from .hypervisor import Hypervisor
from .imds import Imds
from .knobs import Knobs
from .lifecycle import Lifecycle
from .mirror import Mirror
from .model import Region
from .moto import Moto, MotoChild
from .policy import Judge, Policies
from .s3 import S3
from .shapes import Ec2Shapes
from .tls import server_context, write_file
from .wire import Server


@dataclass
class Options:
    state: Path
    listen: tuple[str, int]
    imds_listen: tuple[str, int]
    control: tuple[str, int]
    hypervisor: str | None
    moto: str | None
    moto_port: int
    imds_instance: str
    latency_ms: float
    region: str
    public: str
    reserve: list[str]
    credentials_lifetime_s: float
    forget_s: float
    seed: bool
    knobs: Knobs


class Service:
    def __init__(self, options: Options) -> None:
        self._options = options
        self._child: MotoChild | None = None
        self._judge: Judge | None = None
        self._servers: list[Server] = []

    def start(self) -> dict[str, str]:
        """Starts everything; returns the addresses that are served."""
        options = self._options
        # Threads that wait for moto or a lock must not hold up the one that can answer.
        sys.setswitchinterval(0.001)
        # botocore must not look for anybody's own configuration.
        for name in [n for n in os.environ if n.startswith("AWS_")]:
            del os.environ[name]
        os.environ |= {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
        options.state.mkdir(parents=True, exist_ok=True)
        options.state.chmod(0o755)
        url = options.moto
        if url is None:
            port = options.moto_port or _free_port()
            self._child = MotoChild(port, options.public, options.state / "moto.log")
            url = self._child.url
        self._judge = Judge(options.state / "judge.log")
        session = botocore.session.Session()  # while these are starting
        shapes = Ec2Shapes(session)
        tls = server_context(options.state, options.region)
        calls = Calls(options.state / "requests.jsonl")
        keyring = Keyring(options.state, options.credentials_lifetime_s)
        moto = Moto(url, options.region, session)
        if self._child is not None:
            self._child.wait_ready()

        region = Region(options.region, set(options.reserve), options.forget_s, options.knobs)
        faults = Faults()
        hypervisor = Hypervisor(options.hypervisor, calls.write)
        lifecycle = Lifecycle(region, hypervisor)
        mirror = Mirror(region, moto, lifecycle)
        lifecycle.failed = mirror.sync
        ec2 = Ec2(region, lifecycle, mirror, moto, shapes, calls, session)
        s3 = S3(moto, options.region, region.account, calls, options.knobs.s3)
        stacks = Stacks(moto)
        policies = Policies(moto, self._judge, region.account)
        api = Api(region, keyring, policies, faults, calls, moto, mirror, ec2, s3, stacks,
                  options.latency_ms)
        imds = Imds(region, keyring, calls, faults, options.imds_instance, options.knobs.imds)
        control = Control(region, keyring, calls, faults, imds, api, hypervisor, lifecycle, stacks,
                          policies)
        mirror.sync()

        self._servers = [Server(options.listen, api.serve, tls),
                         Server(options.imds_listen, imds.handler()),
                         Server(options.control, control.serve)]
        https, metadata, admin = (f"{s.bound[0]}:{s.bound[1]}" for s in self._servers)
        self._servers[0].start()
        if options.seed:
            self._seed(self._servers[0].bound[1])
        # The control API comes last: once it answers, everything is there.
        for server in self._servers[1:]:
            server.start()
        return {"endpoint": f"https://{https}", "imds": f"http://{metadata}",
                "control": f"http://{admin}", "moto": url,
                "ca": str(options.state / "ca.pem"),
                "credentials": str(options.state / "credentials")}

    def _seed(self, port: int) -> None:
        program = Path(__file__).resolve().parent.parent / "seed.py"
        made = subprocess.run(
            [sys.executable, program, "--endpoint", f"https://127.0.0.1:{port}", "--state", self._options.state,
             "--region", self._options.region], stdout=subprocess.PIPE, check=True)
        write_file(self._options.state / "seed.json", made.stdout)

    def check(self) -> None:
        """Raises if moto has died: a region without it answers nothing right."""
        if self._child is not None:
            self._child.check()

    def stop(self) -> None:
        for server in self._servers:
            server.stop()
        if self._judge is not None:
            self._judge.stop()
        if self._child is not None:
            self._child.stop()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
