"""Keys and certificates of one run: an authority, one leaf for loopback, a P-256 key per client."""

import base64
import datetime
import hashlib
import ipaddress
import json
import pathlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.x509.oid import NameOID


def b64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def _write_private(path: pathlib.Path, octets: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(octets)


def _pem(key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


class ClientKey:
    """A client's signing key: the PEM for programs, the JWKS for the transmitter's configuration."""

    def __init__(self, directory: pathlib.Path, name: str):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.pem_file = directory / f"{name}.key"
        self.jwks_file = directory / f"{name}.jwks.json"
        _write_private(self.pem_file, _pem(self.key))
        numbers = self.key.public_key().public_numbers()
        public = {
            "crv": "P-256",
            "kty": "EC",
            "x": b64url(numbers.x.to_bytes(32, "big")),
            "y": b64url(numbers.y.to_bytes(32, "big")),
        }
        # RFC 7638: the members above in this order are the thumbprint's input.
        text = json.dumps(public, separators=(",", ":"), sort_keys=True)
        self.kid = b64url(hashlib.sha256(text.encode()).digest())
        public |= {"kid": self.kid, "alg": "ES256", "use": "sig"}
        self.jwks_file.write_text(json.dumps({"keys": [public]}))

    def sign(self, claims: dict) -> str:
        header = {"typ": "JWT", "alg": "ES256", "kid": self.kid}
        signed = ".".join(b64url(json.dumps(part).encode()) for part in (header, claims))
        der = self.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256()))
        r, s = utils.decode_dss_signature(der)
        return signed + "." + b64url(r.to_bytes(32, "big") + s.to_bytes(32, "big"))


class Authority:
    """A certificate authority of this run alone, and the leaf that all programs serve with."""

    def __init__(self, directory: pathlib.Path):
        self.ca_file = directory / "ca.pem"
        self.certificate_file = directory / "loopback.pem"
        self.key_file = directory / "loopback.key"
        now = datetime.datetime.utcnow()
        ca_key = ec.generate_private_key(ec.SECP256R1())
        ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mission-signals demo")])

        def builder(subject, issuer, key):
            return (
                x509.CertificateBuilder()
                .subject_name(subject)
                .issuer_name(issuer)
                .public_key(key.public_key())
                .serial_number(x509.random_serial_number())
                .not_valid_before(now - datetime.timedelta(minutes=5))
                .not_valid_after(now + datetime.timedelta(days=7))
            )

        ca = (
            builder(ca_name, ca_name, ca_key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), False)
            .sign(ca_key, hashes.SHA256())
        )
        key = ec.generate_private_key(ec.SECP256R1())
        names = [
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
            x509.IPAddress(ipaddress.ip_address("::1")),
        ]
        leaf = (
            builder(
                x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]), ca_name, key
            )
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), False
            )
            .sign(ca_key, hashes.SHA256())
        )
        self.ca_file.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
        self.certificate_file.write_bytes(
            leaf.public_bytes(serialization.Encoding.PEM)
            + ca.public_bytes(serialization.Encoding.PEM)
        )
        _write_private(self.key_file, _pem(key))
