"""Fifty clients of different audiences and tenants: nobody is sent, told or able to infer what is another's.

    leak_test.py --build-dir DIR [--samples N] [--workers N] [--seed N] [--only KIND]

Random operations, from a seed that is printed. Every SET that arrives is held against a visibility worked out
here; every answer about what exists but is another's is held, to the octet, against the answer about what does
not exist; and an observer tries to tell the two apart by the time they take. With 10000 samples it has to be
right in 50 of 100 within two; with fewer, within two and what chance gives to so many guesses.
"""
import argparse
import base64
import http.server
import json
import math
import multiprocessing
import pathlib
import random
import secrets
import shutil
import ssl
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import harness as h  # noqa: E402
import observer as o  # noqa: E402

BUILD, SAMPLES, WORKERS, SEED, ONLY = pathlib.Path("build/test"), 2000, 6, None, None
CLIENTS, TENANTS, AUDIENCES, AGENTS = 50, 6, 12, 8
SESSION_REVOKED = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
FORM = "application/x-www-form-urlencoded"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
OPERATOR_SCOPES = ["mission.write", "mission.read", "mission.scope", "mission_lifecycle", "mission_status",
                   "signals.emit", "ssf.admin"]
CLIENT_SCOPES = ["ssf.read", "ssf.manage", "mission_status", "mission_lifecycle", "mission.read", "mission.scope"]
# Behind these the work differs most between what exists and what does not. A short run looks at them closely, and
# at the rest with a sixth of the samples: what those would show is coarse.
CLOSELY = ["read a stream", "read a mission", "mission status", "add a subject"]
LIFECYCLE = ["revoke", "suspend", "resume", "complete"]


def entries(random_, folder):
    """Clients of every kind: by audience, by tenant, by agent; some may be told of tenants, some follow subjects only."""
    made = []
    for n in range(CLIENTS):
        entry = {"audience": f"https://a{n % AUDIENCES}.example", "scopes": CLIENT_SCOPES, "lifecycle": LIFECYCLE,
                 "events": h.MISSION_TYPES + [SESSION_REVOKED]}
        kind = random_.random()
        if kind < 0.2:
            entry["missions"] = {"tenants": [f"t{random_.randrange(TENANTS)}"], "agents": []}
        elif kind < 0.35:
            entry["missions"] = {"tenants": [], "agents": [f"g{random_.randrange(AGENTS)}"]}
        if random_.random() < 0.3:
            entry["disclose"] = random_.sample(["tenant", "user", "reason"], random_.randrange(1, 4))
        if random_.random() < 0.3:
            entry["default_subjects"] = "NONE"
        if n == 1:
            entry["secret"] = "the secret of c1"
        made.append(h.Client(f"c{n}", folder, issuer="ISSUER", **entry))
    operator = dict(missions="all", scopes=OPERATOR_SCOPES, lifecycle=LIFECYCLE, signals_to="all")
    return [h.Client("operator", folder, issuer="ISSUER", audience="https://operator.example", **operator),
            *made,
            # Of another issuer in the same process, with every right there.
            h.Client("neighbour", folder, issuer="ISSUER/two", audience="https://a0.example",
                     **{**operator, "scopes": sorted({*OPERATOR_SCOPES, *CLIENT_SCOPES})})]


def listed(entry, mission):
    """The entry names the mission's tenant or agent: such a client is shown the whole mission."""
    missions = entry.get("missions", {})
    return mission["tenant"] in missions.get("tenants", []) or mission["agent"] in missions.get("agents", [])


def may_know(entry, mission):
    """Worked out from the rule, not from the program: named as a resource at any version, or listed."""
    return entry["audience"] in mission["audiences"] or listed(entry, mission)


def observe(job):
    """In a process of its own: one kind of question -> (its name, the shares it was right in, of how many, statuses)."""
    name, seed = job
    there, nowhere, _ = Leak.kinds[name]
    wire, shares, statuses, judged = o.Wire(Leak.t.port, Leak.t.ca), [], set(), 1
    samples = SAMPLES if SAMPLES >= 10_000 or name in CLOSELY else SAMPLES // 6
    for attempt in range(2):  # a bad moment of the machine is no leak, two in a row are
        times, seen = o.measure(wire, there, nowhere, samples, random.Random(seed + attempt))
        share, judged = o.accuracy(times)
        shares.append(share)
        statuses |= seen
        if abs(share - 0.5) <= margin(judged):
            break
    wire.close()
    return name, shares, judged, statuses


def margin(judged):
    """Two of a hundred, and where there are few guesses four times what chance makes of them."""
    return 0.02 if judged >= 10_000 else 0.02 + 4 * 0.5 / math.sqrt(judged)


class Endpoints:
    """Push endpoints of several clients, told apart by their path; each keeps what came and by what authorization."""

    def __init__(self, folder, deliver):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                token = self.rfile.read(int(self.headers["Content-Length"])).decode()
                deliver(self.path.removeprefix("/push/"), self.headers.get("Authorization"), token)
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://localhost:{self.server.server_port}/push/"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Leak(unittest.TestCase):
    kinds = {}  # name -> (() -> octets about what exists, () -> octets about what does not, status)

    @classmethod
    def setUpClass(cls):
        cls.seed = SEED if SEED is not None else secrets.randbits(32)
        print(f"seed {cls.seed}", flush=True)
        cls.random = random.Random(cls.seed)
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="mission-leak-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        h.make_ca(cls.folder)
        cls.clients = entries(cls.random, cls.folder)
        cls.t = h.Transmitter(BUILD / "transmitter/mission-transmitter", cls.folder, cls.clients,
                              ssf="heartbeat_seconds = 30\nmax_stale_seconds = 90\nredelivery_seconds = 1")
        text = cls.t.config_file.read_text().replace("ISSUER", cls.t.url)
        cls.t.config_file.write_text(text.replace("[tls]", f'[[issuer]]\nurl = "{cls.t.url}/two"\n[tls]', 1))
        cls.addClassCleanup(lambda: cls.t.process and cls.t.process.stop())
        cls.t.start()
        cls.wire = o.Wire(cls.t.port, cls.t.ca)
        cls.addClassCleanup(cls.wire.close)
        cls.entries = {c.id: c.entry for c in cls.clients}
        cls.names = [c.id for c in cls.clients[1:-1]]
        cls.missions, cls.streams, cls.signals = {}, {}, {}
        cls.pushed, cls.strays = set(cls.names[3::5]), []
        cls.received = {name: [] for name in cls.names}
        cls.endpoints = Endpoints(cls.folder, cls.take_push)
        cls.addClassCleanup(cls.endpoints.close)
        for name in cls.names:
            cls.streams[name] = cls.new_stream(name)
        cls.two = cls.neighbour_token()
        cls.streams["neighbour"] = cls.new_stream("neighbour", "/two", cls.two)

    @classmethod
    def new_stream(cls, name, prefix="", token=None):
        token = token or cls.t.token(name)
        wanted = {"events_requested": h.MISSION_TYPES + [SESSION_REVOKED], "description": f"private to {name}"}
        if name in cls.pushed:
            wanted["delivery"] = {"method": "urn:ietf:rfc:8935", "endpoint_url": cls.endpoints.url + name,
                                  "authorization_header": "Bearer of " + name}
        status, _, body = cls.t.http("POST", prefix + "/ssf/streams", wanted, {"Authorization": "Bearer " + token})
        assert status == 201, body
        return {"id": json.loads(body)["stream_id"], "follows": {}}

    @classmethod
    def take_push(cls, name, authorization, token):
        if authorization != "Bearer of " + name:
            cls.strays.append((name, authorization))
        cls.received[name].append(h.jwt_claims(token))

    @classmethod
    def neighbour_token(cls):
        form = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION,
                "client_assertion": cls.t.clients["neighbour"].assertion(cls.t.url + "/two/oauth/token")}
        status, _, body = cls.t.http("POST", "/two/oauth/token", urllib.parse.urlencode(form), None, FORM)
        assert status == 200, body
        return json.loads(body)["access_token"]

    # ---- random operations and what should come of them

    def create(self):
        pick = self.random
        audiences = {f"https://a{n}.example" for n in pick.sample(range(AUDIENCES), pick.randrange(1, 4))}
        tenant, agent = f"t{pick.randrange(TENANTS)}", f"g{pick.randrange(AGENTS)}"
        details = [{"type": "mission_resource_access", "resource": a, "actions": ["read", f"secret-of-{a[8:]}"]}
                   for a in sorted(audiences)]
        person = f"person-{secrets.token_hex(4)}"
        status, mission = self.t.create("operator", agent=agent, tenant=tenant, authorization_details=details,
                                        purpose=f"private purpose {secrets.token_hex(4)}",
                                        subject={"iss": "https://idp.example", "sub": person})
        self.assertEqual(status, 201, mission)
        self.missions[mission["mission_id"]] = {
            "audiences": audiences, "now": set(audiences), "tenant": tenant, "agent": agent, "person": person,
            "state": "active", "version": 1}
        self.expect(mission["mission_id"])

    def narrow(self):
        live = [i for i, m in self.missions.items() if m["state"] == "active" and len(m["now"]) > 1]
        if not live:
            return
        mission_id = self.random.choice(live)
        m = self.missions[mission_id]
        m["now"].remove(self.random.choice(sorted(m["now"])))
        details = [{"type": "mission_resource_access", "resource": a, "actions": ["read", f"secret-of-{a[8:]}"]}
                   for a in sorted(m["now"])]
        status, body = self.t.call("operator", "POST", f"/missions/{mission_id}/scope", {
            "change": "narrowed", "authorization_details": details, "reason": "less",
            "approver": {"iss": "https://idp.example", "sub": "a"}})
        self.assertEqual(status, 200, body)
        m["version"] += 1
        self.expect(mission_id)

    def change(self):
        live = [i for i, m in self.missions.items() if m["state"] in ("active", "suspended")]
        if not live:
            return
        mission_id = self.random.choice(live)
        m = self.missions[mission_id]
        operation, m["state"] = self.random.choice(
            [("revoke", "revoked"), ("complete", "completed"),
             ("suspend", "suspended") if m["state"] == "active" else ("resume", "active")])
        status, body = self.t.lifecycle("operator", mission_id, operation)
        self.assertEqual(status, 200, body)
        m["version"] += 1
        self.expect(mission_id)

    def follow(self):
        """A subject is added or removed, by somebody who may or may not know of it: always answered alike."""
        name = self.random.choice(self.names)
        stream = self.streams[name]
        if self.entries[name].get("default_subjects") != "NONE" or not self.missions:
            return
        mission_id = self.random.choice([*self.missions, "N" * 32])
        verb = self.random.choice(["add", "add", "remove"])
        status, body = self.t.call(name, "POST", f"/ssf/subjects/{verb}", {
            "stream_id": stream["id"], "subject": {"format": "opaque", "id": mission_id}})
        self.assertEqual((status, body), (200 if verb == "add" else 204, None))
        stream["follows"][mission_id] = verb == "add"

    def signal(self):
        """A signal for some of the clients, about somebody that nobody has been told of."""
        named = self.random.sample(self.names, self.random.randrange(1, 5))
        status, body = self.t.call("operator", "POST", "/signals", {
            "type": SESSION_REVOKED, "audience": named, "event": {"reason_admin": {"en": "for these alone"}},
            "subject": {"format": "opaque", "id": f"secret-{secrets.token_hex(8)}"}})
        self.assertEqual(status, 202, body)
        self.signals[body["txn"]] = {n for n in named if self.entries[n].get("default_subjects") != "NONE"}

    def expect(self, mission_id):
        m = self.missions[mission_id]
        for name in self.names:
            entry = self.entries[name]
            if may_know(entry, m) and (entry.get("default_subjects") != "NONE"
                                       or self.streams[name]["follows"].get(mission_id)):
                m.setdefault("told", {}).setdefault(name, set()).add(m["version"])

    def collect(self, name):
        if name in self.pushed:
            wanted = sum(len(m.get("told", {}).get(name, ())) for m in self.missions.values())
            wanted += sum(name in named for named in self.signals.values())
            h.wait_for(lambda: sum(not self.of_the_stream(c) for c in self.received[name]) >= wanted, 20,
                       why=f"what is pushed to {name}")
            return
        path, acks, quiet = "/ssf/poll/" + self.streams[name]["id"], [], 0
        while quiet < 2:
            status, answer = self.t.call(name, "POST", path, {"returnImmediately": True, "ack": acks})
            self.assertEqual(status, 200, answer)
            acks = list(answer["sets"])
            self.received[name] += [h.jwt_claims(t) for t in answer["sets"].values()]
            quiet = 0 if acks else quiet + 1

    @staticmethod
    def of_the_stream(claims):
        """Verification and stream-updated events, about the stream itself."""
        return all(t.startswith("https://schemas.openid.net/secevent/ssf/") for t in claims["events"])

    def test_1_nobody_is_sent_what_is_anothers(self):
        for _ in range(6):
            self.create()
        operations = [self.create, self.create, self.narrow, self.change, self.follow, self.follow, self.signal]
        for _ in range(180):
            self.random.choice(operations)()
        self.neighbour_missions()
        for name in sorted(self.names, key=lambda n: n not in self.pushed):
            self.collect(name)  # pushed ones first: what should not come has had its time when the rest is done
        self.assertEqual(self.strays, [])
        told, signalled = {name: {} for name in self.names}, {txn: set() for txn in self.signals}
        for name, sets in self.received.items():
            for claims in list(sets):
                self.assertEqual(claims["aud"], self.entries[name]["audience"])
                self.assertEqual(claims["iss"], self.t.url)
                (event_type, event), = claims["events"].items()
                if self.of_the_stream(claims):
                    self.assertEqual(claims["sub_id"]["id"], self.streams[name]["id"])
                if event_type == SESSION_REVOKED:
                    signalled[claims["txn"]].add(name)
                elif "mission" in event:
                    told[name].setdefault(event["mission"]["id"], set()).add(event["version"])
                    self.check_event(name, event["mission"]["id"], claims)
        self.assertEqual(signalled, self.signals)
        wanted = {name: {} for name in self.names}
        for mission_id, m in self.missions.items():
            for name, versions in m.get("told", {}).items():
                wanted[name][mission_id] = versions
        self.assertEqual(told, wanted)

    def check_event(self, name, mission_id, claims):
        entry, m, text = self.entries[name], self.missions[mission_id], json.dumps(claims)
        disclose = set(entry.get("disclose", []))
        self.assertTrue(may_know(entry, m), f"{name} was told of {mission_id}")
        self.assertNotIn("private purpose", text)
        for audience in {f"a{n}.example" for n in range(AUDIENCES)} - {entry["audience"][8:]}:
            self.assertNotIn(f"secret-of-{audience}", text, name)
            self.assertNotIn(f"https://{audience}", text, name)
        if "user" not in disclose:
            self.assertNotIn(m["person"], text, name)
        if "tenant" not in disclose:
            self.assertNotIn(f'"{m["tenant"]}"', text, name)
        for other in self.missions:
            if other != mission_id:
                self.assertNotIn(other, text)

    def neighbour_missions(self):
        """The other issuer has missions for the same audiences; its own stream hears of those and nothing else."""
        bearer, own = {"Authorization": "Bearer " + self.two}, set()
        for n in range(4):
            status, _, body = self.t.http("POST", "/two/missions",
                                          h.mission_body(resource=f"https://a{n}.example", tenant="t1"), bearer)
            self.assertEqual(status, 201, body)
            own.add(json.loads(body)["mission_id"])
        path, got, acks, quiet = "/two/ssf/poll/" + self.streams["neighbour"]["id"], set(), [], 0
        while quiet < 2:
            status, _, body = self.t.http("POST", path, {"returnImmediately": True, "ack": acks}, bearer)
            self.assertEqual(status, 200, body)
            sets = json.loads(body)["sets"]
            acks, quiet = list(sets), 0 if sets else quiet + 1
            for claims in map(h.jwt_claims, sets.values()):
                (_, event), = claims["events"].items()
                self.assertEqual(claims["iss"], self.t.url + "/two")
                if "mission" in event:
                    got.add(event["mission"]["id"])
        self.assertEqual(got, own)

    # ---- questions: octets to send about an id that is another's, or about one that is nobody's

    def questions(self, name, owner):
        """Everything `name` can ask of what is `owner`'s: kind -> (id -> octets, what exists, what does not, status)."""
        if not self.missions:
            self.create()
        while not any(not may_know(self.entries[name], m) for m in self.missions.values()):
            self.create()
        token = {"Authorization": "Bearer " + self.t.token(name)}
        two = {"Authorization": "Bearer " + self.two}
        stream, own = self.streams[owner]["id"], self.streams[name]["id"]
        mission = self.random.choice([i for i, m in self.missions.items() if not may_know(self.entries[name], m)])
        no_stream, no_mission = (secrets.token_urlsafe(64)[:len(i)] for i in (stream, mission))
        subject = {"format": "opaque", "id": mission}
        out = {}

        def ask(kind, make, ids=None, status=404):
            there, nowhere = ids or (stream, no_stream)
            out[kind] = (lambda: make(there), lambda: make(nowhere), status)

        def send(method, path, body=None, headers=None):
            def make(i):
                text = None if body is None else json.dumps(body(i))
                return o.request(method, path.format(i), text, headers or token)
            return make

        def form(path, headers=None, **fields):
            def make(i):
                pairs = {k: v(i) if callable(v) else v for k, v in fields.items()}
                return o.request("POST", path, urllib.parse.urlencode(pairs), headers(i) if headers else None, FORM)
            return make

        def assertion(path, client=name, key=None):
            """Made anew for each request: a client assertion is taken once."""
            return {"client_assertion_type": ASSERTION,
                    "client_assertion": lambda i: self.assertion(client or i, self.t.url + path, key)}

        ask("read a stream", send("GET", "/ssf/streams?stream_id={}"))
        ask("delete a stream", send("DELETE", "/ssf/streams?stream_id={}"))
        ask("patch a stream", send("PATCH", "/ssf/streams", lambda i: {"stream_id": i, "description": "x"}))
        ask("put a stream", send("PUT", "/ssf/streams", lambda i: {"stream_id": i, "events_requested": []}))
        ask("read a status", send("GET", "/ssf/status?stream_id={}"))
        ask("set a status", send("POST", "/ssf/status", lambda i: {"stream_id": i, "status": "paused"}))
        ask("verify", send("POST", "/ssf/verify", lambda i: {"stream_id": i, "state": "x"}))
        ask("poll", send("POST", "/ssf/poll/{}", lambda _: {"returnImmediately": True}))
        ask("add to a stream", send("POST", "/ssf/subjects/add", lambda i: {"stream_id": i, "subject": subject}))
        ask("remove from a stream", send("POST", "/ssf/subjects/remove",
                                         lambda i: {"stream_id": i, "subject": subject}))
        missions = (mission, no_mission)
        for verb, status in (("add", 200), ("remove", 204)):
            ask(f"{verb} a subject", send("POST", f"/ssf/subjects/{verb}", lambda i: {
                "stream_id": own, "subject": {"format": "opaque", "id": i}}), missions, status)
        ask("read a mission", send("GET", "/missions/{}"), missions)
        ask("read a mission as it was", send("GET", "/missions/{}?at=2020-01-01T00:00:00Z"), missions)
        ask("read a mission's history", send("GET", "/missions/{}/history"), missions)
        ask("read a mission's reports", send("GET", "/missions/{}/reports"), missions)
        ask("report on a mission", send("POST", "/missions/{}/reports", lambda _: {
            "kind": "completed", "detail": "x"}), missions)
        ask("narrow a mission", send("POST", "/missions/{}/scope", lambda _: {
            "change": "narrowed", "expires_at": "2030-01-01T00:00:00Z", "reason": "x",
            "approver": {"iss": "https://idp.example", "sub": "a"}}), missions)
        ask("mission status", form("/mission/status", mission_id=str, nonce="n", **assertion("/mission/status")),
            missions)
        ask("mission status with an audience", form(
            "/mission/status", mission_id=str, nonce="n", audience=self.entries[name]["audience"],
            **assertion("/mission/status")), missions)
        for operation in LIFECYCLE:
            ask(operation, form("/mission/lifecycle", mission_id=str, nonce="n", operation=operation,
                                **assertion("/mission/lifecycle")), missions)
        # Without the scope nothing is looked up; with it, only what is of the same issuer.
        ask("administer a stream", send("GET", "/admin/streams/{}"), status=403)
        ask("administer a neighbour's stream", send("GET", "/two/admin/streams/{}", headers=two))
        ask("pause a neighbour's stream", send("POST", "/two/admin/streams/{}/pause", lambda _: {}, two))
        ask("read a neighbour's mission", send("GET", "/two/missions/{}", headers=two), missions)
        ask("read a neighbour's stream", send("GET", "/two/ssf/streams?stream_id={}", headers=two))
        # Clients: c1 has a secret and a key. Neither tells whether the id or the proof was wrong.
        clients, stranger = ("c1", "zz"), h.Key()

        def basic(i):
            return {"Authorization": "Basic " + base64.b64encode(f"{i}:wrong".encode()).decode()}
        grant = {"grant_type": "client_credentials"}
        ask("token by basic", form("/oauth/token", basic, **grant), clients, 401)
        ask("token by post", form("/oauth/token", client_id=str, client_secret="wrong", **grant), clients, 401)
        ask("token by assertion", form("/oauth/token", **grant, **assertion("/oauth/token", None, stranger)),
            clients, 401)
        ask("status by assertion", form("/mission/status", mission_id="m" * 32, nonce="n",
                                        **assertion("/mission/status", None, stranger)), clients, 401)
        return out

    def assertion(self, client_id, audience, key):
        if key is None:
            return self.t.clients[client_id].assertion(audience)
        now = int(time.time())
        kid = self.t.clients["c1"].key.kid
        return key.jwt({"iss": client_id, "sub": client_id, "aud": audience, "iat": now, "exp": now + 60,
                        "jti": secrets.token_urlsafe(16)}, header={"kid": kid})

    def test_2_what_is_anothers_answers_as_what_is_not_there_to_the_octet(self):
        for _ in range(25):
            name, owner = self.random.sample(self.names, 2)
            for kind, (there, nowhere, status) in self.questions(name, owner).items():
                _, got, one = self.wire.ask(there())
                _, _, two = self.wire.ask(nowhere())
                self.assertEqual(got, status, (kind, one))
                self.assertEqual(one, two, kind)
        for name in self.names:  # nothing of the above has changed anything
            status, stream = self.t.call(name, "GET", "/ssf/streams")
            self.assertEqual((status, [s["stream_id"] for s in stream]), (200, [self.streams[name]["id"]]))
            self.assertEqual(stream[0]["description"], f"private to {name}")
            self.assertEqual(self.t.call(name, "GET", "/ssf/status?stream_id=" + stream[0]["stream_id"])[1]["status"],
                             "enabled")
        for mission_id, m in self.missions.items():
            status, mission = self.t.call("operator", "GET", "/missions/" + mission_id)
            self.assertEqual((status, mission["state"], mission["version"]), (200, m["state"], m["version"]))

    def test_3_lists_and_filters_show_what_may_be_known_and_all_of_it(self):
        if not self.missions:
            self.create()
        for name in self.names:
            entry = self.entries[name]
            disclosed = "tenant" in entry.get("disclose", [])
            own = {i for i, m in self.missions.items() if may_know(entry, m)}

            def shown(query, name=name):
                got, cursor = set(), ""
                while True:
                    status, page = self.t.call(name, "GET", f"/missions?limit=20{query}{cursor}")
                    self.assertEqual(status, 200, page)
                    got |= {m["mission_id"] for m in page["missions"]}
                    if not page.get("next_cursor"):
                        return got
                    cursor = "&cursor=" + urllib.parse.quote(page["next_cursor"])
            self.assertEqual(shown(""), own, name)
            self.assertEqual(shown("&state=revoked"), {i for i in own if self.missions[i]["state"] == "revoked"})
            self.assertEqual(shown("&agent=g1"), {i for i in own if self.missions[i]["agent"] == "g1"})
            # A tenant that may not be known cannot be found out by asking for it.
            self.assertEqual(shown("&tenant=t1"), {
                i for i in own if self.missions[i]["tenant"] == "t1"
                and (disclosed or listed(entry, self.missions[i]))}, name)
        status, _, body = self.t.http("GET", "/two/admin/streams", None, {"Authorization": "Bearer " + self.two})
        self.assertEqual(status, 200, body)
        for name in self.names:
            self.assertNotIn(self.streams[name]["id"], body.decode())

    # ---- time

    def test_4_the_observer_tells_apart_what_does_differ(self):
        """Else the test after this one would prove nothing."""
        token = {"Authorization": "Bearer " + self.t.token(self.names[0])}
        own, none = (o.request("GET", "/ssf/streams?stream_id=" + i, None, token)
                     for i in (self.streams[self.names[0]]["id"], "n" * 22))
        times, statuses = o.measure(self.wire, lambda: own, lambda: none, 100, self.random)
        self.assertEqual(statuses, {200, 404})
        self.assertGreater(o.accuracy(times)[0], 0.9)

    def test_5_time_does_not_tell_the_two_apart(self):
        Leak.kinds = {kind: q for kind, q in self.questions(self.names[0], self.names[2]).items()
                      if ONLY is None or ONLY == kind}
        jobs = [(kind, self.random.randrange(1 << 32)) for kind in sorted(Leak.kinds, key=lambda k: k not in CLOSELY)]
        with multiprocessing.get_context("fork").Pool(WORKERS) as pool:
            for kind, shares, judged, statuses in pool.imap_unordered(observe, jobs, chunksize=1):
                allowed = margin(judged)
                print(f"time, {kind}: right in {[round(100 * s, 2) for s in shares]} of 100, "
                      f"margin {100 * allowed:.2f}", flush=True)
                with self.subTest(kind):
                    self.assertEqual(statuses, {Leak.kinds[kind][2]})
                    self.assertLessEqual(abs(shares[-1] - 0.5), allowed)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--build-dir", default="build/test")
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--only")
    known, rest = parser.parse_known_args()
    BUILD, SAMPLES, SEED = pathlib.Path(known.build_dir).resolve(), known.samples, known.seed
    WORKERS, ONLY = known.workers, known.only
    unittest.main(argv=[sys.argv[0], *rest])
