"""A host of our receiver library as a process, and the ways in which its transmitter can be broken at first."""
import json
import pathlib
import queue
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "system"))
import harness  # noqa: E402  (starts and stops processes; nothing else is taken from it)
import little_transmitter as lt  # noqa: E402
import peer as p  # noqa: E402

PROGRAM = None  # tests/system/probe_receiver, set by the runner


class Probe:
    """A host of the receiver library; commands and answers are lines."""

    def __init__(self, folder, t, delivery="poll", **env):
        self.folder, self.t = pathlib.Path(tempfile.mkdtemp(dir=folder)), t
        (self.folder / "client.pem").write_bytes(p.make_key().export_to_pem(True, None))
        (self.folder / "client.pem").chmod(0o600)
        self.port = harness.free_port()
        self.env = {"PROBE_ISSUER": t.issuer, "PROBE_CA": str(t.folder / "ca.pem"), "PROBE_CLIENT": "rs",
                    "PROBE_KEY": str(self.folder / "client.pem"), "PROBE_STATE": str(self.folder / "state.db"),
                    "PROBE_JOURNAL": str(self.folder / "journal"), "PROBE_DELIVERY": delivery,
                    "PROBE_LISTEN": f"127.0.0.1:{self.port}", "PROBE_CERT": str(t.folder / "cert.pem"),
                    "PROBE_CERT_KEY": str(t.folder / "key.pem"),
                    "PROBE_PUBLIC_URL": f"https://localhost:{self.port}/push", **env}
        self.program = PROGRAM
        self.process, self.lines = None, None

    def start(self):
        self.process = harness.Process([self.program], self.folder / "log", self.env,
                                       subprocess.PIPE, subprocess.PIPE)
        self.lines = queue.Queue()
        threading.Thread(target=lambda out, to: [to.put(x) for x in iter(out.readline, b"")],
                         args=(self.process.p.stdout, self.lines), daemon=True).start()
        return self

    def ask(self, line, seconds=10):
        self.process.p.stdin.write((line + "\n").encode())
        self.process.p.stdin.flush()
        return json.loads(self.lines.get(timeout=seconds))

    def standing(self, mission_id):
        return self.ask("check " + mission_id)["standing"]

    def streaming(self, seconds=20):
        harness.wait_for(lambda: self.ask("status")["streaming"], seconds, 0.05, "the receiver is live")
        return self

    def text(self):
        return (self.folder / "log").read_text(errors="replace")

    def close(self):
        if self.process:
            self.process.kill()


def setups():
    """Why -> (place, fault): what a transmitter can do wrong before a stream lives. Each is healed afterwards."""
    far = "https://elsewhere.example/x"
    return {
        "metadata that is HTML": ("metadata", lt.html),
        "metadata that is no JSON": ("metadata", lt.broken_json),
        "metadata that is an array": ("metadata", lt.other([])),
        "metadata that breaks off": ("metadata", lt.truncated),
        "metadata that never ends": ("metadata", lt.huge),
        "metadata of nobody": ("metadata", lt.nothing),
        "metadata with a redirect": ("metadata", lt.redirect_to(far)),
        "metadata of another issuer": ("metadata", lt.changed(issuer="https://evil.example")),
        "metadata without an issuer": ("metadata", lt.changed(issuer=None)),
        "metadata without keys": ("metadata", lt.changed(jwks_uri=None)),
        "metadata with endpoints elsewhere": ("metadata", lt.changed(configuration_endpoint=far)),
        "metadata with a plain http endpoint": ("metadata", lt.changed(verification_endpoint="http://localhost/v")),
        "an authorization server of another name": ("server", lt.changed(issuer="https://evil.example")),
        "a token endpoint elsewhere": ("server", lt.changed(token_endpoint=far)),
        "a token endpoint that refuses": ("token", lt.other({"error": "invalid_client"}, 401)),
        "a token that is HTML": ("token", lt.html),
        "a token that breaks a header": ("token", lt.changed(access_token="a\r\nX: y")),
        "a list that is no list": ("list", lt.other({"x": 1})),
        "a list with a redirect": ("list", lt.redirect_to(far)),
        "a creation that fails": ("create", lt.status_of(500)),
        "a creation that is 200": ("create", lambda h, good: lt.answer(h, 200, good[1], good[2])),
        "a creation of another iss": ("create", lt.changed(iss="https://evil.example")),
        "a creation without an id": ("create", lt.changed(stream_id=None)),
        "a creation without delivery": ("create", lt.changed(delivery=None)),
        "a creation with a poll address elsewhere":
            ("create", lt.changed(delivery={"method": p.POLL, "endpoint_url": far})),
        "a poll endpoint that is HTML": ("poll", lt.html),
        "a poll endpoint that forbids": ("poll", lt.status_of(403)),
        "keys that are HTML": ("keys", lt.html),
        "keys that are none": ("keys", lt.other({"keys": []})),
        "keys that never end": ("keys", lt.huge),
        "keys with a redirect": ("keys", lt.redirect_to(far)),
    }
