# SPDX-License-Identifier: Apache-2.0
"""The lab's CA and the front's serving certificate, made once in the state folder."""

from __future__ import annotations

import datetime
import ipaddress
import os
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NAMES = (
    "*.amazonaws.com", "ec2.{region}.amazonaws.com", "*.{region}.amazonaws.com",
    "*.ecr.{region}.amazonaws.com",
    "s3.amazonaws.com", "*.s3.amazonaws.com", "*.s3.{region}.amazonaws.com",
    "localhost", "127.0.0.1", "172.31.255.2",
)
BACKDATED = datetime.timedelta(hours=1)


def write_file(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replaces path whole; its mode holds from the first byte."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
    temporary.rename(path)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption())


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey,
             days: int) -> x509.CertificateBuilder:
    now = datetime.datetime.utcnow()
    return (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
            .serial_number(x509.random_serial_number()).not_valid_before(now - BACKDATED)
            .not_valid_after(now + datetime.timedelta(days=days)))


def _make_ca(state: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("kube-bootstrap lab CA")
    certificate = (
        _builder(name, name, key.public_key(), 3650)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False),
                       critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256()))
    write_file(state / "ca.key", _pem(key), 0o600)
    write_file(state / "ca.pem", certificate.public_bytes(serialization.Encoding.PEM))


def _make_serving(state: Path, region: str) -> None:
    ca = x509.load_pem_x509_certificate((state / "ca.pem").read_bytes())
    ca_key = serialization.load_pem_private_key((state / "ca.key").read_bytes(), None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    names: list[x509.GeneralName] = []
    for name in NAMES:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            names.append(x509.DNSName(name.format(region=region)))
    certificate = (
        _builder(_name("simulated region"), ca.subject, key.public_key(), 365)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()),
                       critical=False)
        .sign(ca_key, hashes.SHA256()))
    write_file(state / "server.key", _pem(key), 0o600)
    write_file(state / "server.pem", certificate.public_bytes(serialization.Encoding.PEM))


def server_context(state: Path, region: str) -> ssl.SSLContext:
    """The context of the front's certificate. The CA is kept, the leaf made at each start."""
    if not (state / "ca.pem").exists():
        _make_ca(state)
    _make_serving(state, region)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(state / "server.pem", state / "server.key")
    return context
