"""Our receiver, fed by a small transmitter of somebody else's that misbehaves.

    receiver_test.py --build-dir DIR [unittest arguments]
"""
import argparse
import concurrent.futures
import json
import pathlib
import secrets
import shutil
import sys
import tempfile
import time
import unittest
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).parent))
sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "system"))
import harness  # noqa: E402  (starts and stops processes; nothing else is taken from it)
import little_transmitter as lt  # noqa: E402
import peer as p  # noqa: E402
import probe as pr  # noqa: E402


class Base(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="mission-conformance-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        harness.make_ca(cls.folder)

    @classmethod
    def pair(cls, delivery="poll", before=None):
        t = lt.LittleTransmitter(cls.folder, push=delivery == "push")
        cls.addClassCleanup(t.close)
        if before:
            before(t)
        probe = pr.Probe(cls.folder, t, delivery)
        cls.addClassCleanup(probe.close)
        return t, probe


class Setup(Base):
    """Each fault is met by a receiver of its own, all of them at the same time."""

    @classmethod
    def setUpClass(cls):  # begun with the module
        pass

    @classmethod
    def begin(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="mission-conformance-"))
        harness.make_ca(cls.folder)
        cls.pool = concurrent.futures.ThreadPoolExecutor(11)
        cls.outcomes = {why: cls.pool.submit(cls.one, place, fault) for why, (place, fault) in pr.setups().items()}

    @classmethod
    def one(cls, place, fault):
        t = lt.LittleTransmitter(cls.folder)
        probe = pr.Probe(cls.folder, t)
        try:
            t.faults[place] = fault
            probe.start()
            harness.wait_for(lambda: t.log, 15, why="the receiver asks")
            deadline, status = time.monotonic() + 6, {}
            while time.monotonic() < deadline and not status.get("problem"):
                status = probe.ask("status")
                time.sleep(0.05)
            early = {"streaming": status["streaming"], "problem": status["problem"],
                     "standing": probe.standing("m" * 22), "text": probe.text(),
                     "tokens_sent": sum("authorization" in r["headers"] for r in t.log),
                     "token_requests": len(t.seen("/token"))}
            t.faults.clear()
            healed = True
            try:
                probe.streaming(45)
            except AssertionError:
                healed = False
            return early, healed, probe.ask("status"), probe.text()
        finally:
            probe.close()
            t.close()

    def early(self, why):
        early, healed, status, text = self.outcomes[why].result(90)
        return early, healed, status, text

    def test_each_broken_transmitter_is_one_clear_error_and_permits_nothing(self):
        for why in pr.setups():
            early = self.early(why)[0]
            with self.subTest(why):
                self.assertFalse(early["streaming"])
                self.assertIn(early["standing"], ("unknown", "stale"))
                self.assertTrue(early["problem"] or early["text"], "nothing was said")

    def test_a_receiver_recovers_when_its_transmitter_has_healed(self):
        for why in pr.setups():
            _, healed, status, text = self.early(why)
            with self.subTest(why):
                self.assertTrue(healed, (status, text[-600:]))

    def test_no_token_is_sent_or_asked_for_before_the_metadata_is_believed(self):
        for why, (place, _) in pr.setups().items():
            if place == "metadata":
                early = self.early(why)[0]
                with self.subTest(why):
                    self.assertEqual((early["tokens_sent"], early["token_requests"]), (0, 0))


def setUpModule():
    """The faults of Setup run beside everything else: most of their time is waiting."""
    Setup.begin()


def tearDownModule():
    Setup.pool.shutdown(cancel_futures=True)
    shutil.rmtree(Setup.folder, True)


class Poll(Base):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.t, cls.probe = cls.pair()
        cls.probe.start().streaming()

    def rejected(self, token, jti, codes, why=None):
        self.t.send(token, jti)
        harness.wait_for(lambda: jti in self.t.errors or jti in self.t.settled, 5, why=f"{why}: an answer")
        self.assertIn(jti, self.t.errors, f"{why} was acknowledged")
        error = self.t.errors[jti]
        self.assertIn(error["err"], codes, why)
        self.assertTrue(error["description"], why)

    def acked(self, token, jti=None, seconds=5):
        jti = self.t.send(token, jti)
        harness.wait_for(lambda: jti in self.t.settled, seconds, why="the acknowledgement")
        self.assertNotIn(jti, self.t.errors)
        return jti

    def known(self):
        mission_id, _ = self.t.mission()
        harness.wait_for(lambda: self.probe.standing(mission_id) == "active", 8, why="the mission is permitted")
        return mission_id

    def test_the_create_request_has_what_a_receiver_supplies_and_nothing_else(self):
        body = json.loads(next(r for r in self.t.seen("/streams") if r["method"] == "POST")["body"])
        self.assertLessEqual(set(body), {"delivery", "events_requested", "description", "mission_capabilities_supported"})
        self.assertTrue(body["events_requested"])
        self.assertLessEqual(set(body["events_requested"]), set(p.MISSION_TYPES))

    def test_metadata_is_fetched_by_get_and_without_a_token(self):
        first = self.t.log[0]
        self.assertEqual((first["method"], first["path"]), ("GET", "/.well-known/ssf-configuration"))
        self.assertNotIn("authorization", first["headers"])

    def test_verification_carries_a_random_state(self):
        states = [json.loads(r["body"]).get("state") for r in self.t.seen("/verify")]
        self.assertTrue(states and all(isinstance(s, str) and len(s) >= 16 for s in states))
        self.assertEqual(len(set(states)), len(states))

    def test_status_and_verification_name_the_stream(self):
        ident, = self.t.streams
        self.assertTrue(self.t.seen("/status"))
        for r in self.t.seen("/status"):
            asked = json.loads(r["body"]) if r["body"] else dict(urllib.parse.parse_qsl(r["query"]))
            self.assertEqual(asked.get("stream_id"), ident)
        for r in self.t.seen("/verify"):
            self.assertEqual(json.loads(r["body"]).get("stream_id"), ident)

    def test_one_token_serves_many_requests(self):
        self.assertLessEqual(len(self.t.seen("/token")), 2)

    def test_forged_and_broken_sets_are_refused_with_their_code(self):
        t, mission_id = self.t, self.known()
        good = t.mission_claims(mission_id, 2, "revoked")
        stranger = p.make_key()

        def signed(name="j", **changes):
            claims = {**good, "jti": secrets.token_urlsafe(8), **changes}
            return t.sign({k: v for k, v in claims.items() if v is not None}), claims["jti"] or name
        small = p.make_key("1024")
        unsigned = p.b64('{"alg":"none","typ":"secevent+jwt"}') + "." + p.b64(json.dumps(good)) + "."
        mac = p.sign(p.jwk.JWK(kty="oct", k=p.b64(t.key.export_to_pem())), good, "HS256", typ="secevent+jwt",
                     kid=t.key.get("kid"))
        token = t.sign(good)
        head, body, signature = token.split(".")
        bad_form = {
            "typ JWT": t.sign(good, typ="JWT"), "no typ": t.sign(good, typ=None), "alg none": unsigned, "a MAC": mac,
            "no token": "x", "empty": "", "two parts": head + "." + body, "padded": token + "=",
            "no body": head + ".." + signature}
        for why, forged in bad_form.items():
            self.rejected(forged, "form " + why, {"invalid_request", "authentication_failed", "invalid_key"}, why)
        for why, forged in {
                "a stranger's signature": t.sign(good, stranger, kid=t.key.get("kid")),
                "a cut signature": token[:-8], "another body": head + "." + p.b64(json.dumps({**good, "x": 1})) + "."
                + signature, "a short key": t.sign(good, small, kid=t.rsa.get("kid"))}.items():
            self.rejected(forged, "key " + why, {"authentication_failed", "invalid_key", "invalid_request"}, why)
        self.rejected(*signed(iss="https://evil.example"), {"invalid_issuer"}, "iss")
        self.rejected(*signed(iss=t.issuer + "/"), {"invalid_issuer"}, "iss with a slash")
        self.rejected(*signed(iss=None), {"invalid_request", "invalid_issuer"}, "no iss")
        self.rejected(*signed(aud="https://other.example"), {"invalid_audience"}, "aud")
        self.rejected(*signed(aud=[]), {"invalid_audience", "invalid_request"}, "aud []")
        for why, changes in {
                "sub": {"sub": "x"}, "exp": {"exp": int(time.time()) + 60}, "no iat": {"iat": None},
                "iat text": {"iat": "now"}, "no events": {"events": None}, "events empty": {"events": {}},
                "events list": {"events": []}, "event null": {"events": {p.OURS + "mission-revoked": None}},
                "two events": {"events": {**good["events"], p.SESSION_REVOKED: {}}},
                "sub_id of another": {"sub_id": {"format": "opaque", "id": "m" * 22}},
                "sub_id text": {"sub_id": "x"}}.items():
            self.rejected(*signed(**changes), {"invalid_request"}, why)
        no_jti = {k: v for k, v in good.items() if k != "jti"}
        self.rejected(t.sign(no_jti), "no jti", {"invalid_request"}, "no jti")
        twice = json.dumps(good)[:-1] + ',"aud":"x"}'
        self.rejected(p.sign(t.key, twice, typ="secevent+jwt"), "twice", {"invalid_request"}, "a claim twice")
        (event_type, event), = good["events"].items()
        doubled = f'{{"{event_type}":{json.dumps(event)},"{event_type}":{json.dumps(event)}}}'
        twice = json.dumps({**good, "events": "HERE"}).replace('"HERE"', doubled)
        self.rejected(p.sign(t.key, twice, typ="secevent+jwt"), "2 events", {"invalid_request"}, "an event twice")
        self.assertEqual(self.probe.standing(mission_id), "active")
        self.assertTrue(all(self.t.set_language), "Content-Language goes with setErrs")

    def test_a_mission_of_an_issuer_it_may_not_speak_for_is_refused(self):
        claims = self.t.mission_claims(secrets.token_urlsafe(24), 1, "active",
                                       event={"mission": {"id": "m" * 24, "issuer": "https://mas.example"}},
                                       sub_id={"format": "opaque", "id": "m" * 24})
        self.rejected(self.t.sign(claims), claims["jti"], {"access_denied", "invalid_request", "invalid_issuer"})

    def test_a_set_from_the_future_is_neither_acknowledged_nor_refused(self):
        mission_id = self.known()
        claims = self.t.mission_claims(mission_id, 2, "revoked", iat=int(time.time()) + 3600)
        self.t.send(self.t.sign(claims))
        time.sleep(1.5)
        self.assertNotIn(claims["jti"], self.t.settled)
        self.assertNotIn(claims["jti"], self.t.errors)
        self.assertEqual(self.probe.standing(mission_id), "active")
        with self.t.lock:
            self.t.outbox.clear()

    def test_every_allowed_algorithm_is_taken(self):
        for key in (self.t.key, self.t.rsa):
            mission_id = secrets.token_urlsafe(24)
            self.t.missions[mission_id] = ("active", 1)
            self.acked(self.t.sign(self.t.mission_claims(mission_id, 1, "active"), key))

    def test_unknown_claims_and_members_are_ignored(self):
        mission_id = secrets.token_urlsafe(24)
        self.t.missions[mission_id] = ("active", 1)
        self.acked(self.t.sign(self.t.mission_claims(mission_id, 1, "active", surprise=[1], event={"more": {"a": 1}})))
        harness.wait_for(lambda: self.probe.standing(mission_id) == "active", 8)

    def test_an_audience_among_others_is_ours(self):
        mission_id = secrets.token_urlsafe(24)
        self.t.missions[mission_id] = ("active", 1)
        self.acked(self.t.sign(self.t.mission_claims(mission_id, 1, "active", aud=["https://x.example", lt.AUDIENCE])))

    def test_a_known_jti_is_acknowledged_and_not_processed_again(self):
        mission_id = self.known()
        token = self.t.sign(self.t.mission_claims(mission_id, 2, "revoked"))
        jti = self.acked(token)
        harness.wait_for(lambda: self.probe.standing(mission_id) == "revoked", 5)
        self.t.settled.clear()
        self.acked(token, jti)
        journal = (self.probe.folder / "journal").read_text()
        self.assertEqual(journal.count(f"change {mission_id} 2 "), 1)

    def test_events_that_nobody_handles_are_acknowledged(self):
        for event_type, subject in (
                (p.SESSION_REVOKED, {"format": "email", "email": "a@example.com"}),
                (p.CREDENTIAL_CHANGE, {"format": "iss_sub", "iss": "https://i.example", "sub": "a"}),
                (p.RISC + "sessions-revoked", {"format": "opaque", "id": "x"}),
                ("https://nobody.example/event", {"format": "email", "email": "a@example.com"})):
            event = {"event_timestamp": 1, "credential_type": "password", "change_type": "update",
                     "reason_admin": {"en": "x"}}
            self.acked(self.t.sign(self.t.claims(event_type, event, subject)))

    def test_an_inner_subject_that_disagrees_is_refused(self):
        event = {"reason_admin": {"en": "x"}, "subject": {"format": "email", "email": "b@example.com"}}
        claims = self.t.claims(p.SESSION_REVOKED, event, {"format": "email", "email": "a@example.com"})
        self.rejected(self.t.sign(claims), claims["jti"], {"invalid_request"})

    def test_a_verification_of_another_state_or_stream_is_answered_invalid_state(self):
        claims = self.t.stream_event(p.VERIFICATION, {"state": "nobody asked for this"})
        self.rejected(self.t.sign(claims), claims["jti"], {"invalid_state"})
        claims = self.t.claims(p.VERIFICATION, {"state": "x"}, {"format": "opaque", "id": "another stream"})
        self.rejected(self.t.sign(claims), claims["jti"], {"invalid_request", "invalid_state"})

    def test_an_older_version_changes_nothing(self):
        mission_id = self.known()
        self.t.missions[mission_id] = ("revoked", 2)
        self.acked(self.t.sign(self.t.mission_claims(mission_id, 2, "revoked")))
        harness.wait_for(lambda: self.probe.standing(mission_id) == "revoked", 5)
        self.acked(self.t.sign(self.t.mission_claims(mission_id, 1, "active")))
        self.acked(self.t.sign(self.t.mission_claims(mission_id, 3, "active")))
        self.assertEqual(self.probe.standing(mission_id), "revoked")

    def test_a_gap_is_not_relied_on_until_status_has_spoken(self):
        mission_id = self.known()
        self.t.faults["mission_status"] = lt.status_of(500)
        self.acked(self.t.sign(self.t.mission_claims(mission_id, 5, "active")))
        self.assertNotEqual(self.probe.standing(mission_id), "active")
        self.t.missions[mission_id] = ("active", 5)
        del self.t.faults["mission_status"]
        harness.wait_for(lambda: self.probe.ask("resolve " + mission_id)["standing"] == "active", 10)

    def test_status_answers_that_prove_nothing_are_not_believed(self):
        faults = {"another issuer": {"issuer": "https://evil.example"}, "another mission": {"id": "m" * 24},
                  "no version": {"version": "x"}}
        try:
            for why, change in faults.items():
                mission_id = secrets.token_urlsafe(24)
                self.t.missions[mission_id] = ("active", 1)
                self.t.status_changes = change
                self.assertNotEqual(self.probe.ask("resolve " + mission_id, 20)["standing"], "active", why)
        finally:
            self.t.status_changes = {}
        for why, fault in {"HTML": lt.html, "redirect": lt.redirect_to("https://elsewhere.example/"),
                           "nothing": lt.nothing, "empty": lt.status_of(200)}.items():
            self.t.faults["mission_status"] = fault
            mission_id = secrets.token_urlsafe(24)
            self.t.missions[mission_id] = ("active", 1)
            self.assertNotEqual(self.probe.ask("resolve " + mission_id, 20)["standing"], "active", why)
            del self.t.faults["mission_status"]

    def test_poll_answers_that_are_none_lose_nothing(self):
        for why, fault in {"HTML": lt.html, "broken": lt.broken_json, "cut": lt.truncated, "nothing": lt.nothing,
                           "sets is a list": lt.other({"sets": []}), "a set is a number": lt.other({"sets": {"j": 5}}),
                           "500": lt.status_of(500), "redirect": lt.redirect_to("https://elsewhere.example/")}.items():
            mission_id = secrets.token_urlsafe(24)
            self.t.missions[mission_id] = ("revoked", 1)
            self.t.faults["poll"] = fault
            jti = self.t.send(self.t.sign(self.t.mission_claims(mission_id, 1, "active")))
            time.sleep(0.25)
            self.assertNotIn(jti, self.t.settled, why)
            del self.t.faults["poll"]
            harness.wait_for(lambda jti=jti: jti in self.t.settled, 25, why=why + ": it goes on")
        self.probe.streaming()

    def test_a_token_that_was_forgotten_is_asked_for_again(self):
        self.t.tokens.clear()
        mission_id = secrets.token_urlsafe(24)
        self.t.missions[mission_id] = ("active", 1)
        self.acked(self.t.sign(self.t.mission_claims(mission_id, 1, "active")), seconds=25)


class Push(Base):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.t, cls.probe = cls.pair("push")
        cls.probe.start()
        harness.wait_for(lambda: cls.t.verify_state, 15, why="the receiver verifies its stream")
        harness.wait_for(lambda: cls.t.push_set(cls.t.beat()).status == 202, 10)
        cls.probe.streaming()

    def test_a_good_set_and_its_repetition_are_202_and_empty(self):
        mission_id = secrets.token_urlsafe(24)
        self.t.missions[mission_id] = ("revoked", 2)
        for version, state in ((1, "active"), (2, "revoked")):
            token = self.t.sign(self.t.mission_claims(mission_id, version, state))
            for _ in range(2):
                answer = self.t.push_set(token)
                self.assertEqual((answer.status, answer.body), (202, b""))
        self.assertEqual(self.probe.standing(mission_id), "revoked")

    def refused(self, token, codes, why):
        answer = self.t.push_set(token)
        self.assertEqual(answer.status, 400, (why, answer))
        self.assertTrue(answer.headers["content-type"].startswith("application/json"), why)
        self.assertTrue(answer.headers.get("content-language", "").startswith("en"), why)
        body = answer.json()
        self.assertEqual(set(body), {"err", "description"}, why)
        self.assertIn(body["err"], codes, why)

    def test_each_fault_of_a_push_is_400_with_its_code_and_a_language(self):
        t = self.t
        good = t.mission_claims(secrets.token_urlsafe(24), 1, "active")
        key_faults = {"authentication_failed", "invalid_key", "invalid_request"}
        self.refused("x", {"invalid_request"}, "no token")
        self.refused("", {"invalid_request"}, "empty")
        self.refused(t.sign(good, typ="JWT"), {"invalid_request"}, "typ")
        self.refused(t.sign(good)[:-6], key_faults, "cut")
        self.refused(t.sign(good, p.make_key(), kid=t.key.get("kid")), key_faults, "stranger")
        self.refused(t.sign({**good, "iss": "https://evil.example"}), {"invalid_issuer"}, "iss")
        self.refused(t.sign({**good, "aud": "https://evil.example"}), {"invalid_audience"}, "aud")
        self.refused(t.sign({**good, "sub": "x"}), {"invalid_request"}, "sub")
        self.refused(t.sign({**good, "exp": 1}), {"invalid_request"}, "exp")
        self.refused(t.sign({**good, "events": {}}), {"invalid_request"}, "events")
        self.refused(t.sign(t.stream_event(p.VERIFICATION, {"state": "wrong"})), {"invalid_state"}, "state")

    def test_a_wrong_authorization_is_401_and_a_wrong_type_is_refused(self):
        token = self.t.sign(self.t.mission_claims(secrets.token_urlsafe(24), 1, "active"))
        self.assertEqual(self.t.push_set(token, authorization="Bearer wrong").status, 401)
        self.assertEqual(self.t.push_set(token, authorization="").status, 401)
        self.assertIn(self.t.push_set(token, content_type="text/plain").status, (400, 415))

    def test_other_methods_and_places_are_refused(self):
        self.assertEqual(self.t.push_set(None, method="GET").status, 405)
        self.assertEqual(self.t.push_set("x", path="/elsewhere").status, 404)

    def test_a_set_beyond_the_limit_is_413(self):
        with_text = self.t.sign(self.t.claims(p.SESSION_REVOKED, {"x": "y" * 3_000_000},
                                              {"format": "opaque", "id": "x"}))
        try:
            self.assertEqual(self.t.push_set(with_text).status, 413)
        except OSError:
            pass  # closed before we had sent it all

    def test_a_set_from_the_future_is_503(self):
        claims = self.t.mission_claims(secrets.token_urlsafe(24), 1, "active", iat=int(time.time()) + 3600)
        self.assertEqual(self.t.push_set(self.t.sign(claims)).status, 503)

    def test_an_unknown_key_waits_until_the_keys_may_be_fetched_again(self):
        fresh = p.make_key()
        token = self.t.sign(self.t.mission_claims(secrets.token_urlsafe(24), 1, "active"), fresh)
        answers = [self.t.push_set(token).status for _ in range(5)]
        self.assertLessEqual(set(answers), {400, 503})
        self.assertLessEqual(len(self.t.seen("/jwks.json")), 4)

    def test_plain_http_gets_nothing_and_old_tls_is_refused(self):
        import socket
        import ssl
        with socket.create_connection(("127.0.0.1", self.probe.port), timeout=5) as s:
            s.sendall(b"POST /push HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
            try:
                self.assertNotIn(b" 202 ", s.recv(4096))
            except OSError:
                pass
        context = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
        self.assertTrue(context.maximum_version)
        with socket.create_connection(("127.0.0.1", self.probe.port), timeout=5) as raw:
            with context.wrap_socket(raw, server_hostname="localhost") as s:
                self.assertEqual(s.version(), "TLSv1.3")
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
        with socket.create_connection(("127.0.0.1", self.probe.port), timeout=5) as raw:
            with context.wrap_socket(raw, server_hostname="localhost") as s:
                self.assertEqual(s.version(), "TLSv1.2")


class Restart(Base):
    def test_a_stream_is_made_once_and_adopted_after_a_restart(self):
        t, probe = self.pair()
        probe.start().streaming()
        mission_id, jti = t.mission()
        harness.wait_for(lambda: jti in t.settled, 5)
        probe.close()
        t.missions[mission_id] = ("revoked", 2)
        t.send(t.sign(t.mission_claims(mission_id, 2, "revoked")))
        probe.start().streaming()
        harness.wait_for(lambda: probe.standing(mission_id) == "revoked", 10)
        self.assertEqual(sum(r["method"] == "POST" for r in t.seen("/streams")), 1)
        self.assertEqual(len(t.streams), 1)

    def test_a_stream_whose_aud_has_changed_is_not_used(self):
        t, probe = self.pair()
        probe.start().streaming()
        probe.close()
        t.create_changes = {"aud": "https://somebody.else.example"}
        probe.start()
        time.sleep(3)
        self.assertFalse(probe.ask("status")["streaming"])

    def test_a_stream_read_or_changed_that_names_another_issuer_is_not_used(self):
        for place in ("list", "update"):
            with self.subTest(place):
                t, probe = self.pair()
                probe.start().streaming()
                probe.close()
                for stream in t.streams.values():  # not what was asked for: the receiver has a reason to PATCH
                    stream["events_requested"] = p.MISSION_TYPES[:1]

                def other(h, good):
                    body = json.loads(good[2])
                    for stream in body if isinstance(body, list) else [body]:
                        stream["iss"] = "https://evil.example"
                    lt.answer(h, good[0], good[1], json.dumps(body).encode())
                t.faults[place] = other
                probe.start()
                harness.wait_for(lambda probe=probe: "another issuer" in probe.ask("status")["problem"], 10,
                                 why="the refusal")
                self.assertFalse(probe.ask("status")["streaming"])
                t.faults.clear()
                probe.streaming()

    def test_the_scopes_asked_for_are_those_of_the_protected_resource(self):
        t, probe = self.pair(before=lambda t: setattr(t, "resource", {
            "scopes_supported": ["ssf.manage", "zebra"], "authorization_servers": [t.issuer]}))
        probe.start().streaming()
        asked = dict(urllib.parse.parse_qsl(t.seen("/token")[0]["body"].decode()))
        self.assertEqual(asked["scope"], "ssf.manage")

    def test_a_key_below_2048_bits_proves_nothing_though_it_is_published(self):
        short = p.make_key("1024")
        t, probe = self.pair(before=lambda t: t.keys.append(short))
        probe.start().streaming()
        mission_id, _ = t.mission()
        harness.wait_for(lambda: probe.standing(mission_id) == "active", 8, why="the mission is permitted")
        jti = t.send(t.sign(t.mission_claims(mission_id, 2, "revoked"), short))
        last = t.send(t.sign(t.claims(p.SESSION_REVOKED, {"reason_admin": {"en": "x"}},
                                      {"format": "opaque", "id": "after it"})))
        harness.wait_for(lambda: last in t.settled, 8, why="what came after it")
        self.assertNotIn(jti, t.settled)
        self.assertEqual(probe.standing(mission_id), "active")

    def test_an_event_with_a_critical_member_that_is_unknown_is_acknowledged_and_changes_nothing(self):
        t, probe = self.pair(before=lambda t: t.metadata_changes.update(
            critical_subject_members=["session", "application", "zebra"]))
        probe.start().streaming()
        mission_id, jti = t.mission()
        harness.wait_for(lambda: probe.standing(mission_id) == "active", 8)
        claims = t.mission_claims(mission_id, 2, "revoked")
        claims["sub_id"]["zebra"] = {"format": "opaque", "id": "stripes"}
        t.missions[mission_id] = ("suspended", 3)
        jti = t.send(t.sign(claims))
        harness.wait_for(lambda: jti in t.settled, 8, why="the acknowledgement")
        self.assertNotIn(jti, t.errors)
        # It is not applied: "revoked" would be the end. The mission is in doubt, and Status decides.
        harness.wait_for(lambda: probe.standing(mission_id) == "suspended", 8, why="what Status says")

    def test_an_issuer_with_a_path_is_discovered_without_a_double_slash(self):
        t = lt.LittleTransmitter(self.folder, "/tenants/one")
        self.addCleanup(t.close)
        probe = pr.Probe(self.folder, t)
        self.addCleanup(probe.close)
        probe.start().streaming()
        self.assertEqual(t.log[0]["path"], "/.well-known/ssf-configuration/tenants/one")

    def test_an_issuer_without_tls_is_refused_at_start(self):
        t, probe = self.pair()
        probe.env["PROBE_ISSUER"] = t.issuer.replace("https", "http")
        probe.start()
        harness.wait_for(lambda: not probe.process.alive(), 10, why="the refusal")
        self.assertIn("https", probe.text())
        self.assertEqual(t.log, [])

    def test_a_certificate_of_another_name_is_refused(self):
        t, probe = self.pair()
        other = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        harness.make_ca(other)  # another authority
        probe.env["PROBE_CA"] = str(other / "ca.pem")
        probe.start()
        harness.wait_for(lambda: probe.ask("status")["problem"], 15, why="the refusal")
        self.assertEqual(t.log, [])

    def test_a_new_key_is_fetched_when_a_set_names_it(self):
        t, probe = self.pair()
        probe.start().streaming()
        fresh = p.make_key()
        t.keys.append(fresh)
        mission_id = secrets.token_urlsafe(24)
        t.missions[mission_id] = ("active", 1)
        jti = t.send(t.sign(t.mission_claims(mission_id, 1, "active"), fresh))
        harness.wait_for(lambda: jti in t.settled, 45, why="the key is fetched")
        self.assertNotIn(jti, t.errors)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--build-dir", default="build/test")
    known, rest = parser.parse_known_args()
    pr.PROGRAM = pathlib.Path(known.build_dir).resolve() / "tests/system/probe_receiver"
    unittest.main(argv=[sys.argv[0], *rest])
