"""Verification and heartbeats: SSF 1.0 section 8.1.4."""
import calendar
import time

import peer as p
import world as w

REASON = {"reason_admin": {"en": "conformance"}}


class Verify(w.Case):
    def verify(self, stream, client="suite", **more):
        return self.client(client)("POST", "/ssf/verify", {"stream_id": stream["stream_id"], **more})

    def test_the_state_comes_back_as_it_was_sent(self):
        stream, suite = self.stream("suite", [p.SESSION_REVOKED]), self.client("suite")
        for state in ("x", "VGhpcyBpcyBhbiBleGFtcGxl", "ein Zustand mit ümläuten, \U0001F511 and \"quotes\" \\ /", "1" * 1024):
            self.assert_empty(self.verify(stream, state=state), 204)
            got = suite.drain(stream, lambda seen: any("state" in c["_event"] for c in seen))
            self.assertEqual([c["_event"]["state"] for c in got if "state" in c["_event"]], [state])
            self.assertEqual(got[-1]["_alg"], "RS256")

    def test_without_a_state_a_verification_comes_all_the_same(self):
        stream, suite = self.stream("suite", [p.SESSION_REVOKED]), self.client("suite")
        self.assert_empty(self.verify(stream), 204)
        got = suite.drain(stream, lambda seen: any(c["_type"] == p.VERIFICATION for c in seen), heartbeats=True)
        self.assertNotIn("state", got[-1]["_event"])

    def test_wrong_bodies_are_400(self):
        stream = self.stream("suite", [p.SESSION_REVOKED])
        for state in (5, None, [], {}, True, "x" * 1025):
            answer = self.verify(stream, state=state)
            self.assertEqual(answer.status, 400 if state is not None else answer.status, state)
        self.assert_error(self.client("suite")("POST", "/ssf/verify", {"state": "x"}), 400)
        self.assert_error(self.client("suite")("POST", "/ssf/verify", {"stream_id": "none"}), 404)

    def test_a_stream_that_is_not_enabled_is_not_verified(self):
        stream = self.stream("suite", [p.SESSION_REVOKED])
        for status in ("paused", "disabled"):
            self.client("suite")("POST", "/ssf/status", {"stream_id": stream["stream_id"], "status": status})
            self.assert_error(self.verify(stream, state="x"), 400, why=status)

    def test_the_verification_jumps_the_queue_of_a_stream_without_lifecycle_change(self):
        stream, suite = self.stream("suite", [p.SESSION_REVOKED]), self.client("suite")
        self.calm(stream)
        for n in range(5):
            self.world.emit(p.SESSION_REVOKED, dict(REASON), txn=f"queued {n}")
        self.verify(stream, state="first")
        answer = suite.poll(stream, maxEvents=1).json()
        claims = [suite.read_set(stream, t) for t in answer["sets"].values()]
        self.assertEqual([c["_type"] for c in claims], [p.VERIFICATION])
        self.assertTrue(answer.get("moreAvailable"))

    def test_a_pushed_verification_arrives_within_a_second(self):
        endpoint = self.endpoint()
        stream = self.push_stream("suite", endpoint, [p.SESSION_REVOKED], authorization_header="Bearer v")
        begun = time.monotonic()
        self.assert_empty(self.verify(stream, state="pushed"), 204)
        request, claims = endpoint.next(self.client("suite"), stream, lambda c: c["_event"].get("state") == "pushed")
        self.assertLess(request["at"] - begun, 1.5)
        self.assertEqual(claims["_alg"], "RS256")

    def test_a_verification_has_the_same_jti_until_it_is_settled(self):
        stream, suite = self.stream("suite", [p.SESSION_REVOKED]), self.client("suite")
        self.verify(stream, state="kept")

        def offered():
            return [j for j, t in suite.poll(stream).json()["sets"].items()
                    if suite.read_set(stream, t)["_event"].get("state") == "kept"]
        first = w.harness.wait_for(offered)
        again = w.harness.wait_for(offered)
        self.assertEqual(first, again)
        suite.poll(stream, ack=first)
        self.assertEqual([c for c in suite.quiet(stream, 1.3) if c["_event"].get("state") == "kept"], [])

    def test_heartbeats_come_by_themselves_without_a_state_and_only_one_is_pending(self):
        stream, suite = self.stream("suite", [p.SESSION_REVOKED]), self.client("suite")
        got = suite.drain(stream, lambda seen: sum(p.is_heartbeat(c) for c in seen) >= 2, heartbeats=True)
        beats = [c for c in got if p.is_heartbeat(c)]
        for beat in beats:
            event = beat["_event"]
            self.assertNotIn("state", event)
            self.assertRegex(event["as_of"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
            self.assertIs(type(event["continuity"]), int)
            self.assertTrue(event["log_epoch"])
        self.assertLess(beats[0]["_event"]["as_of"], beats[1]["_event"]["as_of"])
        self.assertNotEqual(beats[0]["jti"], beats[1]["jti"])
        time.sleep(4.5)  # more than two of them are due
        waiting = [suite.read_set(stream, t) for t in suite.poll(stream).json()["sets"].values()]
        self.assertEqual(sum(p.is_heartbeat(c) for c in waiting), 1)

    def test_a_heartbeat_waits_until_what_it_speaks_for_is_settled(self):
        stream, suite = self.stream("suite", [p.SESSION_REVOKED]), self.client("suite")
        suite.drain(stream, lambda seen: any(p.is_heartbeat(c) for c in seen), heartbeats=True)
        self.world.emit(p.SESSION_REVOKED, dict(REASON), txn="unsettled")
        committed, end = time.time(), time.monotonic() + 5
        held = None
        while time.monotonic() < end:
            claims = [suite.read_set(stream, t) for t in suite.poll(stream).json()["sets"].values()]
            beats = [c for c in claims if p.is_heartbeat(c)]
            held = next((c["jti"] for c in claims if c["txn"] == "unsettled"), held)
            for beat in beats:
                stamp = time.strptime(beat["_event"]["as_of"][:19], "%Y-%m-%dT%H:%M:%S")
                self.assertLessEqual(calendar.timegm(stamp), committed)
                suite.poll(stream, ack=[beat["jti"]], maxEvents=0)
            time.sleep(0.2)
        suite.poll(stream, ack=[held], maxEvents=0)
        suite.drain(stream, lambda seen: any(p.is_heartbeat(c) for c in seen), heartbeats=True)


class Interval(w.unittest.TestCase):
    """A transmitter with an interval between verifications, a time of inactivity and a grace for removed subjects."""

    @classmethod
    def setUpClass(cls):
        entries = {"suite": dict(audience="https://suite.example", scopes=["ssf.read", "ssf.manage"],
                                 events=[p.SESSION_REVOKED]),
                   "emitter": dict(audience="https://e.example", scopes=["signals.emit"], signals_to="all")}
        cls.world = w.World(w.Case.build, entries=entries, ssf={
            "min_verification_interval": 2, "inactivity_timeout": 3, "default_subjects": "NONE",
            "subject_removal_grace_seconds": 2})
        cls.addClassCleanup(cls.world.stop)
        cls.world.start()

    def test_too_early_a_verification_is_429_and_the_wait_is_named(self):
        suite = self.world["suite"]
        stream = suite.create([p.SESSION_REVOKED])
        self.addCleanup(suite.delete, stream)
        self.assertEqual(stream["min_verification_interval"], 2)
        body = {"stream_id": stream["stream_id"], "state": "x"}
        self.assertEqual(suite("POST", "/ssf/verify", body).status, 204)
        early = suite("POST", "/ssf/verify", body)
        w.Case.assert_error(self, early, 429)
        self.assertLessEqual(int(early.headers["retry-after"]), 2)
        time.sleep(2.1)
        self.assertEqual(suite("POST", "/ssf/verify", body).status, 204)

    def test_a_stream_that_nobody_asks_after_is_paused_and_told_so(self):
        suite = self.world["suite"]
        stream = suite.create([p.SESSION_REVOKED])
        self.addCleanup(suite.delete, stream)
        self.assertEqual(stream["inactivity_timeout"], 3)
        for _ in range(4):  # each call begins the time anew
            time.sleep(1.2)
            self.assertEqual(suite("GET", "/ssf/status?stream_id=" + stream["stream_id"]).json()["status"], "enabled")
        time.sleep(4)
        sets = w.harness.wait_for(lambda: suite.poll(stream).json()["sets"], 5)
        claims = [suite.read_set(stream, t) for t in sets.values()]
        self.assertEqual([(c["_type"], c["_event"]["status"]) for c in claims], [(p.UPDATED, "paused")])
        self.assertTrue(claims[0]["_event"]["reason"])
        status = suite("GET", "/ssf/status?stream_id=" + stream["stream_id"]).json()
        self.assertEqual(status["status"], "paused")
        self.assertTrue(status["reason"])
        back = suite("POST", "/ssf/status", {"stream_id": stream["stream_id"], "status": "enabled"})
        self.assertEqual(back.json()["status"], "enabled")

    def test_a_removed_subject_is_heard_of_for_the_grace_and_then_no_more(self):
        suite = self.world["suite"]
        stream = suite.create([p.SESSION_REVOKED])
        self.addCleanup(suite.delete, stream)
        subject = {"format": "email", "email": "alice@example.com"}
        body = {"stream_id": stream["stream_id"], "subject": subject}
        suite("POST", "/ssf/subjects/add", body)
        self.assertEqual(suite("POST", "/ssf/subjects/remove", body).status, 204)
        self.world.emit(p.SESSION_REVOKED, dict(REASON), subject, txn="in the grace")
        suite.drain(stream, lambda seen: any(c["txn"] == "in the grace" for c in seen))
        end = time.monotonic() + 3
        while time.monotonic() < end:  # stay active meanwhile
            suite("GET", "/ssf/status?stream_id=" + stream["stream_id"])
            time.sleep(0.5)
        self.world.emit(p.SESSION_REVOKED, dict(REASON), subject, txn="after it")
        self.assertNotIn("after it", [c["txn"] for c in suite.quiet(stream, 0.6)])
