# SPDX-License-Identifier: Apache-2.0
"""The VPC's name server, at the address that EC2's has: resolver ADDRESS REGION_ADDRESS

AWS's own names, with any bucket's, lead to the region's front; an instance's private DNS name to its
address. Nothing else exists.
"""

import contextlib
import ipaddress
import re
import socketserver
import struct
import sys
import threading

TYPE_A, CLASS_IN = 1, 1
RESPONSE, AUTHORITATIVE, RECURSION = 0x8000, 0x0400, 0x0180
FORMAT_ERROR, NO_SUCH_NAME = 1, 3
TTL_S = 5
HEADER = 12  # bytes

PRIVATE_NAME = re.compile(r"ip-(\d+)-(\d+)-(\d+)-(\d+)\.ec2\.internal")


def lookup(name, region):
    """The address of a name, or None."""
    if name.endswith(".amazonaws.com"):
        return ipaddress.ip_address(region)
    private = PRIVATE_NAME.fullmatch(name)
    try:
        return ipaddress.ip_address(".".join(private.groups())) if private else None
    except ValueError:
        return None


def parse(query):
    """The one question of a query: name, type, and its bytes. RFC 1035, section 4.1.2."""
    (count,) = struct.unpack_from("!H", query, 4)
    if count != 1:
        raise ValueError("not one question")
    labels, at = [], 12
    while query[at]:
        size = query[at]
        labels.append(query[at + 1:at + 1 + size].decode("ascii"))
        at += 1 + size
    kind, _ = struct.unpack_from("!HH", query, at + 1)
    return ".".join(labels).lower(), kind, query[12:at + 5]


def answer(query, region):
    """The reply to a query."""
    identifier, flags = struct.unpack_from("!HH", query)
    flags = RESPONSE | AUTHORITATIVE | (flags & RECURSION) | 0x80
    try:
        name, kind, question = parse(query)
    except (ValueError, IndexError, struct.error):
        return struct.pack("!HHHHHH", identifier, flags | FORMAT_ERROR, 0, 0, 0, 0)
    address = lookup(name, region)
    if address is None:
        return struct.pack("!HHHHHH", identifier, flags | NO_SUCH_NAME, 1, 0, 0, 0) + question
    if kind != TYPE_A:  # the name exists, only not with this type
        return struct.pack("!HHHHHH", identifier, flags, 1, 0, 0, 0) + question
    # 0xc00c: the name of the question
    record = struct.pack("!HHHIH", 0xC00C, TYPE_A, CLASS_IN, TTL_S, 4) + address.packed
    return struct.pack("!HHHHHH", identifier, flags, 1, 1, 0, 0) + question + record


class Datagram(socketserver.BaseRequestHandler):
    """One query."""

    def handle(self):
        query, own = self.request
        if len(query) >= HEADER:
            with contextlib.suppress(OSError):  # whoever asked is gone, as in a power cut
                own.sendto(answer(query, self.server.region), self.client_address)


class Stream(socketserver.StreamRequestHandler):
    """Queries, each after its length. RFC 1035, section 4.2.2."""

    timeout = 30

    def handle(self):
        with contextlib.suppress(OSError):
            while len(prefix := self.rfile.read(2)) == 2:
                query = self.rfile.read(*struct.unpack("!H", prefix))
                if len(query) < HEADER:
                    return
                reply = answer(query, self.server.region)
                self.wfile.write(struct.pack("!H", len(reply)) + reply)


class Streams(socketserver.ThreadingTCPServer):
    """The server of such queries."""

    allow_reuse_address = daemon_threads = True


def main(own, region):
    datagrams = socketserver.UDPServer((own, 53), Datagram)
    streams = Streams((own, 53), Stream)
    datagrams.region = streams.region = region
    threading.Thread(target=streams.serve_forever).start()
    datagrams.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
