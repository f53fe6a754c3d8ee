# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 as the front speaks it: a thread per connection, keep-alive, whole bodies.

A Reply can also misbehave on the wire (cut, silent, closed), which is how faults reach a client.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MAX_BODY_BYTES = 64 << 20
IDLE_S = 75.0


@dataclass
class Request:
    method: str
    path: str  # as it came, still percent-encoded
    query: str
    headers: Message
    body: bytes
    peer: str  # address of the client

    def header(self, name: str) -> str:
        return self.headers.get(name, "")


@dataclass
class Reply:
    status: int
    body: bytes = b""
    content_type: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    date_skew_s: float = 0.0
    cut_bytes: int | None = None  # promise the whole body, send this much of it, close
    close: bool = False  # close after the reply
    mute_s: float | None = None  # say nothing for so long, then close
    hops: int | None = None  # how many routers let it through, and all that comes after it


Handler = Callable[[Request], Reply]


class Server(ThreadingHTTPServer):
    """Serves one handler on one address, over TLS when a context is given."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 512

    def __init__(self, address: tuple[str, int], handler: Handler,
                 tls: ssl.SSLContext | None = None) -> None:
        self.handler = handler
        self.tls = tls
        self.stopping = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1},
                                        daemon=True)
        super().__init__(address, _Connection)

    def server_bind(self) -> None:
        # HTTPServer's own would look the host name up, which can take seconds.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.bound: tuple[str, int] = self.socket.getsockname()
        self.server_address = self.bound

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.stopping.set()
        if self._thread.is_alive():  # shutdown() waits for a loop, for ever if there is none
            self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        # A client that hangs up or a failed handshake is the client's affair; a bug must be seen.
        if not isinstance(sys.exc_info()[1], OSError):
            traceback.print_exc()


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    server: Server

    def finish(self) -> None:
        """Close it for good: the server closes the socket that TLS has taken the descriptor from."""
        with contextlib.suppress(OSError):
            super().finish()
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()

    def setup(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.server.tls is not None:
            self.request.settimeout(IDLE_S)
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def log_message(self, *args: object) -> None:
        pass  # every request is logged by the handler, with what it meant

    def _serve(self) -> None:
        if self.headers.get("Transfer-Encoding"):
            # As S3: only a body of known length. What follows cannot be framed, so hang up.
            self._send(Reply(501, b"", close=True))
            return
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > MAX_BODY_BYTES:
            self._send(Reply(400 if not length.isdigit() else 413, b"", close=True))
            return
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            self.close_connection = True
            return
        path, _, query = self.path.partition("?")
        self._send(self.server.handler(Request(
            method=self.command, path=path, query=query, headers=self.headers, body=body,
            peer=self.client_address[0])))

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_PATCH = do_OPTIONS = _serve

    def _send(self, reply: Reply) -> None:
        if reply.mute_s is not None:
            self.server.stopping.wait(reply.mute_s)
            self.close_connection = True
            return
        try:
            reason = HTTPStatus(reply.status).phrase
        except ValueError:
            reason = "Unknown"
        headers = {"Date": formatdate(time.time() + reply.date_skew_s, usegmt=True)}
        if reply.content_type:
            headers["Content-Type"] = reply.content_type
        headers |= reply.headers
        if self.command == "HEAD":
            headers.setdefault("Content-Length", "0")
        elif reply.status not in (204, 304):
            headers["Content-Length"] = str(len(reply.body))
        if reply.close:
            headers["Connection"] = "close"
            self.close_connection = True
        if reply.hops is not None:
            # For the whole connection: else what is lost would come again with a longer life.
            self.connection.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, reply.hops)
        head = f"HTTP/1.1 {reply.status} {reason}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
        body = b"" if self.command == "HEAD" or reply.status in (204, 304) else reply.body
        if reply.cut_bytes is not None:
            body = body[:reply.cut_bytes]
            self.close_connection = True
        self.wfile.write(head.encode("latin-1") + body)
        if reply.cut_bytes is not None:
            # No TLS close_notify: a cut looks like a lost peer, not like an orderly end.
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
