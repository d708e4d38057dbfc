"""The OpenAPI document and the program, held against each other.

    openapi_test.py --build-dir DIR [unittest arguments]

Every answer that is got here is judged by schemas/openapi.json; in the end every operation, status,
parameter and member of an answer in it must have been met, and the program must have no route that
is not in it.
"""
import http.client
import json
import pathlib
import re
import resource
import secrets
import shutil
import socket
import ssl
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import harness as h  # noqa: E402
import openapi_document as d  # noqa: E402
import openapi_evidence  # noqa: E402
import openapi_families  # noqa: E402
import openapi_management  # noqa: E402
from openapi_self_check import BODIES, ROOT, Itself, vectors  # noqa: E402, F401

BUILD = pathlib.Path("build/test")
FORM = "application/x-www-form-urlencoded"
SESSION_REVOKED = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
SCOPES = ["ssf.read", "ssf.manage", "ssf.manage.poll", "signals.emit", "mission.read", "mission.write", "mission.scope",
          "mission_status", "mission_lifecycle", "mission_management", "ssf.admin"]
NOWHERE = "nobody-has-such-an-id-1"

# A million proofs at once, and a fault of ours; and what the other file cannot.
UNPROVOKABLE = {("x-any-request", "429"), ("x-any-request", "500")} | openapi_evidence.UNPROVOKABLE


def config_extra(port):
    return f"""
[[auth.issuer]]
issuer = "https://as.example"
introspection = "https://localhost:{port}/introspect"
audience = "https://api.example"
client_id = "us"
client_secret = "secret-of-ours-at-as"
[[issuer]]
url = "@URL@/tenant"
in_place_extension = true
""" + openapi_families.CONFIG + openapi_evidence.CONFIG + openapi_management.CONFIG


class World:
    """One transmitter with two issuers, and every client that is needed."""

    def __init__(self, folder):
        self.folder = folder
        self.routes = set()  # that have answered, before and after a restart
        h.make_ca(folder)
        # Bound and not listening: whoever asks there is refused, and nobody else gets the port.
        self.nobody = socket.socket()
        self.nobody.bind(("127.0.0.1", 0))
        self.nobodys_port = self.nobody.getsockname()[1]
        common = dict(issuer="@URL@", scopes=SCOPES, disclose=["tenant", "user", "reason"])
        one = h.Client("one", folder, audience="https://erp.example", missions="all", signals_to="all",
                       lifecycle=["revoke", "suspend", "resume"], secret="the secret of one",
                       events=[*h.MISSION_TYPES, h.LIFECYCLE_CHANGE, SESSION_REVOKED], caep_bridge="session",
                       certificate={"file": str(folder / "cert.pem")}, **common)
        two = h.Client("two", folder, audience="https://two.example", **common)
        there = h.Client("there", folder, issuer="@URL@/tenant", audience="https://erp.example", scopes=SCOPES,
                         default_subjects="NONE")
        foreign = h.Client("foreign", folder, token_issuer="https://as.example", **common)
        clients = [one, two, there, foreign, *openapi_management.clients(folder, **common),
                   *openapi_families.clients(folder, **common)]
        self.t = h.Transmitter(BUILD / "transmitter/mission-transmitter", folder, clients,
                               extra=config_extra(self.nobodys_port), auth="allow_bearer = true",
                               ssf="heartbeat_seconds = 5\nmax_stale_seconds = 6\nredelivery_seconds = 0.05\n"
                                   "streams_per_receiver = 4\nsubjects_per_stream = 2\ninactivity_timeout = 86400\n"
                                   "min_verification_interval = 60")
        file = self.t.config_file
        file.write_text(file.read_text().replace("@URL@", self.t.url))

    def start(self):
        # A limit on files is to be an error, not an end: the shell's program inherits the ignored signal.
        shell = ["/bin/sh", "-c", 'trap "" XFSZ; exec "$@"', "sh", str(self.t.binary)]
        self.t.process = h.Process([*shell, "serve", "--config", self.t.config_file], self.folder / "transmitter.log")
        self.t.wait_ready()


class Answers(openapi_evidence.Evidence, openapi_families.Families, openapi_management.Management, unittest.TestCase):
    """The tests run in the order of their names: the last of them counts what the others have met."""

    @classmethod
    def setUpClass(cls):
        cls.document = d.Document(ROOT / "schemas/openapi.json")
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="mission-openapi-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.world = World(cls.folder)
        cls.t = cls.world.t
        cls.addClassCleanup(cls.world.nobody.close)
        cls.addClassCleanup(lambda: cls.t.process and cls.t.process.stop())
        cls.world.start()
        cls.tokens = {}
        cls.context = ssl.create_default_context(cafile=str(cls.t.ca))

    # Calls. Everything goes through `call` and is judged there.

    def call(self, method, path, body=None, headers=None, query=(), admin=False, content_type=None, below="",
             announced=None):
        """-> (status, headers, what the body says). `below`: the path of another issuer; `announced`: the
        length of a body that never comes."""
        headers = dict(headers or {})
        self.document.note_request(method, path, query, headers, body)
        if isinstance(body, (dict, list)):
            body, headers["Content-Type"] = json.dumps(body), content_type or "application/json"
        elif content_type:
            headers["Content-Type"] = content_type
        port = self.t.admin_port if admin else self.t.port
        if announced:
            headers["Content-Length"] = str(announced)
        connection = http.client.HTTPSConnection("localhost", port, timeout=45, context=self.context)
        target = (path + below if path.startswith("/.well-known") else below + path)
        try:
            connection.request(method, target + ("?" + urllib.parse.urlencode(query) if query else ""), body, headers)
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        joined = {}
        for name, value in answer.getheaders():
            joined[name.lower()] = joined[name.lower()] + ", " + value if name.lower() in joined else value
        return answer.status, joined, self.document.judge(method, path, answer.status, joined, data, admin)

    def token(self, client="one", scope=None, at=""):
        if (client, scope) not in self.tokens:
            fields = {"grant_type": "client_credentials",
                      "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                      "client_assertion": self.t.clients[client].assertion(self.t.url + at + "/oauth/token")}
            if scope:
                fields["scope"] = scope
            status, _, answer = self.form("/oauth/token", fields, below=at)
            self.assertEqual(status, 200, answer)
            self.tokens[client, scope] = answer["access_token"]
        return self.tokens[client, scope]

    def bearer(self, client="one", scope=None):
        return {"Authorization": "Bearer " + self.token(client, scope)}

    def ask(self, method, path, body=None, expect=200, client="one", headers=None, query=(), **more):
        status, got, answer = self.call(method, path, body, {**self.bearer(client), **(headers or {})}, query, **more)
        self.assertEqual(status, expect, answer)
        return answer

    def form(self, path, fields, headers=None, **more):
        return self.call("POST", path, urllib.parse.urlencode(fields), headers, content_type=FORM, **more)

    def mission_form(self, path, fields, expect=200, client="one", **more):
        f = {"nonce": secrets.token_urlsafe(9), **fields}
        if "client_assertion" not in f:
            f.update(client_assertion_type="urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                     client_assertion=self.t.clients[client].assertion(self.t.url + path))
        status, _, answer = self.form(path, {k: v for k, v in f.items() if v is not None}, **more)
        self.assertEqual(status, expect, answer)
        return answer

    def stream(self, client="one", **members):
        made = self.ask("POST", "/ssf/streams", members or None, 201, client)
        self.addCleanup(self.call, "DELETE", "/ssf/streams", None, self.bearer(client),
                        [("stream_id", made["stream_id"])])
        return made

    def mission(self, **members):
        return self.ask("POST", "/missions", h.mission_body(**members), 201)

    # What each operation does when all is well

    def test_10_metadata(self):
        for below in ("", "/tenant"):
            for path, _, operation in self.document.operations():
                if operation["tags"] == ["metadata"]:
                    if "/mission/" in path and below:
                        continue  # the issuer's path stands in the middle of these
                    self.assertEqual(self.call("GET", path, below=below)[0], 200)
        for endpoint in ("status", "lifecycle", "manage"):
            http_client = h.Http(self.t.port, self.t.ca)
            status, headers, body = http_client("GET", f"/.well-known/oauth-protected-resource/tenant/mission/{endpoint}")
            http_client.close()
            self.document.judge("GET", f"/.well-known/oauth-protected-resource/mission/{endpoint}", status, headers, body, False)
            self.assertEqual(json.loads(body)["resource"], f"{self.t.url}/tenant/mission/{endpoint}")

    def test_11_tokens(self):
        self.token("one")
        self.token("there", at="/tenant")
        basic = {"Authorization": "Basic " + h.base64.b64encode(b"one:the secret of one").decode()}
        key = h.Key()
        proof = key.jwt({"htm": "POST", "htu": self.t.url + "/oauth/token", "iat": int(time.time()),
                         "jti": secrets.token_urlsafe(12)}, "dpop+jwt", {"jwk": key.jwk(), "kid": None})
        good = {"grant_type": "client_credentials"}
        for fields, headers, kind in ((good, basic, "Bearer"), (good, {**basic, "DPoP": proof}, "DPoP"),
                                      ({**good, "resource": self.t.url + "/mission/status"}, basic, "Bearer"),
                                      ({**good, "scope": "ssf.read ssf.manage"}, basic, "Bearer")):
            status, _, answer = self.form("/oauth/token", fields, headers)
            self.assertEqual((status, answer["token_type"]), (200, kind))
        for fields, headers, code in (
                ({}, basic, "invalid_request"), ({"grant_type": "password"}, basic, "unsupported_grant_type"),
                ({**good, "scope": "everything"}, basic, "invalid_scope"),
                ({**good, "resource": "https://elsewhere.example"}, basic, "invalid_target"),
                (good, {**basic, "DPoP": "x"}, "invalid_dpop_proof"),
                ({**good, "client_secret": "x", "client_id": "one"}, basic, "invalid_request")):
            status, _, answer = self.form("/oauth/token", fields, headers)
            self.assertEqual((status, answer["error"]), (400, code))
        status, _, answer = self.form("/oauth/token", {
            **good, "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": self.t.clients["foreign"].assertion(self.t.url + "/oauth/token")})
        self.assertEqual((status, answer["error"]), (400, "unauthorized_client"))
        self.assertEqual(self.form("/oauth/token", good)[0], 401)
        self.assertEqual(self.call("POST", "/oauth/token", "{}", basic, content_type="application/json")[0], 415)
        self.too_large("/oauth/token", FORM, basic)

    def too_large(self, path, content_type, headers, method="POST"):
        status = self.call(method, path, headers=headers, content_type=content_type, announced=(1 << 20) + 1)[0]
        self.assertEqual(status, 413)

    def test_12_streams(self):
        bare = self.stream()
        self.assertNotIn("description", bare)
        s = self.stream(description="x", events_requested=[SESSION_REVOKED], mission_capabilities_supported=["authority_changed"],
                        delivery={"method": "urn:ietf:rfc:8936"})
        sid = s["stream_id"]
        one = [("stream_id", sid)]
        self.assertEqual(self.ask("GET", "/ssf/streams", query=one), s)
        self.assertIn(s, self.ask("GET", "/ssf/streams"))
        self.assertEqual(self.ask("PATCH", "/ssf/streams", {"stream_id": sid, "description": "y"})["description"], "y")
        self.ask("PUT", "/ssf/streams", {"stream_id": sid})
        self.ask("PATCH", "/ssf/streams", {"stream_id": sid, "iss": "https://elsewhere.example"}, 400)
        self.assertEqual(self.ask("GET", "/ssf/status", query=one), {"stream_id": sid, "status": "enabled"})
        paused = self.ask("POST", "/ssf/status", {"stream_id": sid, "status": "paused", "reason": "tea"})
        self.assertEqual(paused["reason"], "tea")
        self.ask("POST", "/ssf/verify", {"stream_id": sid}, 400)
        self.ask("POST", "/ssf/status", {"stream_id": sid, "status": "enabled"})
        self.ask("POST", "/ssf/verify", {"stream_id": sid, "state": "s"}, 204)
        self.ask("POST", "/ssf/verify", {"stream_id": sid, "state": "s"}, 429)
        self.stream()
        self.stream()
        self.ask("POST", "/ssf/streams", {}, 409)

    def test_13_subjects(self):
        sid = self.stream()["stream_id"]

        def subject(i):
            return {"stream_id": sid, "subject": {"format": "opaque", "id": f"subject-{i}"}}
        for i in range(2):
            self.ask("POST", "/ssf/subjects/remove", subject(i), 204)
        self.ask("POST", "/ssf/subjects/remove", subject(2), 429)
        self.ask("POST", "/ssf/subjects/add", subject(3), 429)
        self.ask("POST", "/ssf/subjects/add", {**subject(0), "verified": True})

    def refuse(self, sid, jti, error):
        """Has a SET refused as often as it is offered, until it is given up; all others are taken, also the
        one that probes the relation (wire.md section 2). -> the dead letters"""
        poll = "/ssf/poll/" + sid

        def once():
            offered = self.ask("POST", poll, {"returnImmediately": True})["sets"]
            self.ask("POST", poll, {"maxEvents": 0, "ack": [one for one in offered if one != jti],
                                    "setErrs": {one: error for one in offered if one == jti}})
            return self.ask("GET", f"/admin/streams/{sid}/dead")
        return h.wait_for(once, 30, 0.05, "a dead letter")

    def test_14_polls(self):
        sid = self.stream(events_requested=h.MISSION_TYPES)["stream_id"]
        poll = "/ssf/poll/" + sid
        self.ask("POST", poll, {"returnImmediately": True})
        first, second = self.mission(), self.mission()
        h.wait_for(lambda: self.ask("POST", poll, {"maxEvents": 1}).get("moreAvailable"), why="one of two")
        mine = {}

        def both():
            for jti, token in self.ask("POST", poll)["sets"].items():
                mine[h.jwt_claims(token)["sub_id"].get("mission", {}).get("id")] = jti
            return {first["mission_id"], second["mission_id"]} <= set(mine)
        h.wait_for(both, why="both are there")
        dead = self.refuse(sid, mine[first["mission_id"]], {"err": "invalid_request", "description": "not this"})
        self.assertEqual([(x["mission_id"], x["err"]) for x in dead], [(first["mission_id"], "invalid_request")])
        self.ask("GET", f"/admin/streams/{sid}/dead", admin=True)
        self.assertEqual(self.ask("DELETE", f"/admin/streams/{sid}/dead"), {"deleted": 1})

    def test_15_dead_letters_of_emitted_events(self):
        sid = self.stream(events_requested=[SESSION_REVOKED])["stream_id"]
        poll = "/ssf/poll/" + sid
        for _ in range(2):
            self.ask("POST", "/signals", self.signal(audience=["one"]), 202)
        found = set()

        def both():
            found.update(jti for jti, token in self.ask("POST", poll, {})["sets"].items()
                         if SESSION_REVOKED in h.jwt_claims(token)["events"])
            return len(found) == 2
        h.wait_for(both, why="both are there")
        self.assertEqual(self.refuse(sid, found.pop(), {"err": "invalid_request"})[0]["type"], SESSION_REVOKED)

    @staticmethod
    def signal(**changes):
        return {"type": SESSION_REVOKED, "subject": {"format": "opaque", "id": "session-1"},
                "event": {"reason_admin": {"en": "over"}}, "audience": ["one"], **changes}

    def test_16_signals(self):
        key = {"Idempotency-Key": secrets.token_urlsafe(9)}
        first = self.ask("POST", "/signals", self.signal(txn="txn-1"), 202, headers=key)
        self.assertEqual(self.ask("POST", "/signals", self.signal(txn="txn-1"), 202, headers=key), first)
        self.ask("POST", "/signals", self.signal(txn="txn-2"), 400, headers=key)
        self.ask("POST", "/signals", self.signal(audience="all"), 202)
        self.ask("POST", "/signals", self.signal(audience="all"), 403, client="two")
        self.ask("POST", "/signals", self.signal(type=h.LIFECYCLE_CHANGE), 400)

    def test_17_missions(self):
        key = {"Idempotency-Key": secrets.token_urlsafe(9)}
        body = h.mission_body(tenant="t-1", evidence={"ticket": 7}, resource="https://two.example")
        body["agent"]["spiffe_id"] = "spiffe://example/agent-1"
        mission = self.ask("POST", "/missions", body, 201, headers=key)
        mid = mission["mission_id"]
        self.assertEqual(self.ask("POST", "/missions", body, 201, headers=key), mission)
        self.ask("POST", "/missions", {**body, "mission_id": mid}, 409)
        self.stream(events_requested=h.MISSION_TYPES)
        self.assertTrue(self.ask("GET", "/missions/" + mid)["streams"])
        seen = self.ask("GET", "/missions/" + mid, client="two")
        self.assertNotIn("purpose", seen)
        self.ask("GET", "/missions/not-an-id", expect=400)
        page = self.ask("GET", "/missions", query=[("limit", 1), ("state", "active"), ("agent", "agent-1")])
        self.ask("GET", "/missions", query=[("cursor", page["next_cursor"])])
        self.assertEqual(len(self.ask("GET", "/missions", query=[("tenant", "t-1")])["missions"]), 1)
        self.assertEqual(self.ask("GET", "/missions", query=[("parent", mid)]), {"missions": []})
        self.ask("GET", "/missions", query=[("limit", 0)], expect=400)

        def scope(change="narrowed", **more):
            return {"change": change, "approver": {"iss": "https://idp.example", "sub": "alice"}, "reason": "less", **more}
        path = f"/missions/{mid}/scope"
        details = body["authorization_details"]
        self.assertEqual(self.ask("POST", path, scope(authorization_details=[]))["version"], 2)
        for change in ("narrowed", "extended"):
            self.assertEqual(self.ask("POST", path, scope(change, authorization_details=details), 403)["err"],
                             "extension_not_allowed")
        self.assertEqual(self.ask("POST", path, scope(authorization_details=[], expected_version=1), 409)["err"],
                         "stale_version")
        self.mission_form("/mission/lifecycle", {"mission_id": mid, "operation": "revoke"})
        self.assertEqual(self.ask("POST", path, scope(authorization_details=details), 409)["err"], "conflict")

    def test_18_mission_forms(self):
        mid = self.mission()["mission_id"]
        self.mission_form("/mission/status", {"mission_id": mid, "audience": "https://erp.example"})
        until = h.datetime.datetime.utcnow() + h.datetime.timedelta(minutes=30)
        suspend = {"mission_id": mid, "operation": "suspend", "suspend_until": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
                   "on_expiry": "revoke", "reason": "a look at it", "expected_version": "1"}
        self.mission_form("/mission/lifecycle", suspend)
        held = self.ask("GET", "/missions/" + mid)
        self.assertEqual((held["state"], held["on_expiry"], held["reason"]), ("suspended", "revoke", "a look at it"))
        self.mission_form("/mission/status", {"mission_id": mid})
        self.assertEqual(self.mission_form("/mission/lifecycle", suspend, 409)["error"], "stale_version")
        self.mission_form("/mission/lifecycle", {"mission_id": mid, "operation": "revoke"})
        again = {"mission_id": mid, "operation": "resume"}
        self.assertEqual(self.mission_form("/mission/lifecycle", again, 409)["error"], "conflict")
        self.mission_form("/mission/lifecycle", {"mission_id": mid, "operation": "complete"}, 404)
        for path, more in (("/mission/status", {}), ("/mission/lifecycle", {"operation": "revoke"})):
            self.mission_form(path, {"mission_id": "short", **more}, 400)
            self.mission_form(path, {"mission_id": mid, "nonce": None, **more}, 400)
            self.mission_form(path, {"mission_id": mid, "client_assertion": "x", **more}, 401)
            self.mission_form(path, {"mission_id": NOWHERE.ljust(22, "x"), **more}, 404)
            self.assertEqual(self.call("POST", path, {"mission_id": mid})[0], 415)
            self.too_large(path, FORM, {})
            fields = {"mission_id": mid, "nonce": "n", **more}
            self.assertEqual(self.form(path, fields, {"Authorization": "Bearer " + secrets.token_urlsafe()})[0], 503)
            self.assertEqual(self.form(path, fields)[0], 401)
            # The token scope of the document, and it alone.
            wanted, = self.document.find("POST", path)[2]["security"][0]["token"]
            fields = {"mission_id": self.mission()["mission_id"], "nonce": secrets.token_urlsafe(6), **more}
            self.assertEqual(self.form(path, fields, self.bearer(scope="ssf.read"))[0], 404)
            self.assertEqual(self.form(path, fields, self.bearer(scope=wanted))[0], 200)

    def test_19_operators(self):
        sid = self.stream(events_requested=h.MISSION_TYPES)["stream_id"]
        path = "/admin/streams/" + sid
        self.assertIn(sid, [r["stream_id"] for r in self.ask("GET", "/admin/streams", admin=True)])
        self.ask("POST", path + "/pause", {"reason": "maintenance"})
        self.assertEqual(self.ask("GET", path)["reason"], "maintenance")
        self.ask("POST", "/ssf/status", {"stream_id": sid, "status": "enabled"}, 403)
        self.ask("POST", path + "/enable")
        self.assertIn("replayed", self.ask("POST", path + "/replay", {"from_seq": 1}))
        self.ask("POST", path + "/replay", {"from_seq": 1, "mission_id": "m" * 22}, 400)
        self.ask("POST", "/ssf/status", {"stream_id": sid, "status": "disabled"})
        self.ask("POST", path + "/pause", {}, 409)
        self.ask("POST", path + "/replay", {"from_seq": 1}, 400)
        # A push relation that cannot work shows what is wrong, and one that has worked, when.
        push = self.stream(events_requested=h.MISSION_TYPES, description="nobody there", delivery={
            "method": "urn:ietf:rfc:8935", "endpoint_url": f"https://localhost:{self.world.nobodys_port}/events"})
        polled = self.stream(events_requested=h.MISSION_TYPES)["stream_id"]
        self.mission()
        h.wait_for(lambda: self.ask("GET", "/admin/streams/" + push["stream_id"]).get("held_reason") is not None,
                   why="the stream is held")
        jtis = h.wait_for(lambda: self.ask("POST", "/ssf/poll/" + polled, {})["sets"], why="a SET")
        self.ask("POST", "/ssf/poll/" + polled, {"ack": list(jtis), "maxEvents": 0})
        h.wait_for(lambda: "last_success" in self.ask("GET", "/admin/streams/" + polled), why="the success is shown")

    def test_20_tail(self):
        text = self.ask("GET", "/admin/tail")
        at = re.search(r"^id: ([0-9]+)$", text, re.M).group(1)
        self.mission()
        self.ask("POST", "/signals", self.signal(), 202)
        seen = h.wait_for(lambda: (lambda t: t if t.count("event: signal") == 2 else None)(
            self.ask("GET", "/admin/tail", headers={"Last-Event-ID": at})), why="both are told")
        self.assertIn("mission_id", seen)
        self.ask("GET", "/admin/tail", headers={"Last-Event-ID": "yesterday"}, expect=400)

        statuses = []
        end = re.search(r"^id: ([0-9]+)$", self.ask("GET", "/admin/tail"), re.M).group(1)
        wait = {**self.bearer(), "Last-Event-ID": end}
        threads = [threading.Thread(target=lambda: statuses.append(self.call("GET", "/admin/tail", headers=wait)[0]))
                   for _ in range(36)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        self.assertEqual(set(statuses), {200, 429})

    def test_21_health(self):
        for path in ("/healthz", "/readyz", "/metrics"):
            self.assertEqual(self.call("GET", path, admin=True)[0], 200)

    # What every operation refuses, by the document alone

    @staticmethod
    def somewhere(path, mid):
        return (path.replace("{mission_id}", mid).replace("{stream_id}", NOWHERE).replace("{report_id}", NOWHERE)
                .replace("{list}", "1"))

    def target(self, path, operation, mid):
        """A path with ids, and a query, that get as far as the look-up."""
        path = self.somewhere(path, mid)
        required = [self.document.follow(p) for p in operation.get("parameters", [])]
        return path, [("stream_id", NOWHERE)] if any(p["in"] == "query" and p.get("required") for p in required) else []

    def sample(self, operation):
        """A valid body, and one of each member that is required."""
        if "requestBody" not in operation:
            return None
        name = BODIES[self.document.request_schema(operation)["$ref"].rsplit("/", 1)[1]]
        body = next(v for v in vectors(name)["valid"])
        return {**body, "stream_id": NOWHERE} if "stream_id" in body else body

    def by_token(self):
        for path, method, operation in self.document.operations():
            scopes = self.document.scopes(operation)
            if scopes:
                yield method.upper(), path, operation, scopes

    def test_30_tokens_come_first(self):
        stranger = {"Authorization": "Bearer " + h.Key().jwt({"iss": "https://stranger.example", "sub": "x"}, "at+jwt")}
        unknown = {"Authorization": "Bearer " + secrets.token_urlsafe(24)}  # its issuer is not there
        for method, path, operation, scopes in self.by_token():
            path, query = self.target(path, operation, "m" * 22)
            with self.subTest(operation["operationId"]):
                for admin in {False, "admin" in operation["tags"]}:
                    self.assertEqual(self.call(method, path, query=query, admin=admin)[0], 401)
                self.assertEqual(self.call(method, path, headers=stranger, query=query)[0], 401)
                self.assertEqual(self.call(method, path, headers=unknown, query=query)[0], 503)
                self.assertEqual(self.call(method, path, headers=self.bearer(), query=[*query, ("access_token", "x")])[0], 400)
                for scope in SCOPES:
                    if scope in scopes:
                        continue
                    status, headers, _ = self.call(method, path, headers=self.bearer(scope=scope), query=query)
                    self.assertEqual(status, 403, scope)
                    self.assertIn('scope="' + " ".join(scopes) + '"', headers["www-authenticate"])

    def test_31_each_scope_of_the_document_will_do(self):
        for method, path, operation, scopes in self.by_token():
            path, query = self.target(path, operation, "m" * 22)
            if operation["operationId"] in ("create_stream", "create_mission", "emit_signal"):
                continue  # their one scope has been used above
            for scope in scopes:
                with self.subTest(operation["operationId"], scope=scope):
                    body = self.sample(operation)
                    status = self.call(method, path, body, self.bearer("two", scope), query)[0]
                    self.assertEqual(status, 404 if "404" in operation["responses"] and operation["operationId"] != "read_streams"
                                     else 200)

    def test_32_bodies(self):
        for method, path, operation, _ in self.by_token():
            if "requestBody" not in operation:
                continue
            path, query = self.target(path, operation, "m" * 22)
            name = BODIES[self.document.request_schema(operation)["$ref"].rsplit("/", 1)[1]]
            with self.subTest(operation["operationId"]):
                self.ask(method, path, "text", 415, content_type="text/plain")
                self.too_large(path, "application/json", self.bearer(), method)
                self.ask(method, path, "{", 400, content_type="application/json")
                self.assertTrue(vectors(name)["invalid"])
                for vector in vectors(name)["invalid"]:
                    self.ask(method, path, json.dumps(vector["value"]), 400, content_type="application/json")

    def test_33_what_is_not_there(self):
        for method, path, operation, _ in self.by_token():
            if "404" not in operation["responses"]:
                continue
            path, query = self.target(path, operation, "m" * 22)
            if operation["operationId"] == "read_streams":
                query = [("stream_id", NOWHERE)]
            with self.subTest(operation["operationId"]):
                self.ask(method, path, self.sample(operation), 404, query=query)

    def test_34_other_methods_and_paths(self):
        for template, item in self.document.root["paths"].items():
            path = self.somewhere(template, "m" * 22)
            admin = "health" in next(item[m] for m in d.METHODS if m in item)["tags"]
            for method in {"GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"} - {m.upper() for m in item}:
                with self.subTest(method + " " + template):
                    self.assertEqual(self.call(method, path, admin=admin)[0], 405)
        for path in ("/", "/ssf", "/ssf/streams/", "/oauth/token/", "/healthz", "/nowhere/mission/manage"):
            self.assertEqual(self.call("GET", path)[0], 404)

    def test_35_head_is_get_without_the_body(self):
        for template, method, operation in self.document.operations():
            if method != "get":
                continue
            admin = "servers" in self.document.root["paths"][template]
            path, query = self.target(template, operation, "m" * 22)
            headers = self.bearer() if self.document.scopes(operation) else {}
            status, told, _ = self.call("GET", path, headers=headers, query=query, admin=admin)
            http_client = h.Http(self.t.admin_port if admin else self.t.port, self.t.ca)
            got, headers, body = http_client("HEAD", path + ("?" + urllib.parse.urlencode(query) if query else ""),
                                             headers=headers)
            http_client.close()
            with self.subTest(template):
                self.assertEqual((got, body), (status, b""))
                self.assertEqual({n: headers.get(n) for n in ("content-type", "cache-control")},
                                 {n: told.get(n) for n in ("content-type", "cache-control")})

    def raw(self, octets):
        with socket.create_connection(("localhost", self.t.port), 30) as plain, \
                self.context.wrap_socket(plain, server_hostname="localhost") as s:
            s.sendall(octets)
            answer = http.client.HTTPResponse(s)
            answer.begin()
            data = answer.read()
            headers = {k.lower(): v for k, v in answer.getheaders()}
            return answer.status, self.document.judge_any(answer.status, headers, data)

    def test_36_what_is_no_request(self):
        self.assertEqual(self.raw(b"GARBAGE\r\n\r\n")[0], 400)
        self.assertEqual(self.raw(b"GET /jwks.json HTTP/1.1\r\n\r\n")[0], 400)
        self.assertEqual(self.raw(b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")[0], 414)
        self.assertEqual(self.raw(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 20000 + b"\r\n\r\n")[0], 431)
        self.assertEqual(self.raw(b"GET / HTTP/1.1\r\nHost: x\r\n")[0], 408)

    def test_40_a_store_that_cannot_write(self):
        pid = self.t.process.pid
        forever = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        try:
            self.ask("POST", "/missions", h.mission_body(), 503)
            self.assertEqual(self.call("GET", "/readyz", admin=True)[0], 503)
        finally:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, forever)
        h.wait_for(lambda: self.call("POST", "/missions", h.mission_body(), self.bearer())[0] == 201, 30,
                   why="it recovers")

    # And in the end

    def test_90_the_document_has_nothing_that_was_not_met(self):
        self.assertEqual(self.document.never_exercised(UNPROVOKABLE), [])
        self.assertEqual(sorted(self.document.declared_members() - self.document.members
                                - openapi_management.UNPROVOKABLE_MEMBERS), [])

    def note_routes(self):
        text = self.call("GET", "/metrics", admin=True)[2]
        self.world.routes.update(re.findall(r'mission_http_answers_total{route="([^"]+)"', text))

    def test_91_the_program_has_no_route_that_was_not_met(self):
        self.note_routes()
        routes = self.world.routes
        paths = {re.sub("{[^}]+}", "*", p) for p in self.document.root["paths"]}
        below = {"/tenant" + p for p in paths} | {p + "/tenant" for p in paths}
        below |= {p.replace("/mission/", "/tenant/mission/") for p in paths}
        below |= {openapi_families.BELOW + p for p in paths}
        self.assertLessEqual(paths, routes)
        self.assertLessEqual(routes, paths | below)


if __name__ == "__main__":
    if "--build-dir" in sys.argv:
        i = sys.argv.index("--build-dir")
        BUILD = pathlib.Path(sys.argv[i + 1]).resolve()
        del sys.argv[i:i + 2]
    unittest.main(verbosity=2)
