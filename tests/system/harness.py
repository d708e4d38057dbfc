"""What the system tests share: certificates, client keys, assertions, processes, an HTTP client.

Nothing here comes from the programs under test: keys and tokens are made with `cryptography`.
Everything listens on, and is asked on, the loopback interface; every process is stopped by its pid.
"""
import base64
import contextlib
import datetime
import hashlib
import http.client
import ipaddress
import json
import os
import pathlib
import secrets
import signal
import socket
import ssl
import subprocess
import time
import urllib.parse

from cryptography import x509
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.x509.oid import NameOID

LIFECYCLE_CHANGE = "https://schemas.karlmcguinness.com/mission/lifecycle-change"
OURS = "https://mission-signals.github.io/secevent/mission/event-type/"
MISSION_TYPES = [OURS + n for n in (
    "mission-activated", "mission-suspended", "mission-resumed", "mission-completed", "mission-revoked",
    "mission-expired", "mission-superseded", "mission-cascaded", "mission-scope-changed")]


def b64(data):
    if isinstance(data, str):
        data = data.encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Key:
    """A P-256 or RSA key that signs JWTs."""

    def __init__(self, alg="ES256"):
        self.alg = alg
        self.key = ec.generate_private_key(ec.SECP256R1()) if alg == "ES256" else rsa.generate_private_key(65537, 2048)
        self.kid = secrets.token_urlsafe(8)

    def jwk(self):
        n = self.key.public_key().public_numbers()
        if self.alg == "ES256":
            return {"kty": "EC", "crv": "P-256", "x": b64(n.x.to_bytes(32, "big")), "y": b64(n.y.to_bytes(32, "big")),
                    "kid": self.kid, "alg": "ES256", "use": "sig"}
        return {"kty": "RSA", "n": b64(n.n.to_bytes(256, "big")), "e": b64(b"\x01\x00\x01"), "kid": self.kid,
                "alg": "RS256", "use": "sig"}

    def pem(self):
        return self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                      serialization.NoEncryption())

    def public_pem(self):
        return self.key.public_key().public_bytes(serialization.Encoding.PEM,
                                                  serialization.PublicFormat.SubjectPublicKeyInfo)

    def sign(self, text):
        if self.alg == "ES256":
            r, s = utils.decode_dss_signature(self.key.sign(text, ec.ECDSA(hashes.SHA256())))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return self.key.sign(text, padding.PKCS1v15(), hashes.SHA256())

    def jwt(self, claims, typ="JWT", header=None):
        head = {"alg": self.alg, "kid": self.kid, "typ": typ}
        head.update(header or {})
        head = {k: v for k, v in head.items() if v is not None}
        text = (b64(json.dumps(head)) + "." + b64(json.dumps(claims))).encode()
        if head["alg"] == "none":
            return text.decode() + "."
        if head["alg"] == "HS256":  # the classic confusion: the public key as the secret
            mac = hmac.HMAC(self.public_pem(), hashes.SHA256())
            mac.update(text)
            return text.decode() + "." + b64(mac.finalize())
        return text.decode() + "." + b64(self.sign(text))


def make_ca(folder):
    """A CA and a leaf for localhost and 127.0.0.1, as PEM files ca.pem, cert.pem, key.pem."""
    folder = pathlib.Path(folder)
    now = datetime.datetime.utcnow()
    ca_key, leaf_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())

    def name(cn):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)])

    def build(subject, issuer, public, signer, extensions):
        b = (x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer)).public_key(public)
             .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
             .not_valid_after(now + datetime.timedelta(days=2)))
        for extension, critical in extensions:
            b = b.add_extension(extension, critical)
        return b.sign(signer, hashes.SHA256())

    ca = build("test ca", "test ca", ca_key.public_key(), ca_key,
               [(x509.BasicConstraints(ca=True, path_length=0), True),
                (x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), False)])
    leaf = build("localhost", "test ca", leaf_key.public_key(), ca_key,
                 [(x509.SubjectAlternativeName([x509.DNSName("localhost"),
                                                x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False),
                  (x509.BasicConstraints(ca=False, path_length=None), True)])
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(ca.public_bytes(pem))
    (folder / "cert.pem").write_bytes(leaf.public_bytes(pem) + ca.public_bytes(pem))
    (folder / "key.pem").write_bytes(leaf_key.private_bytes(pem, serialization.PrivateFormat.PKCS8,
                                                            serialization.NoEncryption()))
    os.chmod(folder / "key.pem", 0o600)


class Http:
    """HTTPS to one origin over a kept-alive connection; reconnects when the peer has gone."""

    def __init__(self, port, ca, timeout=10):
        self.port, self.timeout = port, timeout
        self.context = ssl.create_default_context(cafile=str(ca))
        self.connection = None

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def __call__(self, method, path, body=None, headers=None, content_type="application/json"):
        """-> (status, headers in lower case, body as bytes). OSError when there is nobody."""
        headers = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        if body is not None and content_type and "Content-Type" not in headers:
            headers["Content-Type"] = content_type
        fresh = self.connection is None
        try:
            if fresh:
                self.connection = http.client.HTTPSConnection("localhost", self.port, timeout=self.timeout,
                                                              context=self.context)
                self.connection.connect()
                self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connection.request(method, path, body=body, headers=headers)
            r = self.connection.getresponse()
            data = r.read()
            fields = {}
            for name, value in r.getheaders():  # a field given twice is a list (RFC 9110 section 5.3)
                fields[name.lower()] = f"{fields[name.lower()]}, {value}" if name.lower() in fields else value
            out = (r.status, fields, data)
            if r.will_close:
                self.close()
            return out
        except (OSError, http.client.HTTPException) as e:
            self.close()
            raise OSError(str(e) or type(e).__name__) from e


def pause(process: subprocess.Popen):
    """Stops it until SIGCONT. On a busy machine a thread may go on for a while after SIGSTOP was sent."""
    def stopped():
        states = []
        for stat in pathlib.Path(f"/proc/{process.pid}/task").glob("*/stat"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                states.append(stat.read_text().rpartition(")")[2].split()[0])
        return all(state in "TZX" for state in states)

    process.send_signal(signal.SIGSTOP)
    wait_for(stopped, 10, 0.002, "a process that stops")


class Process:
    """A program under test. Its output goes to a file beside it."""

    def __init__(self, args, log, env=None, stdin=None, stdout=None, cwd=None):
        self.args, self.log_path = [str(a) for a in args], log
        self.log = open(log, "ab")
        self.p = subprocess.Popen(self.args, stdin=stdin, stdout=stdout or self.log, stderr=self.log, cwd=cwd,
                                  env={**os.environ, **(env or {})})

    @property
    def pid(self):
        return self.p.pid

    def alive(self):
        return self.p.poll() is None

    def pause(self):
        pause(self.p)

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            self.p.send_signal(signal.SIGKILL)
        self.p.wait()
        self.log.close()

    def stop(self, timeout=15):
        if self.alive():
            self.p.send_signal(signal.SIGCONT)
            self.p.send_signal(signal.SIGTERM)
            try:
                self.p.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
        self.log.close()
        return self.p.returncode


def wait_for(what, seconds=15, pause=0.01, why="the condition"):
    """Returns what() once it is true; AssertionError after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{why}: not within {seconds} s")
        time.sleep(pause)


def toml(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml(v) for v in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {toml(v)}" for k, v in value.items()) + " }"
    raise TypeError(value)


class Client:
    """A client of the transmitter: its key, its entry in the configuration, its assertions."""

    def __init__(self, client_id, folder, **entry):
        self.id, self.key, self.entry = client_id, Key(), entry
        self.key_file = pathlib.Path(folder) / f"{client_id}.pem"
        self.key_file.write_bytes(self.key.pem())
        os.chmod(self.key_file, 0o600)
        self.tokens = {}

    def config(self):
        lines = ["[[client]]", f"id = {toml(self.id)}", f"jwks = {toml({'keys': [self.key.jwk()]})}"]
        return "\n".join(lines + [f"{k} = {toml(v)}" for k, v in self.entry.items()]) + "\n"

    def assertion(self, audience, **changes):
        now = int(time.time())
        claims = {"iss": self.id, "sub": self.id, "aud": audience, "iat": now, "exp": now + 60,
                  "jti": secrets.token_urlsafe(16)}
        claims.update(changes)
        return self.key.jwt({k: v for k, v in claims.items() if v is not None})


class Transmitter:
    """`mission-transmitter serve` with a configuration of its own, restartable on the same ports."""

    def __init__(self, binary, folder, clients, extra="", ssf="", push="", auth=""):
        self.binary, self.folder = pathlib.Path(binary), pathlib.Path(folder)
        self.port, self.admin_port = free_port(), free_port()
        self.url = f"https://localhost:{self.port}"
        self.ca = self.folder / "ca.pem"
        if not self.ca.exists():
            make_ca(self.folder)
        self.clients = {c.id: c for c in clients}
        self.config_file = self.folder / "transmitter.toml"
        self.config_file.write_text(f"""
listen = "127.0.0.1:{self.port}"
[[issuer]]
url = "{self.url}"
[tls]
certificate = "{self.folder}/cert.pem"
private_key = "{self.folder}/key.pem"
[admin]
listen = "127.0.0.1:{self.admin_port}"
[store]
url = "sqlite:{self.folder}/state/transmitter.db"
[signing]
directory = "{self.folder}/state/keys"
[secrets]
key = {{ file = "{self.folder}/state/secret.key" }}
[ssf]
{ssf or 'heartbeat_seconds = 1' + chr(10) + 'max_stale_seconds = 10' + chr(10) + 'redelivery_seconds = 1'}
[push]
ca_file = "{self.ca}"
allow = ["127.0.0.0/8", "::1/128"]
{push}
[auth]
{auth or 'allow_bearer = false'}
{extra}
""" + "\n".join(c.config() for c in clients))
        self.process = None
        self.http = Http(self.port, self.ca)
        self.lifecycle_url = self.url + "/mission/lifecycle"

    def start(self, env=None, wait=True):
        self.process = Process([self.binary, "serve", "--config", self.config_file], self.folder / "transmitter.log",
                               env=env)
        if wait:
            self.wait_ready()

    def wait_ready(self, seconds=20):
        def ready():
            if not self.process.alive():
                raise AssertionError("the transmitter has ended: " + self.tail())
            try:
                return self.http("GET", "/.well-known/ssf-configuration")[0] == 200
            except OSError:
                return False
        wait_for(ready, seconds, why="the transmitter answers")

    def tail(self, n=2000):
        return (self.folder / "transmitter.log").read_text(errors="replace")[-n:]

    def token(self, client, scope=None, http_client=None):
        """A bearer token by client_credentials and private_key_jwt; kept for its lifetime."""
        c = self.clients[client]
        if (scope in c.tokens) and c.tokens[scope][1] > time.time() + 60:
            return c.tokens[scope][0]
        fields = {"grant_type": "client_credentials",
                  "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                  "client_assertion": c.assertion(self.url + "/oauth/token")}
        if scope:
            fields["scope"] = scope
        status, _, body = (http_client or self.http)("POST", "/oauth/token", urllib.parse.urlencode(fields),
                                                     content_type="application/x-www-form-urlencoded")
        if status != 200:
            raise AssertionError(f"token: {status} {body!r}")
        answer = json.loads(body)
        c.tokens[scope] = (answer["access_token"], time.time() + answer["expires_in"])
        return answer["access_token"]

    def call(self, client, method, path, body=None, scope=None, http_client=None, headers=None):
        """A JSON request with a bearer token -> (status, parsed body or None)."""
        h = {"Authorization": "Bearer " + self.token(client, scope, http_client)}
        h.update(headers or {})
        status, _, data = (http_client or self.http)(method, path, body, h)
        return status, (json.loads(data) if data else None)

    def form(self, client, path, fields, http_client=None):
        """A form request with a client assertion -> (status, headers, body)."""
        c = self.clients[client]
        f = {**fields, "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
             "client_assertion": c.assertion(self.url + path)}
        return (http_client or self.http)("POST", path, urllib.parse.urlencode(f),
                                          content_type="application/x-www-form-urlencoded")

    def lifecycle(self, client, mission_id, operation, nonce=None, **members):
        fields = {"mission_id": mission_id, "operation": operation, "nonce": nonce or secrets.token_urlsafe(12)}
        fields.update({k: str(v) for k, v in members.items()})
        status, _, body = self.form(client, "/mission/lifecycle", fields)
        if status == 200:
            return status, jwt_claims(body.decode())
        return status, json.loads(body)

    def status_of(self, client, mission_id, audience=None):
        fields = {"mission_id": mission_id, "nonce": secrets.token_urlsafe(12)}
        if audience:
            fields["audience"] = audience
        status, _, body = self.form(client, "/mission/status", fields)
        return status, (jwt_claims(body.decode()) if status == 200 else json.loads(body))

    def create(self, client, agent="agent-1", seconds=3600, key=None, **members):
        body = mission_body(agent=agent, seconds=seconds, **members)
        headers = {"Idempotency-Key": key} if key else None
        return self.call(client, "POST", "/missions", body, headers=headers)


def mission_body(agent="agent-1", seconds=3600, resource="https://erp.example", actions=("invoices.read",), **more):
    expires = datetime.datetime.utcnow() + datetime.timedelta(seconds=seconds)
    body = {"purpose": "Reconcile the quarter's invoices",
            "approver": {"iss": "https://idp.example", "sub": "alice"},
            "subject": {"iss": "https://idp.example", "sub": "alice"},
            "agent": {"client_id": agent},
            "authorization_details": [{"type": "mission_resource_access", "resource": resource,
                                       "actions": list(actions)}],
            "expires_at": expires.replace(microsecond=0).isoformat() + "Z"}
    body.update(more)
    return body


def jwt_claims(token):
    return json.loads(unb64(token.split(".")[1]))


def jwt_header(token):
    return json.loads(unb64(token.split(".")[0]))


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()
