"""Poll delivery: RFC 8936."""
import json
import threading
import time

import peer as p
import world as w

REASON = {"reason_admin": {"en": "conformance"}}


class Poll(w.Case):
    def fill(self, count, tag="n", subject=None):
        return [self.world.emit(p.SESSION_REVOKED, dict(REASON), subject, txn=f"{tag} {n}")["txn"]
                for n in range(count)]

    def offered(self, stream, **body):
        suite = self.client("suite")
        answer = self.assert_ok(suite.poll(stream, **body))
        self.assertLessEqual(set(answer), {"sets", "moreAvailable"})
        claims = [suite.read_set(stream, t) for t in answer["sets"].values()]
        self.assertEqual([c["jti"] for c in claims], list(answer["sets"]))
        return [c for c in claims if not p.is_heartbeat(c)], answer

    def until(self, stream, count, **body):
        """What is offered until there are `count`: one poll may come between two of them."""
        got = {}

        def poll():
            for claims in self.offered(stream, **body)[0]:
                got.setdefault(claims["jti"], claims)
            return list(got.values()) if len(got) >= count else None
        return w.harness.wait_for(poll, why=f"{count} SETs")

    def test_nothing_to_send_is_an_empty_object_at_once(self):
        stream = self.stream("suite", [])
        self.calm(stream)
        begun = time.monotonic()
        answer = self.client("suite").poll(stream, maxEvents=10)
        self.assertEqual(self.assert_ok(answer)["sets"], {})
        self.assertLess(time.monotonic() - begun, 1)

    def test_no_body_is_an_empty_object_and_waits(self):
        stream, suite = self.stream("suite", [p.SESSION_REVOKED]), self.client("suite")
        self.calm(stream)
        self.fill(1)
        answer = suite("POST", "/ssf/poll/" + stream["stream_id"])
        self.assertEqual(len(self.assert_ok(answer)["sets"]), 1)

    def test_poll_only_offers_again_what_is_not_acknowledged_with_the_same_claims(self):
        stream = self.stream("suite", [p.SESSION_REVOKED])
        self.fill(2)
        first = self.until(stream, 2)
        self.assertEqual(self.offered(stream)[0], [])  # not before the redelivery time
        again = self.until(stream, 2)

        def shown(got):
            return {c["jti"]: {k: v for k, v in c.items() if k != "_token"} for c in got}
        self.assertEqual(shown(first), shown(again))

    def test_ack_only_takes_acknowledgements_and_offers_nothing(self):
        stream = self.stream("suite", [p.SESSION_REVOKED])
        self.fill(2)
        got = self.until(stream, 2)
        self.assertEqual(self.offered(stream, maxEvents=0, ack=[c["jti"] for c in got])[1]["sets"], {})
        self.assertEqual(self.client("suite").quiet(stream, 1.4), [])

    def test_poll_and_ack_goes_on_with_what_is_next(self):
        stream = self.stream("suite", [p.SESSION_REVOKED])
        self.calm(stream)
        txns = self.fill(3)
        got = self.until(stream, 1, maxEvents=1)
        for txn in txns[1:]:
            got = self.offered(stream, maxEvents=1, ack=[got[0]["jti"]])[0]
            self.assertEqual([c["txn"] for c in got], [txn])
        self.assertEqual(self.offered(stream, ack=[got[0]["jti"]])[0], [])

    def test_max_events_bounds_the_answer_and_more_is_announced(self):
        stream = self.stream("suite", [p.SESSION_REVOKED])
        self.calm(stream)
        txns = self.fill(5)
        got, answer = self.offered(stream, maxEvents=2)
        self.assertEqual([c["txn"] for c in got], txns[:2])
        self.assertIs(answer.get("moreAvailable"), True)
        got2, answer = self.offered(stream, maxEvents=100, ack=[c["jti"] for c in got])
        self.assertEqual([c["txn"] for c in got2], txns[2:])
        self.assertFalse(answer.get("moreAvailable", False))

    def test_a_long_poll_is_woken_by_a_signal(self):
        stream, suite = self.stream("suite", [p.SESSION_REVOKED]), self.client("suite")
        self.calm(stream)
        answers, head = [], suite.bearer()
        waiting = p.Https(self.world.port, self.world.ca)
        begun = time.monotonic()
        thread = threading.Thread(target=lambda: answers.append(
            (waiting("POST", "/ssf/poll/" + stream["stream_id"], {}, head), time.monotonic() - begun)))
        thread.start()
        time.sleep(0.4)
        self.fill(1, "woken")
        thread.join(10)
        answer, took = answers[0]
        self.assertEqual([suite.read_set(stream, t)["txn"] for t in answer.json()["sets"].values()], ["woken 0"])
        self.assertLess(took, 2)

    def test_errors_of_validation_are_taken_and_the_set_is_tried_again(self):
        stream = self.stream("suite", [p.SESSION_REVOKED])
        self.fill(1)
        first = self.until(stream, 1)[0]
        errors = {first["jti"]: {"err": "authentication_failed", "description": "the key could not be found"}}
        self.assert_ok(self.client("suite").poll(stream, setErrs=errors, maxEvents=0))
        again = w.harness.wait_for(lambda: self.offered(stream)[0], 20, why="the SET is offered again")
        self.assertEqual(again[0]["jti"], first["jti"])

    def test_unknown_jtis_are_ignored(self):
        stream = self.stream("suite", [p.SESSION_REVOKED])
        body = {"ack": ["never", "x" * 255], "setErrs": {"nor this": {"err": "invalid_key", "description": "x"}}}
        self.assert_ok(self.client("suite").poll(stream, **body))

    def test_wrong_bodies_are_400(self):
        stream = self.stream("suite", [p.SESSION_REVOKED])
        for body in ({"ack": "x"}, {"ack": {}}, {"ack": [1]}, {"ack": [None]}, {"ack": [["x"]]}, {"maxEvents": -1},
                     {"maxEvents": "1"}, {"maxEvents": 1.5}, {"maxEvents": True}, {"maxEvents": []},
                     {"returnImmediately": 1}, {"returnImmediately": "true"}, {"setErrs": []}, {"setErrs": {"j": 1}},
                     {"setErrs": {"j": []}}, {"setErrs": {"j": {"err": 5}}}, {"ack": ["x"] * 10_001}):
            self.assert_error(self.client("suite")("POST", "/ssf/poll/" + stream["stream_id"], json.dumps(body)), 400,
                              why=str(body)[:60])

    def test_a_push_stream_is_not_polled(self):
        endpoint = self.endpoint()
        stream = self.push_stream("suite", endpoint, [p.SESSION_REVOKED])
        self.assert_error(self.client("suite").poll(stream), 404)

    def test_every_set_has_a_jti_of_its_own_and_a_txn_per_event(self):
        one, two = self.stream("suite", [p.SESSION_REVOKED]), self.stream("static", [p.SESSION_REVOKED])
        txns = self.fill(3, "unique")
        got = self.client("suite").drain(one, lambda seen: len(seen) >= 3)
        got += self.client("static").drain(two, lambda seen: len(seen) >= 3)
        self.assertEqual(len({c["jti"] for c in got}), 6)
        self.assertEqual([c["txn"] for c in got], txns + txns)
        self.assertEqual({c["aud"] for c in got}, {"https://suite.example", "https://static.example"})

    def test_signals_of_one_commit_have_its_second(self):
        stream = self.stream("suite", [p.SESSION_REVOKED])
        before = int(time.time())
        self.fill(1)
        claims = self.until(stream, 1)[0]
        self.assertTrue(before <= claims["iat"] <= time.time())
