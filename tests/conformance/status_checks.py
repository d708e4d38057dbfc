"""Status of streams: SSF 1.0 sections 8.1.2 and 8.1.5; what an operator does to them."""
import threading
import time

import peer as p
import world as w

REASON = {"reason_admin": {"en": "conformance"}}


class Status(w.Case):
    def get(self, stream, client="suite"):
        return self.client(client)("GET", "/ssf/status?stream_id=" + stream["stream_id"])

    def set(self, stream, status, client="suite", **more):
        return self.client(client)("POST", "/ssf/status", {"stream_id": stream["stream_id"], "status": status, **more})

    def admin(self, verb, stream, **body):
        return self.client("operator")("POST", f"/admin/streams/{stream['stream_id']}/{verb}", body)

    def test_a_new_stream_is_enabled_and_each_status_can_be_set_and_read(self):
        stream = self.stream("suite", [p.SESSION_REVOKED])
        got = self.assert_ok(self.get(stream))
        self.assertEqual((got["stream_id"], got["status"]), (stream["stream_id"], "enabled"))
        for status in ("paused", "disabled", "enabled", "disabled", "paused", "enabled", "enabled"):
            want = {"stream_id": stream["stream_id"], "status": status, "reason": "because " + status}
            self.assertEqual(self.assert_ok(self.set(stream, status, reason="because " + status)), want)
            self.assertEqual(self.assert_ok(self.get(stream)), want)

    def test_wrong_bodies_are_400_and_change_nothing(self):
        stream = self.stream("suite")
        for body in ({"status": "suspended"}, {"status": "Enabled"}, {"status": 5}, {"status": None}, {"status": []},
                     {}, {"status": "paused", "reason": 5}, {"status": "paused", "reason": {}}):
            answer = self.client("suite")("POST", "/ssf/status", {"stream_id": stream["stream_id"], **body})
            self.assert_error(answer, 400, why=body)
        self.assert_error(self.client("suite")("POST", "/ssf/status", {"status": "paused"}), 400)
        self.assert_error(self.client("suite")("GET", "/ssf/status"), 400)
        self.assertEqual(self.get(stream).json()["status"], "enabled")

    def test_a_paused_stream_holds_and_sends_when_enabled(self):
        stream, suite = self.stream("suite", [p.SESSION_REVOKED]), self.client("suite")
        self.set(stream, "paused")
        for n in range(3):
            self.world.emit(p.SESSION_REVOKED, dict(REASON), txn=f"held {n}")
        self.assertEqual(suite.poll(stream).json(), {"sets": {}})
        self.assertEqual(suite.quiet(stream, 0.7), [])
        self.set(stream, "enabled")
        got = suite.drain(stream, lambda seen: sum(c["_type"] == p.SESSION_REVOKED for c in seen) == 3)
        self.assertEqual([c["txn"] for c in got if c["_type"] == p.SESSION_REVOKED], ["held 0", "held 1", "held 2"])

    def test_a_disabled_stream_neither_sends_nor_holds(self):
        stream, suite = self.stream("suite", [p.SESSION_REVOKED]), self.client("suite")
        self.set(stream, "disabled")
        self.world.emit(p.SESSION_REVOKED, dict(REASON), txn="never")
        self.assertEqual(suite.poll(stream).json(), {"sets": {}})
        self.set(stream, "enabled")
        self.world.emit(p.SESSION_REVOKED, dict(REASON), txn="later")
        got = suite.drain(stream, lambda seen: any(c["txn"] == "later" for c in seen))
        self.assertNotIn("never", [c["txn"] for c in got])

    def test_a_paused_push_stream_gets_no_request_and_no_heartbeat(self):
        endpoint = self.endpoint()
        stream = self.push_stream("suite", endpoint, [p.SESSION_REVOKED])
        self.set(stream, "paused")
        time.sleep(0.3)
        endpoint.quiet(0.05)
        self.world.emit(p.SESSION_REVOKED, dict(REASON), txn="held")
        self.assertEqual(endpoint.quiet(2.6), [])
        self.set(stream, "enabled")
        endpoint.next(self.client("suite"), stream, lambda c: c["txn"] == "held")

    def test_acknowledgements_count_while_paused(self):
        stream, suite = self.stream("suite", [p.SESSION_REVOKED]), self.client("suite")
        self.world.emit(p.SESSION_REVOKED, dict(REASON), txn="seen")
        offered = w.harness.wait_for(lambda: [j for j, t in suite.poll(stream).json()["sets"].items()
                                              if suite.read_set(stream, t)["txn"] == "seen"])
        self.set(stream, "paused")
        self.assertEqual(suite.poll(stream, ack=offered).json(), {"sets": {}})
        self.set(stream, "enabled")
        self.assertEqual([c["txn"] for c in suite.quiet(stream, 1.5) if c["txn"] == "seen"], [])

    def test_a_long_poll_on_a_paused_stream_waits_as_on_an_empty_one(self):
        stream, suite = self.stream("suite", [p.SESSION_REVOKED]), self.client("suite")
        self.set(stream, "paused")
        answers, begun = [], time.monotonic()
        waiting, head = p.Https(self.world.port, self.world.ca), suite.bearer()

        def ask():
            answers.append(waiting("POST", "/ssf/poll/" + stream["stream_id"], {}, head))
            answers.append(time.monotonic() - begun)
        thread = threading.Thread(target=ask)
        thread.start()
        time.sleep(0.8)
        self.assertEqual(answers, [])
        self.world.emit(p.SESSION_REVOKED, dict(REASON), txn="woken")
        self.set(stream, "enabled")
        thread.join(10)
        self.assertFalse(thread.is_alive())
        self.assertIn("woken", [suite.read_set(stream, t)["txn"] for t in answers[0].json()["sets"].values()])

    def test_an_operators_pause_is_told_by_stream_updated_until_acknowledged(self):
        stream, suite = self.stream("suite", [p.SESSION_REVOKED]), self.client("suite")
        self.assertEqual(self.admin("pause", stream, reason="an incident").status, 200)
        self.world.emit(p.SESSION_REVOKED, dict(REASON), txn="held")
        for _ in range(2):  # offered again until it is acknowledged; nothing else is
            jtis = w.harness.wait_for(lambda: dict(suite.poll(stream).json()["sets"]), why="stream-updated")
            claims = [suite.read_set(stream, t) for t in jtis.values()]
            self.assertEqual([(c["_type"], c["_event"]["status"]) for c in claims], [(p.UPDATED, "paused")])
            self.assertIn("an incident", claims[0]["_event"].get("reason", ""))
        suite.poll(stream, ack=list(jtis))
        self.assertEqual(suite.quiet(stream, 1.3), [])
        self.assertEqual(self.get(stream).json()["status"], "paused")
        self.assert_error(self.set(stream, "enabled"), 403)
        self.assertEqual(self.admin("enable", stream).status, 200)
        got = suite.drain(stream, lambda seen: any(c["txn"] == "held" for c in seen))
        self.assertEqual([(c["_type"], c["_event"]["status"]) for c in got[:1]], [(p.UPDATED, "enabled")])

    def test_an_operators_pause_is_pushed_before_the_stream_falls_silent(self):
        endpoint = self.endpoint()
        stream = self.push_stream("suite", endpoint, [p.SESSION_REVOKED])
        self.assertEqual(self.admin("pause", stream).status, 200)
        _, claims = endpoint.next(self.client("suite"), stream)
        self.assertEqual((claims["_type"], claims["_event"]["status"]), (p.UPDATED, "paused"))
        self.world.emit(p.SESSION_REVOKED, dict(REASON))
        self.assertEqual(endpoint.quiet(2.4), [])
        self.admin("enable", stream)
        # What was held goes beside it: pushes are several at a time.
        _, claims = endpoint.next(self.client("suite"), stream, lambda c: c["_type"] == p.UPDATED)
        self.assertEqual(claims["_event"]["status"], "enabled")

    def test_a_receivers_own_change_is_not_told_to_it(self):
        stream, suite = self.stream("suite", [p.SESSION_REVOKED]), self.client("suite")
        self.set(stream, "paused")
        self.set(stream, "enabled")
        self.assertEqual([c for c in suite.quiet(stream, 0.7) if c["_type"] == p.UPDATED], [])


class Admin(w.Case):
    def test_operators_see_every_stream_and_nobody_else_does(self):
        stream = self.stream("suite", [p.SESSION_REVOKED], description="seen by operators")
        for path in ("/admin/streams", "/admin/streams/" + stream["stream_id"]):
            self.assert_ok(self.client("operator")("GET", path))
            self.assert_error(self.client("suite")("GET", path), 403, "insufficient_scope")
        one = self.client("operator")("GET", "/admin/streams/" + stream["stream_id"]).json()
        for name in ("stream_id", "client_id", "status", "lag_signals", "lag_seconds", "held", "continuity"):
            self.assertIn(name, one)
        self.assert_error(self.client("operator")("GET", "/admin/streams/none"), 404)
        for verb in ("pause", "enable", "replay"):
            body = {"from_seq": 1} if verb == "replay" else {}
            self.assert_error(self.client("operator")("POST", f"/admin/streams/none/{verb}", body), 404)

    def test_replay_sends_the_same_event_under_the_same_jti(self):
        stream, suite = self.stream("suite", [p.SESSION_REVOKED]), self.client("suite")
        made = self.world.emit(p.SESSION_REVOKED, dict(REASON))
        first = suite.drain(stream, lambda seen: len(seen) == 1)[0]
        path = f"/admin/streams/{stream['stream_id']}/replay"
        for body in ({}, {"since": 5}, {"from_seq": "x"}, {"from_seq": -1}, {"since": "2020-01-01T00:00:00Z", "from_seq": 1},
                     {"signal_id": []}, []):
            self.assert_error(self.client("operator")("POST", path, body), 400, why=body)
        self.assertEqual(self.client("operator")("POST", path, {"signal_id": made["signal_id"]}).status // 100, 2)
        again = suite.drain(stream, lambda seen: len(seen) == 1)[0]
        self.assertEqual({k: v for k, v in first.items() if k != "_token"},
                         {k: v for k, v in again.items() if k != "_token"})

    def test_dead_letters_can_be_read_and_cleared(self):
        stream = self.stream("suite")
        path = f"/admin/streams/{stream['stream_id']}/dead"
        self.assert_ok(self.client("operator")("GET", path))
        self.assertIn(self.client("operator")("DELETE", path).status, (200, 204))
        self.assert_error(self.client("suite")("GET", path), 403)
