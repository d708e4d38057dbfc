"""samples/interop as it is shipped: prepare.py, each configuration, trigger.py, the proxy that nginx.conf describes.

Ports alone are put in, by prepare.py's arguments. What is shown: whatever is triggered at the transmitter arrives at
mission-receiver, by poll and by push, for each way to authenticate, with an issuer that has a path, and through a
reverse proxy that ends TLS.
"""
import http.client
import json
import os
import pathlib
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from jwcrypto import jwk, jws

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from harness import Process, free_port, wait_for  # noqa: E402

BUILD_DIR = pathlib.Path("build/test")
SOURCE = pathlib.Path(__file__).resolve().parents[2]
KIT = SOURCE / "samples/interop"
PYTHON = "/usr/bin/python3"
SECEVENT = "https://schemas.openid.net/secevent/"
CAEP = {SECEVENT + "caep/event-type/" + n for n in (
    "session-revoked", "token-claims-change", "credential-change", "assurance-level-change",
    "device-compliance-change", "session-established", "session-presented", "risk-level-change")}
PROFILE = {SECEVENT + "caep/event-type/" + n for n in (
    "session-revoked", "credential-change", "device-compliance-change")}
RISC = {SECEVENT + "risc/event-type/" + n for n in (
    "account-credential-change-required", "account-purged", "account-disabled", "account-enabled",
    "identifier-changed", "identifier-recycled", "credential-compromise", "opt-in", "opt-out-initiated",
    "opt-out-cancelled", "opt-out-effective", "recovery-activated", "recovery-information-changed")}
WISE = {SECEVENT + "wise/event-type/" + p.stem for p in (KIT / "wise").glob("*.json")}
FORM = "application/x-www-form-urlencoded"


class Kit:
    """A folder made by prepare.py, and the processes that run in it."""

    def __init__(self, *words, metadata_path=""):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="mission-interop-"))
        self.port, self.admin, self.push, self.behind, self.proxy_port = (free_port() for _ in range(5))
        self.url = f"https://localhost:{self.port}"
        self.proxied = f"https://localhost:{self.proxy_port}/ssf/events"
        self.processes = []
        self.prepare("--transmitter", self.url, "--listen", f"127.0.0.1:{self.port}",
                     "--admin", f"127.0.0.1:{self.admin}", "--receiver", f"https://localhost:{self.push}/events",
                     "--receiver-listen", f"127.0.0.1:{self.push}", "--proxied", self.proxied,
                     "--proxied-listen", f"127.0.0.1:{self.behind}",
                     "--metadata", self.url + "/.well-known/ssf-configuration" + metadata_path, *words)
        self.form = json.loads((self.folder / "form.json").read_text())
        self.context = ssl.create_default_context(cafile=str(self.folder / "keys/ca.pem"))

    def prepare(self, *words):
        done = subprocess.run([PYTHON, KIT / "prepare.py", self.folder, *words], capture_output=True, text=True,
                              timeout=60)
        if done.returncode != 0:
            raise AssertionError(done.stdout + done.stderr)

    def run(self, program, *words, env=None):
        process = Process([program, *words], self.folder / f"{len(self.processes)}.log", env=env, cwd=self.folder)
        self.processes.append(process)
        return process

    def ask(self, url, data=None, headers=None):
        """-> (status, body as text)"""
        try:
            request = urllib.request.Request(url, data, headers or {})
            with urllib.request.urlopen(request, timeout=20, context=self.context) as r:
                return r.status, r.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()

    def transmitter(self, config, path=""):
        process = self.run(transmitter_binary(), "serve", "--config", config)

        def answers():
            if not process.alive():
                raise AssertionError("the transmitter has ended: " + process.log_path.read_text())
            try:
                return self.ask(self.url + "/.well-known/ssf-configuration" + path)[0] == 200
            except OSError:
                return False
        wait_for(answers, 20, why="the transmitter answers")

    def receiver(self, config, **env):
        """mission-receiver, running, its stream verified."""
        process = self.run(receiver_binary(), "run", "--config", config, env=env)

        def verified():
            text = process.log_path.read_text()
            if not process.alive():
                raise AssertionError("the receiver has ended: " + text)
            return '"the stream is verified"' in text
        wait_for(verified, 20, why=f"the stream of {config} is verified")
        return process

    def trigger(self, *words):
        return subprocess.run([PYTHON, KIT / "trigger.py", "--transmitter", self.url, *words], cwd=self.folder,
                              capture_output=True, text=True, timeout=60)

    def arrived(self):
        file = self.folder / "arrived.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def forget(self):
        (self.folder / "arrived.jsonl").unlink(missing_ok=True)

    def stop(self):
        for process in reversed(self.processes):
            process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def transmitter_binary():
    return BUILD_DIR / "transmitter/mission-transmitter"


def receiver_binary():
    return BUILD_DIR / "receiver/program/mission-receiver"


class Proxy:
    """Ends TLS and hands on, with TLS again. `route(path)` -> the path behind it, or None for 404."""

    def __init__(self, port, certificate, upstream, trust, name, route, replaced=None):
        self.seen, proxy = [], self
        trusted = ssl.create_default_context(cafile=str(trust))

        class Upstream(http.client.HTTPSConnection):
            def connect(self):
                http.client.HTTPConnection.connect(self)
                self.sock = trusted.wrap_socket(self.sock, server_hostname=name)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                proxy.seen.append((self.path, self.headers.get("Authorization")))
                status, fields, answer = 404, [], b"no such location"
                behind = route(self.path)
                if behind is not None:
                    own = {"host", "connection", *(k.lower() for k in replaced or ())}
                    given = {k: v for k, v in self.headers.items() if k.lower() not in own}
                    connection = Upstream(upstream.hostname, upstream.port, timeout=40)
                    try:
                        connection.request(self.command, behind, body, {**given, **(replaced or {})})
                        r = connection.getresponse()
                        status, fields, answer = r.status, r.getheaders(), r.read()
                    except OSError:  # nobody is there: what a proxy says then
                        status, answer = 502, b"bad gateway"
                    connection.close()
                self.send_response_only(status)
                for field, value in fields:
                    if field.lower() not in ("connection", "content-length", "transfer-encoding"):
                        self.send_header(field, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = pass_on

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):  # a peer that goes away is no news
                pass

        self.server = Server(("127.0.0.1", port), Handler)
        outside = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        outside.load_cert_chain(*certificate)
        self.server.socket = outside.wrap_socket(self.server.socket, server_side=True,
                                                 do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def proxy_of_the_kit(kit):
    """What nginx.conf says, as far as this kit needs it: read from the file, so that the file is what is tried."""
    text = re.sub(r"#.*", "", (kit.folder / "nginx.conf").read_text())

    def directive(name):
        return re.search(rf"\b{name}\s+([^;{{]+?)\s*[;{{]", text).group(1)
    own = dict(re.findall(r"proxy_set_header\s+(\S+)\s+([^;]+);", text))
    replaced = {k: v.strip('"') for k, v in own.items() if k == "Authorization" and v != "$http_authorization"}
    upstream = urllib.parse.urlsplit(directive("proxy_pass"))
    # nginx: without a URI after proxy_pass the path stays; with one it is replaced.
    location = directive("location")
    return Proxy(int(directive("listen").split()[0]),
                 (kit.folder / directive("ssl_certificate"), kit.folder / directive("ssl_certificate_key")), upstream,
                 kit.folder / directive("proxy_ssl_trusted_certificate"), directive("proxy_ssl_name"),
                 lambda path: (upstream.path or location) + path[len(location):] if path.startswith(location) else None,
                 replaced)


class KitCase(unittest.TestCase):
    CONFIG, PATH, TRIGGER = None, "", ()

    @classmethod
    def setUpClass(cls):
        cls.kit = Kit(metadata_path=cls.PATH)
        cls.addClassCleanup(cls.kit.stop)
        cls.kit.transmitter(cls.CONFIG, cls.PATH)

    def setUp(self):
        self.kit.forget()

    def triggered(self, *words):
        """The kit's script, and what it said: {name: txn}."""
        done = self.kit.trigger("--transmitter", self.kit.url + self.PATH, *self.TRIGGER, *words)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        lines = [line.split() for line in done.stdout.splitlines()]
        self.assertEqual({line[1] for line in lines}, {"202"})
        return {SECEVENT + line[0].replace(":", "/event-type/"): line[3] for line in lines}

    def check_arrivals(self, process, wanted, *words):
        said = self.triggered(*words)
        self.assertEqual(set(said), wanted)

        def arrived():  # without what an earlier test has left in the stream
            return [e for e in self.kit.arrived() if e["txn"] in said.values()]
        wait_for(lambda: len(arrived()) >= len(wanted), 30,
                 why="what was triggered arrives: " + process.log_path.read_text()[-2000:])
        self.assertEqual({e["type"]: e["txn"] for e in arrived()}, said)
        for event in arrived():
            self.assertEqual(event["iss"], self.kit.url + self.PATH)
            family = event["type"].split("/")[4]
            self.assertEqual(event["sub_id"]["format"], "uri" if family == "wise" else "email")
            if family == "caep":
                self.assertAlmostEqual(event["event"]["event_timestamp"], time.time(), delta=60)
                self.assertTrue(event["event"]["reason_admin"]["en"])

    def run_receiver(self, config, wanted=None, *words, **env):
        process = self.kit.receiver(config, **env)
        try:
            self.check_arrivals(process, wanted or CAEP, *words)
        finally:
            self.assertEqual(process.stop(), 0)

    def post(self, body, token):
        return self.kit.ask(self.kit.url + self.PATH + "/signals", json.dumps(body).encode(),
                            {"Authorization": "Bearer " + token, "Content-Type": "application/json"})


class StaticToken(KitCase):
    CONFIG = "transmitter-static.toml"

    def test_caep_risc_and_wise_arrive_by_poll(self):
        self.run_receiver("receiver-poll.toml", CAEP | RISC | WISE, "--risc", "--wise", "--audience", "suite")

    def test_caep_risc_and_wise_arrive_by_push(self):
        self.run_receiver("receiver-push.toml", CAEP | RISC | WISE, "--risc", "--wise")

    def test_a_receiver_behind_a_reverse_proxy(self):
        proxy = proxy_of_the_kit(self.kit)
        self.addCleanup(proxy.stop)
        self.run_receiver("receiver-proxy.toml", CAEP | WISE, "--wise")
        # All of it came by the proxy, at the public URL's path, with the header that the stream was given.
        header = (self.kit.folder / "keys/push.header").read_text().strip()
        self.assertGreaterEqual(len(proxy.seen), len(CAEP | WISE) + 1)  # and the verification
        self.assertEqual(set(proxy.seen), {("/ssf/events", header)})
        token = self.kit.form[self.CONFIG]["ssf.transmitter.access_token"]
        streams = json.loads(self.kit.ask(self.kit.url + "/ssf/streams", None, {"Authorization": "Bearer " + token})[1])
        self.assertEqual([s["delivery"]["endpoint_url"] for s in streams], [self.kit.proxied])

    def test_the_types_of_the_profile_alone_and_single_ones(self):
        process = self.kit.receiver("receiver-poll.toml")
        self.addCleanup(process.stop)
        self.check_arrivals(process, PROFILE, "--profile")
        self.kit.forget()
        subject = {"format": "uri", "uri": "spiffe://trust.example.com/x"}
        done = self.triggered("--only", "wise:credential-compromise", "--subject", json.dumps(subject))
        self.assertEqual(list(done), [SECEVENT + "wise/event-type/credential-compromise"])
        wait_for(self.kit.arrived, 20, why="it arrives")
        self.assertEqual(self.kit.arrived()[0]["sub_id"], subject)

    def test_the_script_says_what_was_refused(self):
        wrong = self.kit.folder / "wrong.token"
        wrong.write_text("nobody-knows-this-token\n")
        done = self.kit.trigger("--token-file", wrong, "--only", "session-revoked")
        self.assertEqual(done.returncode, 1)
        self.assertIn("session-revoked 401", done.stdout)
        done = self.kit.trigger("--audience", "nobody")
        self.assertEqual((done.returncode, done.stdout.count(" 400 ")), (1, len(CAEP)))
        self.assertEqual(self.kit.trigger("--only", "session-forgotten").returncode, 1)

    def test_a_wise_event_is_held_to_its_schema(self):
        token = (self.kit.folder / "keys/operator.token").read_text().strip()
        body = {"type": SECEVENT + "wise/event-type/credential-revoked", "audience": "all",
                "subject": {"format": "uri", "uri": "spiffe://trust.example.com/x"}}
        for event, expected in (({"credential_type": "wit", "reason": "cessation", "later": 1}, 202),
                                ({"reason": "cessation"}, 400), ({"credential_type": "wit", "reason": "mood"}, 400),
                                ({"credential_type": "wit", "reason_admin": "a text"}, 400)):
            self.assertEqual(self.post({**body, "event": event}, token)[0], expected, event)
        # A type of the draft that the configuration does not have.
        body["type"] = SECEVENT + "wise/event-type/issuance-policy-changed"
        self.assertEqual(self.post({**body, "event": {}}, token)[0], 400)

    def test_the_suites_token_may_not_emit(self):
        token = self.kit.form[self.CONFIG]["ssf.transmitter.access_token"]
        body = {"type": min(CAEP), "event": {}, "audience": "all", "subject": {"format": "opaque", "id": "x"}}
        self.assertEqual(self.post(body, token)[0], 403)

    def test_the_operator_sees_the_streams(self):
        process = self.kit.receiver("receiver-poll.toml")
        self.addCleanup(process.stop)
        token = (self.kit.folder / "keys/operator.token").read_text().strip()
        status, body = self.kit.ask(self.kit.url + "/admin/streams", None, {"Authorization": "Bearer " + token})
        self.assertEqual(status, 200, body)
        self.assertIn('"suite"', body)


    def test_the_commands_of_each_module_of_the_receivers_plan(self):
        rows = re.findall(r"^\| (happy path|status update|stream create and delete) \| (.+) \|$",
                          (KIT / "README.md").read_text(), re.M)
        self.assertEqual(len(rows), 3)
        for stream in json.loads(self.command("stream", "list")):  # as the suite begins: with none
            self.command("stream", "delete", "--stream-id", stream["stream_id"])
        for _, cell in rows:
            said = [self.command(*words.removeprefix("mission-receiver ").replace(" R", "").split())
                    for words in re.findall(r"`([^`]+)`", cell)]
            self.assertTrue(json.loads(said[0])["stream_id"])
            self.assertEqual(said[-1], "")
        self.assertEqual(json.loads(self.command("stream", "list")), [])

    def command(self, *words):
        done = subprocess.run([receiver_binary(), *words, "--config", "receiver-poll.toml"], cwd=self.kit.folder,
                              capture_output=True, text=True, timeout=30)
        self.assertEqual(done.returncode, 0, (words, done.stderr))
        return done.stdout


class DynamicClients(KitCase):
    CONFIG, TRIGGER = "transmitter-dynamic.toml", ("--client-id", "operator")

    def test_a_secret_in_the_header(self):
        self.run_receiver("receiver-secret.toml")

    def test_a_secret_in_the_form(self):
        self.run_receiver("receiver-secret.toml", MISSION_RECEIVER_AUTH_METHOD="client_secret_post")

    def test_a_private_key_and_push(self):
        self.run_receiver("receiver-key.toml", CAEP | WISE, "--wise")

    def token(self, form, **fields):
        body = {"grant_type": "client_credentials", "scope": form["client.scope"], **fields}
        metadata = json.loads(self.kit.ask(form["server.discoveryUrl"])[1])
        self.assertEqual(metadata["token_endpoint"], form["server.token_endpoint"])
        status, answer = self.kit.ask(metadata["token_endpoint"], urllib.parse.urlencode(body).encode(),
                                      {"Content-Type": FORM})
        self.assertEqual(status, 200, answer)
        self.assertEqual(set(json.loads(answer)["scope"].split()), {"ssf.read", "ssf.manage"})
        return json.loads(answer)["access_token"]

    def test_what_goes_into_the_form_gets_a_token(self):
        by_secret, by_key = (v for k, v in self.kit.form.items() if k.startswith(self.CONFIG))
        self.token(by_secret, client_id=by_secret["client.client_id"], client_secret=by_secret["client.client_secret"])
        key = jwk.JWK(**by_key["client.jwks"]["keys"][0])
        now = int(time.time())
        claims = {"iss": by_key["client.client_id"], "sub": by_key["client.client_id"], "iat": now, "exp": now + 60,
                  "aud": by_key["server.token_endpoint"], "jti": os.urandom(8).hex()}
        assertion = jws.JWS(json.dumps(claims))
        assertion.add_signature(key, None, json.dumps({"alg": "ES256", "kid": key.get("kid")}))
        self.token(by_key, client_id=by_key["client.client_id"], client_assertion=assertion.serialize(compact=True),
                   client_assertion_type="urn:ietf:params:oauth:client-assertion-type:jwt-bearer")


class IssuerWithAPath(KitCase):
    CONFIG, PATH = "transmitter-path.toml", "/interop"

    def test_the_form_leads_to_the_metadata(self):
        form = self.kit.form[self.CONFIG]
        url = (form["ssf.transmitter.issuer"] + "/.well-known/ssf-configuration"
               + form["ssf.transmitter.metadata_suffix"])
        self.assertEqual(url, form["ssf.transmitter.configuration_metadata_endpoint"])
        status, body = self.kit.ask(url)
        self.assertEqual((status, json.loads(body)["issuer"]), (200, self.kit.url + self.PATH))
        self.assertEqual(self.kit.ask(self.kit.url + "/.well-known/ssf-configuration")[0], 404)
        metadata = json.loads(self.kit.ask(form["server.discoveryUrl"])[1])
        self.assertEqual((metadata["issuer"], metadata["token_endpoint"]),
                         (self.kit.url + self.PATH, form["server.token_endpoint"]))

    def test_poll_with_a_static_token(self):
        self.run_receiver("receiver-poll.toml", CAEP | WISE, "--wise")

    def test_push_by_a_proxy(self):
        proxy = proxy_of_the_kit(self.kit)
        self.addCleanup(proxy.stop)
        self.run_receiver("receiver-proxy.toml")
        self.assertGreaterEqual(len(proxy.seen), len(CAEP) + 1)

    def test_discovery_from_the_issuer_and_a_private_key(self):
        self.run_receiver("receiver-key.toml", MISSION_RECEIVER_ISSUER=self.kit.url + self.PATH)

    def test_client_credentials_with_a_secret(self):
        self.run_receiver("receiver-secret.toml")


class MetadataUnderThePath(unittest.TestCase):
    """Some transmitters append the well-known string to the issuer's path. Here a proxy makes ours one of them, which
    shows a transmitter behind a proxy too."""

    def test_a_receiver_that_knows_the_issuer_finds_it(self):
        port = free_port()
        public = f"https://localhost:{port}"
        kit = Kit("--transmitter", public, "--metadata", public + "/interop/.well-known/ssf-configuration")
        self.addCleanup(kit.stop)
        kit.transmitter("transmitter-path.toml", "/interop")
        asked = []

        def route(path):
            asked.append(path)
            known = re.fullmatch(r"/interop/\.well-known/([\w-]+)", path)
            if known:
                return f"/.well-known/{known.group(1)}/interop"
            return None if path.startswith("/.well-known/") else path
        proxy = Proxy(port, (kit.folder / "keys/server.pem", kit.folder / "keys/server.key"),
                      urllib.parse.urlsplit(kit.url), kit.folder / "keys/ca.pem", "localhost", route)
        self.addCleanup(proxy.stop)
        for config, env in (("receiver-key.toml", {"MISSION_RECEIVER_ISSUER": public + "/interop"}),
                            ("receiver-poll.toml", {})):
            process = kit.receiver(config, **env)
            done = kit.trigger("--transmitter", public + "/interop", "--only", "session-revoked")
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            txn = done.stdout.split()[3]
            wait_for(lambda t=txn: t in [e["txn"] for e in kit.arrived()], 20, why="it arrives")
            self.assertEqual(process.stop(), 0)
        self.assertIn("/.well-known/ssf-configuration/interop", asked)  # first where the specification has it
        self.assertIn("/interop/.well-known/ssf-configuration", asked)


class Folder(unittest.TestCase):
    def setUp(self):
        self.kit = Kit()
        self.addCleanup(self.kit.stop)

    def read(self, name):
        return (self.kit.folder / name).read_text()

    def check_all(self):
        for config in sorted(self.kit.folder.glob("*.toml")):
            program = transmitter_binary() if config.name.startswith("transmitter") else receiver_binary()
            done = subprocess.run([program, "check-config", "--config", config.name], cwd=self.kit.folder,
                                  capture_output=True, text=True, timeout=30)
            self.assertEqual(done.returncode, 0, config.name + done.stderr)

    def test_without_arguments_it_is_what_is_shipped(self):
        fresh = self.kit.folder / "fresh"
        subprocess.run([PYTHON, KIT / "prepare.py", fresh], check=True, capture_output=True, timeout=60)
        for source in [*KIT.glob("*.toml"), KIT / "nginx.conf", *KIT.glob("wise/*.json")]:
            self.assertEqual((fresh / source.relative_to(KIT)).read_text(), source.read_text(), source.name)

    def test_a_public_host(self):
        kept = ("keys/suite.token", "keys/ca.pem", "keys/client.pem")
        before = [self.read(name) for name in kept]
        self.kit.prepare("--public", "--transmitter", "https://ssf.example.org", "--listen", "0.0.0.0:443",
                         "--receiver", "https://rx.example.org:444/in",
                         "--proxied", "https://rx.example.org/ssf/events",
                         "--metadata", "https://suite.example.net/.well-known/ssf-configuration/test/a/x",
                         "--token", "abc1234", "--client-id", "other", "--client-secret", "s3cret")
        self.check_all()
        self.assertEqual(before, [self.read(name) for name in kept])
        for config in self.kit.folder.glob("*.toml"):
            text = config.read_text()
            self.assertNotIn("localhost", text, config.name)
            self.assertNotIn("ca_file", text, config.name)
            self.assertNotIn("allow =", text, config.name)
        self.assertIn('url = "https://ssf.example.org/interop"', self.read("transmitter-path.toml"))
        self.assertIn('"https://suite.example.net/.well-known/ssf-configuration/test/a/x"',
                      self.read("receiver-poll.toml"))
        self.assertIn('client_id = "other"', self.read("receiver-secret.toml"))
        self.assertEqual([self.read("keys/transmitter." + name) for name in ("token", "secret")],
                         ["abc1234", "s3cret"])
        self.assertIn("listen 443 ssl", self.read("nginx.conf"))
        form = json.loads(self.read("form.json"))
        self.assertEqual(form["transmitter-static.toml"]["ssf.transmitter.issuer"], "https://ssf.example.org")
        names = subprocess.run(["openssl", "x509", "-in", self.kit.folder / "keys/server.pem", "-noout", "-ext",
                                "subjectAltName"], check=True, capture_output=True, text=True).stdout
        for name in ("DNS:ssf.example.org", "DNS:rx.example.org", "DNS:localhost", "IP Address:127.0.0.1"):
            self.assertIn(name, names)

    def test_a_certificate_of_ones_own_is_served(self):
        own = self.kit.folder / "own"
        subprocess.run([KIT / "certificates.sh", own, "own.example", "localhost"], check=True, timeout=60)
        again = ["--certificate", str(own / "server.pem"), "--private-key", str(own / "server.key")]
        self.kit.prepare("--transmitter", self.kit.url, "--listen", f"127.0.0.1:{self.kit.port}",
                         "--admin", f"127.0.0.1:{self.kit.admin}", "--trust", str(own / "ca.pem"), *again)
        self.assertEqual(self.read("keys/server.pem"), (own / "server.pem").read_text())
        self.kit.context = ssl.create_default_context(cafile=str(own / "ca.pem"))
        self.kit.transmitter("transmitter-static.toml")
        done = self.kit.trigger("--only", "session-revoked")  # trusts what --trust has added
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_secrets_are_readable_by_their_owner_alone(self):
        self.check_all()
        for file in (self.kit.folder / "keys").iterdir():
            public = file.name in ("ca.pem", "server.pem", "trust.pem", "client.jwks.json")
            if not public:
                self.assertEqual(file.stat().st_mode & 0o077, 0, file.name)
        self.assertEqual((self.kit.folder / "form.json").stat().st_mode & 0o077, 0)
        self.assertNotIn('"d"', self.read("keys/client.jwks.json"))

    def test_the_readme_names_every_file_and_every_field(self):
        text = (KIT / "README.md").read_text()
        for file in KIT.iterdir():
            self.assertIn(file.name, text)
        for fields in self.kit.form.values():
            for field in fields:
                self.assertIn(f"`{field}`", text)
        for file in re.findall(r"`((?:transmitter|receiver)-\w+\.toml|\w+\.(?:py|sh|conf))`", text):
            self.assertTrue((KIT / file).is_file(), file)


if __name__ == "__main__":
    if "--build-dir" in sys.argv:
        at = sys.argv.index("--build-dir")
        BUILD_DIR = pathlib.Path(sys.argv[at + 1])
        del sys.argv[at:at + 2]
    BUILD_DIR = BUILD_DIR.resolve()
    unittest.main(verbosity=2)
