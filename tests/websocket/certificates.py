"""Certificates for one test run, each its own authority."""

from __future__ import annotations

import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Identity:
    """A certificate and its key, in PEM."""

    certificate: str
    key: str

    def load_into(self, context: ssl.SSLContext) -> None:
        """Let ``context`` prove itself with this identity."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "identity.pem")
            file.write_text(self.certificate + self.key)
            context.load_cert_chain(file)


def identity(host: str) -> Identity:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Identity(
        certificate.public_bytes(serialization.Encoding.PEM).decode(),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
    )


def self_signed(host: str, trusted_client: Identity | None = None) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context for ``host``, and a client's that trusts exactly its certificate.

    With ``trusted_client`` the server asks for that certificate and takes no other.
    """
    own = identity(host)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_into(server)
    if trusted_client is not None:
        server.verify_mode = ssl.CERT_REQUIRED
        server.load_verify_locations(cadata=trusted_client.certificate)
    return server, ssl.create_default_context(cadata=own.certificate)
