"""One real transmitter with the clients that the checks need, and a push endpoint of our own."""
import contextlib
import http.server
import json
import os
import pathlib
import queue
import shutil
import ssl
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "system"))
import harness  # noqa: E402  (starts and stops processes; nothing else is taken from it)
import peer as p  # noqa: E402

CAEP_TYPES = [p.CAEP + n for n in (
    "session-revoked", "token-claims-change", "credential-change", "assurance-level-change",
    "device-compliance-change", "session-established", "session-presented", "risk-level-change")]
RISC_TYPES = [p.RISC + n for n in (
    "account-credential-change-required", "account-purged", "account-disabled", "account-enabled",
    "identifier-changed", "identifier-recycled", "credential-compromise", "opt-in", "opt-out-initiated",
    "opt-out-cancelled", "opt-out-effective", "recovery-activated", "recovery-information-changed")]
FOREIGN = "https://workload.example/event-type/key-compromised"
ALL_MISSION_SCOPES = ["mission.write", "mission.read", "mission.scope", "mission_lifecycle", "mission_status",
                      "mission_management", "ssf.admin"]
STREAM_SCOPES = ["ssf.read", "ssf.manage", "mission_status", "mission.read"]
LIFECYCLE = ["revoke", "suspend", "resume", "complete"]


def client_entries():
    """id -> the entry of the configuration. `secret`, `token` and keys are added where they are not fixed."""
    events = CAEP_TYPES + RISC_TYPES + [FOREIGN]
    erp, crm = "https://erp.example", "https://crm.example"
    return {
        # What the forms of the OpenID conformance suite ask for: a client of the token endpoint, or a fixed token.
        "suite": dict(audience="https://suite.example", scopes=["ssf.read", "ssf.manage"], events=events),
        "static": dict(audience="https://static.example", scopes=["ssf.read", "ssf.manage"], events=events,
                       token="static-" + "t" * 40, token_expires="2099-01-01T00:00:00Z"),
        "expired": dict(audience="https://late.example", scopes=["ssf.read", "ssf.manage"], events=events,
                        token="expired-" + "t" * 40, token_expires="2020-01-01T00:00:00Z"),
        "none": dict(audience="https://none.example", scopes=["ssf.read", "ssf.manage"], events=events,
                     default_subjects="NONE"),
        "reader": dict(audience="https://suite.example", scopes=["ssf.read"], events=events),
        "poller": dict(audience="https://suite.example", scopes=["ssf.manage.poll"], events=events),
        "plain": dict(audience="https://plain.example", scopes=["mission.read"], events=events),
        "limited": dict(audience="https://limited.example", scopes=["ssf.read", "ssf.manage"], events=events),
        "erp": dict(audience=erp, scopes=STREAM_SCOPES),
        "erp-both": dict(audience=erp, scopes=STREAM_SCOPES, events=p.MISSION_TYPES + [p.LIFECYCLE_CHANGE]),
        "erp-none": dict(audience=erp, scopes=STREAM_SCOPES, default_subjects="NONE"),
        "erp-open": dict(audience=erp, scopes=STREAM_SCOPES, disclose=["tenant", "user", "reason"]),
        "crm": dict(audience=crm, scopes=STREAM_SCOPES),
        "bridge": dict(audience=erp, scopes=STREAM_SCOPES, events=[p.SESSION_REVOKED], caep_bridge="session"),
        "bridge-user": dict(audience=erp, scopes=STREAM_SCOPES, events=[p.SESSION_REVOKED], caep_bridge="user",
                            disclose=["user"]),
        "emitter": dict(audience="https://emitter.example", scopes=["signals.emit"], signals_to="all"),
        "narrow": dict(audience="https://narrow.example", scopes=["signals.emit"]),
        "operator": dict(audience="https://operator.example", scopes=ALL_MISSION_SCOPES, missions="all",
                         lifecycle=LIFECYCLE, disclose=["tenant", "user", "reason"]),
    }


class World:
    """`mission-transmitter serve` and its clients; `suffix` gives the issuer a path."""

    def __init__(self, build, suffix="", ssf=None, entries=None, prefix=""):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="mission-conformance-"))
        self.process = None
        harness.make_ca(self.folder)
        self.ca = self.folder / "ca.pem"
        self.port, self.admin_port = harness.free_port(), harness.free_port()
        self.path = suffix.rstrip("/")
        self.issuer = f"https://localhost:{self.port}{suffix}"
        self.base = self.issuer.rstrip("/")
        schema = self.folder / "foreign.json"
        schema.write_text(json.dumps({"type": "object", "required": ["key_id"],
                                      "properties": {"key_id": {"type": "string"}}}))
        settings = {"heartbeat_seconds": 2, "max_stale_seconds": 20, "redelivery_seconds": 1,
                    "streams_per_receiver": 12, **(ssf or {})}
        text = [f'listen = "127.0.0.1:{self.port}"', "[[issuer]]", f'url = "{self.issuer}"', "[tls]",
                f'certificate = "{self.folder}/cert.pem"', f'private_key = "{self.folder}/key.pem"',
                "[admin]", f'listen = "127.0.0.1:{self.admin_port}"',
                "[store]", f'url = "sqlite:{self.folder}/state/transmitter.db"',
                "[signing]", f'directory = "{self.folder}/state/keys"',
                "[secrets]", f'key = {{ file = "{self.folder}/state/secret.key" }}',
                "[ssf]", *[f"{k} = {harness.toml(v)}" for k, v in settings.items()],
                "[push]", f'ca_file = "{self.ca}"', 'allow = ["127.0.0.0/8", "::1/128"]',
                "[[foreign_event]]", f'type = "{FOREIGN}"', f'schema = "{schema}"']
        self.clients = {}
        for name, entry in (entries or client_entries()).items():
            entry = dict(entry)
            receiver = p.Receiver(self.port, self.ca, self.issuer, name, path=self.path)
            if "token" in entry:
                receiver.fixed = entry["token"]
            elif any(s.startswith("mission") for s in entry["scopes"]):
                receiver.key = p.make_key()
                entry["jwks"] = {"keys": [json.loads(receiver.key.export_public())]}
            else:
                receiver.secret = entry["secret"] = "s3cret with spaces & %:" + name
            self.clients[name] = receiver
            text += ["[[client]]", f'id = "{name}"'] + [f"{k} = {harness.toml(v)}" for k, v in entry.items()]
        self.config = self.folder / "transmitter.toml"
        self.config.write_text("\n".join(text) + "\n")
        self.binary = pathlib.Path(build) / "transmitter/mission-transmitter"
        self.anyone = p.Https(self.port, self.ca)

    def __getitem__(self, name):
        return self.clients[name]

    def start(self):
        self.process = harness.Process([self.binary, "serve", "--config", self.config],
                                       self.folder / "transmitter.log")

        def ready():
            if not self.process.alive():
                raise AssertionError("the transmitter has ended: " + self.tail())
            with contextlib.suppress(OSError):
                return self.anyone("GET", "/jwks.json" if not self.path else self.path + "/jwks.json").status == 200
        harness.wait_for(ready, 30, why="the transmitter answers")
        return self

    def tail(self, size=3000):
        return (self.folder / "transmitter.log").read_text(errors="replace")[-size:]

    def stop(self):
        if self.process:
            self.process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- missions and signals, as an operator and an emitter make them

    def mission(self, **members):
        expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + members.pop("seconds", 3600)))
        body = {"purpose": "Check the books", "approver": {"iss": "https://idp.example", "sub": "alice"},
                "subject": {"iss": "https://idp.example", "sub": "alice"}, "agent": {"client_id": "agent-1"},
                "authorization_details": [{"type": "mission_resource_access", "resource": "https://erp.example",
                                           "actions": ["invoices.read"]}],
                "expires_at": expires, **members}
        answer = self["operator"]("POST", "/missions", body)
        assert answer.status == 201, answer
        return answer.json()

    def form(self, client, path, **fields):
        receiver = self[client]
        fields |= {"client_assertion_type": p.ASSERTION_TYPE,
                   "client_assertion": receiver.assertion(self.base + path)}
        return receiver.http("POST", self.path + path, urllib.parse.urlencode(fields), None, p.FORM)

    def lifecycle(self, mission_id, operation, **fields):
        answer = self.form("operator", "/mission/lifecycle", mission_id=mission_id, operation=operation,
                           nonce=os.urandom(8).hex(), **fields)
        assert answer.status == 200, answer
        return answer

    def signal(self, event_type, event, subject=None, audience="all", client="emitter", **more):
        body = {"type": event_type, "event": event, "audience": audience,
                "subject": subject or {"format": "email", "email": "alice@example.com"}, **more}
        return self[client]("POST", "/signals", body)

    def emit(self, event_type, event, subject=None, audience="all", **more):
        answer = self.signal(event_type, event, subject, audience, **more)
        assert answer.status == 202, answer
        return answer.json()


class PushEndpoint:
    """A receiver's endpoint over TLS. `answer(n, request)` -> (status, headers, body); 202 without one."""

    def __init__(self, folder, answer=None):
        self.seen, self.answer = queue.Queue(), answer
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                request = {"path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()},
                           "body": body.decode(), "at": time.monotonic()}
                status, headers, text = outer.answer(request) if outer.answer else (202, {}, b"")
                outer.seen.put(request)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):  # a peer that goes away is no news
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://localhost:{self.server.server_port}/events"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def next(self, receiver, stream, want=lambda c: not p.is_heartbeat(c), seconds=10):
        """The next pushed SET that is wanted, checked: (request, claims)."""
        end = time.monotonic() + seconds
        while True:
            try:
                request = self.seen.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"nothing wanted was pushed within {seconds} s") from None
            claims = receiver.read_set(stream, request["body"])
            if want(claims):
                return request, claims

    def quiet(self, seconds):
        """Everything pushed in `seconds`."""
        got, end = [], time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                got.append(self.seen.get(timeout=left))
        return got

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Case(unittest.TestCase):
    """The checks share one transmitter; each makes streams of its own and removes them."""
    world = None  # set by the runner

    def client(self, name):
        return self.world[name]

    def stream(self, client, events=(), **more):
        stream = self.client(client).create(events, **more)
        self.addCleanup(self.client(client).delete, stream)
        return stream

    def endpoint(self, answer=None):
        endpoint = PushEndpoint(self.world.folder, answer)
        self.addCleanup(endpoint.close)
        return endpoint

    def calm(self, stream, client="suite"):
        """Takes the heartbeat that a new stream begins with, so that the next one is two seconds away."""
        self.client(client).drain(stream, lambda seen: any(map(p.is_heartbeat, seen)), heartbeats=True)

    def push_stream(self, client, endpoint, events=(), **delivery):
        return self.stream(client, events, delivery={"method": p.PUSH, "endpoint_url": endpoint.url, **delivery})

    def assert_error(self, answer, status, code=None, why=None):
        """An error as every error is: status, one JSON object with a code and a description, not cacheable."""
        self.assertEqual(answer.status, status, (why, answer))
        body = answer.json()
        self.assertIsInstance(body, dict, why)
        names = {"error", "error_description"} if "error" in body else {"err", "description"}
        self.assertLessEqual(names, set(body), (why, body))
        self.assertLessEqual(set(body), names | {"nonce"}, (why, body))
        for name in names:
            self.assertTrue(isinstance(body[name], str) and body[name], (why, body))
        self.assertEqual(answer.headers.get("cache-control"), "no-store", why)
        self.assertTrue(answer.headers.get("content-type", "").startswith("application/json"), why)
        if status == 401:
            self.assertIn("www-authenticate", answer.headers, why)
        if status in (429, 503):
            self.assertTrue(answer.headers.get("retry-after", "").isdigit(), why)
        if status == 405:
            self.assertTrue(answer.headers.get("allow"), why)
        if code:
            self.assertEqual(body.get("error") or body.get("err"), code, why)
        return body

    def assert_empty(self, answer, status):
        self.assertEqual((answer.status, answer.body), (status, b""), answer)
        self.assertEqual(answer.headers.get("cache-control"), "no-store")

    def assert_ok(self, answer, status=200):
        self.assertEqual(answer.status, status, answer)
        self.assertTrue(answer.headers["content-type"].startswith("application/json"))
        self.assertEqual(answer.headers.get("cache-control"), "no-store")
        return answer.json()
