"""What crosses the wire between a receiver and the transmitter, written down.

    transcript.py --build-dir DIR --write FILE    makes docs/interop.md
    transcript.py --build-dir DIR --check FILE    fails when FILE is not what the programs do now

Ids, secrets, ports, times and signatures are replaced by names, the same one for the same value, so that
making it again gives the same text.
"""
import argparse
import base64
import difflib
import json
import pathlib
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import peer as p  # noqa: E402
import world as w  # noqa: E402

SHOWN = ("content-type", "cache-control", "www-authenticate", "retry-after", "allow", "location")
REASON = {"en": "The device was reported lost"}
INTRO = """# Interoperation: a transcript

Made by `tests/conformance/transcript.py` from real requests to a running transmitter (TLS on loopback); the ctest
`interop_transcript` fails when it is not what the programs do. Host, ids, tokens, signatures and times are replaced by names in
angle brackets, the same name for the same value. The client is one of the token endpoint (`client_secret_basic`) that is
offered the events of CAEP and RISC; a client with a fixed token (`token` in its entry) leaves the second step out.
"""


class Transcript:
    def __init__(self, world):
        self.world, self.parts, self.names, self.counts = world, [INTRO], {}, {}

    # ---- names for what differs from run to run

    def name(self, value, kind):
        if value not in self.names:
            self.counts[kind] = self.counts.get(kind, 0) + 1
            self.names[value] = f"<{kind}-{self.counts[kind]}>"
        return self.names[value]

    def known(self, value, kind):
        if value:
            self.name(value, kind)

    def normal(self, text):
        for value in sorted(self.names, key=len, reverse=True):
            text = text.replace(value, self.names[value])
        text = text.replace(f"localhost:{self.world.port}", "transmitter.example")
        text = re.sub(r"localhost:\d+", "receiver.example", text)
        text = re.sub(r'("(?:event_timestamp|iat|expires_in)": ?)\d+', r"\1<number>", text)
        return re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z", "<time>", text)

    # ---- parts

    def title(self, text, words=""):
        self.parts.append(f"\n## {text}\n" + (f"\n{words}\n" if words else ""))

    def block(self, text):
        self.parts.append("\n```\n" + self.normal(text).rstrip() + "\n```\n")

    def body(self, body):
        if body in (None, b"", ""):
            return ""
        if isinstance(body, (dict, list)):
            return "\n\n" + json.dumps(body, indent=2)
        text = body.decode() if isinstance(body, bytes) else body
        try:
            return "\n\n" + json.dumps(json.loads(text), indent=2)
        except ValueError:
            return "\n\n" + text

    def answer(self, answer):
        head = "".join(f"\n{name}: {answer.headers[name]}" for name in SHOWN if name in answer.headers)
        return f"HTTP/1.1 {answer.status}{head}{self.body(answer.body)}"

    def call(self, client, method, path, body=None, authorization="Bearer <token>", show=True):
        """One request and its answer."""
        headers = {} if authorization is None else (
            client.bearer() if authorization == "Bearer <token>" else {"Authorization": authorization})
        answer = client.http(method, path, body, headers)
        try:
            made = answer.json()
        except ValueError:
            made = None
        if isinstance(made, dict):
            self.known(made.get("stream_id"), "stream")
            for jti in made.get("sets", {}):
                self.known(jti, "jti")
            for token in made.get("sets", {}).values():
                self.known(token, "SET")
        if show:
            sent = f"{method} {path}" + (f"\nAuthorization: {authorization}" if authorization else "")
            sent += "\nContent-Type: application/json" if body is not None else ""
            self.block(sent + self.body(body))
            self.block(self.answer(answer))
        return answer

    def set(self, client, stream, token):
        """A SET taken apart, after its signature was verified."""
        claims = client.read_set(stream, token)
        for kind, value in (("kid", json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))["kid"]),
                            ("jti", claims["jti"]), ("txn", claims["txn"])):
            self.known(value, kind)
        shown = {k: v for k, v in claims.items() if not k.startswith("_")}
        header = json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))
        self.parts.append("\nThe SET, signature verified:\n")
        self.block(json.dumps(header, sort_keys=True) + "\n" + json.dumps(shown, indent=2))
        return claims

    def wait_offered(self, client, stream, want):
        """Quietly polls until what is wanted lies ready to be offered again, heartbeats acknowledged."""
        def look():
            sets = client.poll(stream).json()["sets"]
            claims = {jti: client.read_set(stream, token) for jti, token in sets.items()}
            beats = [jti for jti, c in claims.items() if p.is_heartbeat(c)]
            if beats:
                client.poll(stream, ack=beats, maxEvents=0)
            return [jti for jti, c in claims.items() if want(c)]
        found = w.harness.wait_for(look, 15, why="the event is offered")
        time.sleep(1.15)  # redelivery_seconds = 1: offered again from then on
        return found


def make(world):
    t, client = Transcript(world), world["suite"]
    t.title("Discovery")
    t.call(client, "GET", "/.well-known/ssf-configuration", authorization=None)
    t.title("Token")
    t.known(client.token(), "access-token")
    answer = client.token_request()
    t.known(answer.json()["access_token"], "access-token")
    t.block("POST /oauth/token\nAuthorization: Basic <client id and secret>\n"
            "Content-Type: application/x-www-form-urlencoded\n\ngrant_type=client_credentials")
    t.block(t.answer(answer))

    t.title("Create", "A poll stream.")
    stream = t.call(client, "POST", "/ssf/streams", {
        "delivery": {"method": p.POLL}, "events_requested": [p.SESSION_REVOKED, p.CREDENTIAL_CHANGE, "urn:unknown:type"],
        "description": "Console"}).json()
    ident = stream["stream_id"]
    t.title("Read")
    t.call(client, "GET", "/ssf/streams?stream_id=" + ident)
    t.parts.append("\nAll streams of this client:\n")
    t.call(client, "GET", "/ssf/streams")
    t.title("Update by PATCH")
    t.call(client, "PATCH", "/ssf/streams", {"stream_id": ident, "description": "Console, floor 2"})
    t.title("Replace by PUT")
    t.call(client, "PUT", "/ssf/streams", {"stream_id": ident, "delivery": {"method": p.POLL},
                                           "events_requested": [p.SESSION_REVOKED]})

    t.title("Status", "Paused, disabled, enabled; and read.")
    for status in ("paused", "disabled", "enabled"):
        t.call(client, "POST", "/ssf/status", {"stream_id": ident, "status": status, "reason": "maintenance"})
    t.call(client, "GET", "/ssf/status?stream_id=" + ident)

    t.title("Subjects")
    subject = {"format": "email", "email": "user@example.com"}
    t.call(client, "POST", "/ssf/subjects/add", {"stream_id": ident, "subject": subject, "verified": True})
    t.call(client, "POST", "/ssf/subjects/remove", {"stream_id": ident, "subject": subject})
    t.call(client, "POST", "/ssf/subjects/add", {"stream_id": ident, "subject": subject}, show=False)

    t.title("Verification by poll")
    t.call(client, "POST", "/ssf/verify", {"stream_id": ident, "state": "VGhpcyBpcyBhIHRlc3Q"})
    found = t.wait_offered(client, stream, lambda c: "state" in c["_event"])
    answer = t.call(client, "POST", "/ssf/poll/" + ident, {"returnImmediately": True, "maxEvents": 1})
    token = answer.json()["sets"][found[0]]
    t.set(client, stream, token)

    t.title("Acknowledge only", "`maxEvents` 0 asks for nothing.")
    t.call(client, "POST", "/ssf/poll/" + ident, {"ack": found, "maxEvents": 0})

    t.title("Poll only")
    for n in (1, 2):
        t.known(world.emit(p.SESSION_REVOKED, {"event_timestamp": 1_700_000_000, "reason_admin": REASON}, subject)["txn"],
                "txn")
    t.wait_offered(client, stream, lambda c: c["_type"] == p.SESSION_REVOKED)
    answer = t.call(client, "POST", "/ssf/poll/" + ident, {"returnImmediately": True, "maxEvents": 1})
    (jti, token), = answer.json()["sets"].items()
    t.set(client, stream, token)

    t.title("Poll and acknowledge", "The first is acknowledged, the next one asked for.")
    time.sleep(1.15)
    answer = t.call(client, "POST", "/ssf/poll/" + ident, {"returnImmediately": True, "maxEvents": 1, "ack": [jti]})
    jtis = list(answer.json()["sets"])
    t.parts.append("\nA SET that could not be read is reported, with `Content-Language: en`:\n")
    t.call(client, "POST", "/ssf/poll/" + ident, {"maxEvents": 0, "setErrs": {
        jtis[0]: {"err": "invalid_request", "description": "The SET could not be read"}}})
    t.call(client, "POST", "/ssf/poll/" + ident, {"maxEvents": 0, "ack": jtis}, show=False)

    t.title("Delete")
    t.call(client, "DELETE", "/ssf/streams?stream_id=" + ident)

    t.title("Verification by push")
    endpoint = w.PushEndpoint(world.folder)
    try:
        pushed = t.call(client, "POST", "/ssf/streams", {
            "delivery": {"method": p.PUSH, "endpoint_url": endpoint.url, "authorization_header": "Bearer of the receiver"},
            "events_requested": [p.SESSION_REVOKED]}).json()
        t.call(client, "POST", "/ssf/verify", {"stream_id": pushed["stream_id"], "state": "VGhpcyBpcyBhIHRlc3Q"})
        request, _ = endpoint.next(client, pushed, lambda c: "state" in c["_event"])
        t.known(request["body"], "SET")
        head = "".join(f"\n{n.title()}: {request['headers'][n]}" for n in ("authorization", "content-type", "accept"))
        t.parts.append("\nThe transmitter then asks the receiver, who answers 202 without a body:\n")
        t.block(f"POST {request['path']}{head}\n\n{request['body']}")
        t.set(client, pushed, request["body"])
        client.delete(pushed)
    finally:
        endpoint.close()

    t.title("Errors")
    ident = t.call(client, "POST", "/ssf/streams", {}, show=False).json()["stream_id"]
    for words, call in (
            ("A broken body is 400:", ("POST", "/ssf/streams", '{"delivery": ', "Bearer <token>")),
            ("An invalid token is 401, before the body is looked at:", ("POST", "/ssf/streams", '{"delivery": ', "Bearer wrong")),
            ("No token:", ("GET", "/ssf/streams", None, None)),
            ("A stream that is not there, or another client's:", ("GET", "/ssf/streams?stream_id=unknown", None, "Bearer <token>")),
            ("To delete needs an id:", ("DELETE", "/ssf/streams", None, "Bearer <token>")),
            ("A status there is not:", ("POST", "/ssf/status", {"stream_id": ident, "status": "sleeping"}, "Bearer <token>")),
            ("A subject of no format:", ("POST", "/ssf/subjects/add", {"stream_id": ident, "subject": {"email": "a@example.com"}},
                                         "Bearer <token>")),
            ("What the transmitter supplies cannot be changed:", ("PATCH", "/ssf/streams", {
                "stream_id": ident, "aud": "https://other.example"}, "Bearer <token>")),
            ("A push address that must not be called:", ("POST", "/ssf/streams", {"delivery": {
                "method": p.PUSH, "endpoint_url": "http://receiver.example/"}}, "Bearer <token>")),
            ("A method that is not taken:", ("DELETE", "/ssf/status", None, "Bearer <token>"))):
        t.parts.append(f"\n{words}\n")
        t.call(client, *call)
    t.parts.append("\nA second stream is 201 with an id of its own, up to `streams_per_receiver`, and then 409:\n")
    answer = t.call(client, "POST", "/ssf/streams", {}, show=False)
    while answer.status == 201:
        answer = t.call(client, "POST", "/ssf/streams", {}, show=False)
    t.block(t.answer(answer))
    t.parts.append("\nA token without the scope:\n")
    t.block(t.answer(world["reader"]("POST", "/ssf/streams", {})))
    t.parts.append("\nA wrong secret at the token endpoint:\n")
    kept, client.secret = client.secret, "wrong"
    t.block(t.answer(client.token_request()))
    client.secret = kept
    return "".join(t.parts)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--build-dir", default="build/test")
    parser.add_argument("--write", type=pathlib.Path)
    parser.add_argument("--check", type=pathlib.Path)
    known = parser.parse_args()
    entries = {k: v for k, v in w.client_entries().items() if k in ("suite", "reader", "emitter")}
    # A heartbeat now and then would be in the way of a text that is always the same.
    world = w.World(known.build_dir, entries=entries, ssf={"heartbeat_seconds": 300, "max_stale_seconds": 900,
                                                           "streams_per_receiver": 3})
    try:
        text = make(world.start())
    finally:
        world.stop()
    if known.write:
        known.write.write_text(text)
    if known.check:
        old = known.check.read_text()
        if old != text:
            sys.stderr.writelines(difflib.unified_diff(old.splitlines(True), text.splitlines(True), str(known.check), "now"))
            sys.exit("docs/interop.md is not current: make it again with --write")
