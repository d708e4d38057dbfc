"""A transmitter, mission-receiver with a sidecar, a service, and an nginx between: what sidecar_test.py runs in."""
import contextlib
import datetime
import http.client
import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness as h  # noqa: E402
import jsonschema  # noqa: E402
import openapi_document as d  # noqa: E402

BUILD = pathlib.Path("build/test")
ROOT = pathlib.Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "samples" / "sidecar"
ISSUER, RESOURCE = "https://as.example", "https://erp.example"
# Of whom nginx and the policy engine are, when the test itself may choose.
OTHER = pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def as_other(args):
    if not OTHER:
        return args
    return ["setpriv", f"--reuid={OTHER.pw_uid}", f"--regid={OTHER.pw_gid}", "--clear-groups", *args]


class UnixHttp(http.client.HTTPConnection):
    def __init__(self, path, timeout=10):
        super().__init__("localhost", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def ask(connection, method, path, headers=None, body=None):
    """-> (status, headers in lower case, body)"""
    connection.request(method, path, body=body, headers=headers or {})
    r = connection.getresponse()
    data = r.read()
    return r.status, {k.lower(): v for k, v in r.getheaders()}, data


class Service(ThreadingHTTPServer):
    """The service behind nginx: tells what it was asked."""
    daemon_threads = True

    def __init__(self):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                body = json.dumps({"path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_DELETE = answer

            def log_message(self, *args):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Agents:
    """A CA, and certificates of agents that name their mission in a URI."""

    def __init__(self, folder):
        self.folder, self.count = folder, 0
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self.build("agents", self.key.public_key(), x509.BasicConstraints(ca=True, path_length=0))
        (folder / "agents-ca.pem").write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def build(self, name, public, extension):
        now = datetime.datetime.utcnow()
        names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, n)]) for n in (name, "agents")]
        return (x509.CertificateBuilder().subject_name(names[0]).issuer_name(names[1]).public_key(public)
                .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
                .not_valid_after(now + datetime.timedelta(days=1)).add_extension(extension, False)
                .sign(self.key, hashes.SHA256()))

    def file(self, *uris):
        """PEM file of a certificate with these names, and of its key."""
        self.count += 1
        key = ec.generate_private_key(ec.SECP256R1())
        made = self.build("agent", key.public_key(),
                          x509.SubjectAlternativeName([x509.UniformResourceIdentifier(u) for u in uris]))
        path = self.folder / f"agent-{self.count}.pem"
        path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return path


class World(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="msc-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.folder.chmod(0o755)
        cls.operator = h.Client("operator", cls.folder, audience="https://operator.example",
                                scopes=["mission.read", "mission.write"], missions="all",
                                lifecycle=["revoke", "suspend", "resume", "complete"])
        cls.client = h.Client("erp-sidecar", cls.folder, audience=RESOURCE, scopes=["ssf.read", "ssf.manage", "mission_status"],
                              events=h.MISSION_TYPES)
        cls.transmitter = h.Transmitter(
            BUILD / "transmitter" / "mission-transmitter", cls.folder, [cls.operator, cls.client],
            ssf="heartbeat_seconds = 1\nmax_stale_seconds = 4\nredelivery_seconds = 1")
        cls.transmitter.start()
        cls.addClassCleanup(lambda: cls.transmitter.process.stop())
        cls.key = h.Key()
        (cls.folder / "as-keys.json").write_text(json.dumps({"keys": [cls.key.jwk()]}))
        cls.share = cls.folder / "share"  # what nginx and the sidecar have in common
        cls.share.mkdir()
        if OTHER:
            os.chown(cls.share, -1, OTHER.pw_gid)
        cls.share.chmod(0o2750)
        cls.socket = cls.share / "check.sock"
        cls.config = cls.folder / "receiver.toml"
        cls.config.write_text(cls.receiver_config())
        cls.service = Service()
        cls.addClassCleanup(cls.service.shutdown)
        cls.start_receiver()
        cls.start_nginx()

    @classmethod
    def receiver_config(cls):
        """The sample, with what is of this run put in."""
        text = (SAMPLE / "receiver.toml").read_text()
        for sample, here in (("https://transmitter.example", cls.transmitter.url),
                             ("/etc/mission/erp-sidecar.pem", str(cls.client.key_file)),
                             ("/var/lib/mission/receiver.db", f"{cls.folder}/state/receiver.db"),
                             ("/run/mission/check.sock", str(cls.socket)),
                             ("/etc/mission/as-keys.json", f"{cls.folder}/as-keys.json")):
            assert text.count(sample) == 1, sample
            text = text.replace(sample, here)
        return text + f'\n[tls]\nca_file = "{cls.folder}/ca.pem"\n[control]\nsocket = "{cls.folder}/control"\n'

    @classmethod
    def start_receiver(cls):
        cls.receiver = h.Process([BUILD / "receiver/program/mission-receiver", "run", "--config", cls.config],
                                 cls.folder / "receiver.log", env={"MISSION_PORT_FILE": str(cls.folder / "ports")})
        cls.addClassCleanup(lambda: cls.receiver.stop())

        def live():
            if not cls.receiver.alive():
                raise AssertionError("mission-receiver has ended: " + cls.receiver_log())
            with contextlib.suppress(OSError):
                return cls.local("GET", "/readyz")[0] == 200
        h.wait_for(live, 30, 0.05, "the stream lives: " + cls.receiver_log())

    @classmethod
    def start_nginx(cls):
        cls.port, cls.tls_port = h.free_port(), h.free_port()
        place = cls.folder / "nginx"
        cls.agents = Agents(cls.folder)
        for name in ("body", "proxy", "fastcgi", "uwsgi", "scgi"):
            (place / name).mkdir(parents=True, exist_ok=True)
        text = (SAMPLE / "nginx.conf").read_text()
        for sample, here in (("/var/log/nginx/", f"{place}/"), ("/run/nginx.pid", f"{place}/nginx.pid"),
                             ("/var/lib/nginx/", f"{place}/"), ("/run/mission/check.sock", str(cls.socket)),
                             ("127.0.0.1:8080", f"127.0.0.1:{cls.service.server_port}"),
                             ("127.0.0.1:8000", f"127.0.0.1:{cls.port}"), ("127.0.0.1:8001", f"127.0.0.1:{cls.tls_port}"),
                             ("/etc/nginx/server.pem", f"{place}/cert.pem"), ("/etc/nginx/server.key", f"{place}/key.pem"),
                             ("/etc/nginx/agents-ca.pem", f"{cls.folder}/agents-ca.pem")):
            assert sample in text, sample
            text = text.replace(sample, here)
        (place / "nginx.conf").write_text(text)
        for name in ("cert.pem", "key.pem"):
            shutil.copy(cls.folder / name, place)
        if OTHER:
            for path in (place, *place.rglob("*")):
                os.chown(path, OTHER.pw_uid, OTHER.pw_gid)
        cls.nginx = h.Process(as_other(["nginx", "-e", f"{place}/error.log", "-p", str(place), "-c",
                                        f"{place}/nginx.conf", "-g", "daemon off;"]), cls.folder / "nginx.log")
        cls.addClassCleanup(lambda: cls.nginx.stop())

        def up():
            if not cls.nginx.alive():
                raise AssertionError("nginx has ended: " + (cls.folder / "nginx.log").read_text())
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", cls.port), 1):
                return True
        h.wait_for(up, 15, why="nginx listens")

    # --------------------------------------------------------------------------------- asking

    @classmethod
    def receiver_log(cls):
        path = cls.folder / "receiver.log"
        return path.read_text(errors="replace")[-3000:] if path.exists() else ""

    document = d.Document(ROOT / "schemas/sidecar-openapi.json")

    @classmethod
    def local(cls, method, path, headers=None, body=None, at=None):
        """Straight at the sidecar; every answer is one of those that the document has."""
        c = UnixHttp(at or cls.socket)
        try:
            status, fields, data = ask(c, method, path, headers, body)
        finally:
            c.close()
        plain = path.partition("?")[0]
        if plain.startswith("/envoy/"):
            template, operation = "/envoy/{path}", cls.document.root["paths"]["/envoy/{path}"]["get"]
        else:
            template, item, operation = cls.document.find(method, plain)
            operation = operation or (item and (item.get("post") or item.get("get")))
        if operation is None:
            return status, fields, data
        response = operation["responses"].get(str(status))
        assert response, f"{method} {path}: {status} is not in the document"
        media = fields["content-type"].partition(";")[0]
        schema = response["content"][media]["schema"]
        cls.document.conforms(schema, json.loads(data) if media == "application/json" else data.decode(), f"{method} {path}")
        for name, header in response.get("headers", {}).items():
            if name.lower() in fields:
                cls.document.conforms(cls.document.follow(header)["schema"], fields[name.lower()], name)
        cls.document.seen.add((template, str(status)))
        return status, fields, data

    def through(self, path, token=None, method="GET", **headers):
        """Through nginx."""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        fields = {k.replace("_", "-"): v for k, v in headers.items()}
        if token:
            fields["Authorization"] = "Bearer " + token
        try:
            return ask(c, method, path, fields, body="x" if method == "POST" else None)
        finally:
            c.close()

    def token(self, mission, **changes):
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": RESOURCE, "sub": "agent-1", "client_id": "agent-1", "iat": now,
                  "exp": now + 300, "mission": {"id": mission, "issuer": self.transmitter.url}, **changes}
        return self.key.jwt(claims, typ="at+jwt")

    def mission(self, at=None, **more):
        status, body = self.transmitter.create("operator", resource=RESOURCE, **more)
        self.assertEqual(status, 201, body)
        mission = body["mission_id"]
        h.wait_for(lambda: json.loads(self.local("GET", f"/missions/{mission}", at=at)[2])["permitted"], 15, 0.01,
                   "the mission is known: " + self.receiver_log())
        return mission

    def operate(self, mission, operation):
        status, body = self.transmitter.lifecycle("operator", mission, operation)
        self.assertEqual(status, 200, body)

    def log_lines(self, message):
        return [line for line in map(json.loads, (self.folder / "receiver.log").read_text().splitlines())
                if line["message"] == message]

    def reload(self, text, outcome):
        """SIGHUP with another configuration; waits until the log says what became of it."""
        before = len(self.log_lines(outcome))
        self.config.write_text(text)
        os.kill(self.receiver.pid, signal.SIGHUP)
        h.wait_for(lambda: len(self.log_lines(outcome)) > before, 15, 0.01, f"{outcome}: {self.receiver_log()}")

    TAKEN = "configuration read again: [check] is in force"
    REFUSED = "configuration read again and not taken: the old one stays in force"
