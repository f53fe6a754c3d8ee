# SPDX-License-Identifier: Apache-2.0
"""Who may sign: the administrator's fixed key pair, and what IMDS hands out to instances."""

from __future__ import annotations

import base64
import configparser
import io
import secrets
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from .tls import write_file

ROTATE_BEFORE_S = 300.0
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


@dataclass
class Credential:
    access_key: str
    secret_key: str
    token: str = ""  # empty for a long-lived key
    expires: float = float("inf")
    issued: float = 0.0
    role: str = ""  # empty for the administrator
    instance_id: str = ""

    @property
    def principal(self) -> str:
        return f"{self.role}/{self.instance_id}" if self.role else "admin"


class Keyring:
    def __init__(self, state: Path, lifetime_s: float) -> None:
        self.lifetime_s = lifetime_s
        self._lock = threading.Lock()
        self._keys: dict[str, Credential] = {}
        self._current: dict[str, Credential] = {}  # by instance
        self._add(_administrator(state / "credentials"))

    def _add(self, credential: Credential) -> None:
        self._keys[credential.access_key] = credential

    def find(self, access_key: str) -> Credential | None:
        with self._lock:
            return self._keys.get(access_key)

    def for_instance(self, instance_id: str, role: str) -> Credential:
        """The instance's present credential; a new one shortly before the old one ends."""
        now = time.time()
        with self._lock:
            current = self._current.get(instance_id)
            margin = min(ROTATE_BEFORE_S, self.lifetime_s / 4)
            if current and current.role == role and current.expires - now > margin:
                return current
            current = Credential(
                access_key=_random_key("ASIA"), secret_key=secrets.token_urlsafe(30),
                # As long as AWS's, with characters that XML and headers do not mind.
                token=base64.b64encode(secrets.token_bytes(540)).decode(),
                expires=float(int(now + self.lifetime_s)), issued=float(int(now)),
                role=role, instance_id=instance_id)
            self._current[instance_id] = current
            self._add(current)
            return current

    def expire(self, instance_id: str = "") -> int:
        """Ends what was handed out to an instance, or to all; returns how many credentials."""
        now = time.time()
        ended = 0
        with self._lock:
            for credential in self._keys.values():
                if credential.token and instance_id in ("", credential.instance_id) \
                        and credential.expires > now:
                    credential.expires = now - 1
                    ended += 1
        return ended


def _random_key(prefix: str) -> str:
    return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(16))


def _administrator(path: Path) -> Credential:
    """Reads the administrator's key pair from an AWS credentials file, made if absent."""
    parser = configparser.ConfigParser()
    if not parser.read(path):
        parser["default"] = {"aws_access_key_id": _random_key("AKIA"),
                             "aws_secret_access_key": secrets.token_urlsafe(30)}
        text = io.StringIO()
        parser.write(text)
        write_file(path, text.getvalue().encode(), 0o600)
    section = parser["default"]
    return Credential(section["aws_access_key_id"], section["aws_secret_access_key"])
