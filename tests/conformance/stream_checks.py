"""Creating, reading and deleting streams: SSF 1.0 sections 8.1.1, 8.1.1.1, 8.1.1.2, 8.1.1.5."""
import re

import peer as p
import world as w

EVERY_ANSWER = {"stream_id", "iss", "aud", "delivery", "events_supported", "events_requested", "events_delivered",
                "min_verification_interval"}


class Create(w.Case):
    def check(self, stream, client="suite"):
        self.assertLessEqual(EVERY_ANSWER, set(stream))
        self.assertRegex(stream["stream_id"], re.compile(r"^[A-Za-z0-9._~-]+$"))
        self.assertEqual(stream["iss"], self.world.issuer)
        self.assertIsInstance(stream["aud"], str)
        self.assertIn(stream["delivery"]["method"], (p.PUSH, p.POLL))
        self.assertTrue(stream["delivery"]["endpoint_url"].startswith("https://"))
        self.assertNotIn("authorization_header", stream["delivery"])
        self.assertEqual(set(stream["events_delivered"]),
                         set(stream["events_supported"]) & set(stream["events_requested"]))
        return stream

    def test_no_body_and_an_empty_object_make_a_poll_stream_that_delivers_nothing(self):
        for body in (None, {}, {"delivery": None, "events_requested": None, "description": None}):
            answer = self.client("suite")("POST", "/ssf/streams", body)
            stream = self.check(self.assert_ok(answer, 201))
            self.assertEqual(stream["delivery"]["method"], p.POLL)
            self.assertEqual(stream["delivery"]["endpoint_url"],
                             f"{self.world.issuer}/ssf/poll/{stream['stream_id']}")
            self.assertEqual((stream["events_delivered"], stream["events_requested"]), ([], []))
            self.client("suite").delete(stream)

    def test_what_is_requested_and_supported_is_delivered_and_the_rest_ignored(self):
        asked = [p.SESSION_REVOKED, "https://nobody.example/event", p.CREDENTIAL_CHANGE, "urn:x:y"]
        stream = self.check(self.stream("suite", asked, description="the books"))
        self.assertEqual(set(stream["events_delivered"]), {p.SESSION_REVOKED, p.CREDENTIAL_CHANGE})
        self.assertGreaterEqual(set(stream["events_requested"]), {p.SESSION_REVOKED, p.CREDENTIAL_CHANGE})
        self.assertEqual(stream["description"], "the books")
        self.assertEqual(stream["aud"], "https://suite.example")

    def test_a_push_stream_names_the_endpoint_it_was_given(self):
        url = f"https://localhost:{self.world.port}/events"
        stream = self.stream("suite", [], delivery={"method": p.PUSH, "endpoint_url": url,
                                                    "authorization_header": "Bearer between us"})
        self.check(stream)
        self.assertEqual(stream["delivery"], {"method": p.PUSH, "endpoint_url": url})

    def test_members_that_the_transmitter_supplies_are_ignored(self):
        stream = self.stream("suite", [], iss="https://evil.example", aud="https://evil.example", stream_id="mine",
                             events_delivered=[p.SESSION_REVOKED], events_supported=["x"], min_verification_interval=5,
                             inactivity_timeout=1)
        self.check(stream)
        self.assertNotEqual(stream["stream_id"], "mine")
        self.assertEqual(stream["events_delivered"], [])

    def test_each_stream_has_an_id_and_a_poll_address_of_its_own(self):
        streams = [self.stream("suite") for _ in range(5)]
        self.assertEqual(len({s["stream_id"] for s in streams}), 5)
        self.assertEqual(len({s["delivery"]["endpoint_url"] for s in streams}), 5)

    def test_one_stream_too_many_is_409(self):
        limited = self.client("limited")
        made = [limited.create() for _ in range(12)]
        try:
            self.assert_error(limited("POST", "/ssf/streams", {}), 409)
            self.assertEqual(len(limited("GET", "/ssf/streams").json()), 12)
            self.assert_empty(limited.delete(made.pop()), 204)
            made.append(limited.create())
        finally:
            for stream in made:
                limited.delete(stream)

    def test_a_description_beyond_255_octets_is_cut_at_a_character(self):
        for text in ("x" * 256, "x" * 10_000, "é" * 128):
            stream = self.stream("suite", [], description=text)
            self.assertTrue(text.startswith(stream["description"]))
            self.assertIn(len(stream["description"].encode()), (254, 255))
        self.assertEqual(self.stream("suite", [], description="x" * 255)["description"], "x" * 255)

    def test_members_of_a_wrong_type_are_400_and_make_no_stream(self):
        url = f"https://localhost:{self.world.port}/events"
        bodies = [{m: v} for m in ("delivery",) for v in (5, "x", [], True, {})]
        bodies += [{"events_requested": v} for v in (5, "x", {}, [1], [None], [[]], True)]
        bodies += [{"description": v} for v in (5, [], {}, True)]
        bodies += [{"delivery": {"method": v}} for v in (5, None, [], "", "push", "urn:ietf:rfc:0", p.PUSH.upper())]
        bodies += [{"delivery": {"method": p.PUSH, **more}} for more in (
            {}, {"endpoint_url": None}, {"endpoint_url": 5}, {"endpoint_url": []},
            {"endpoint_url": url, "authorization_header": 5}, {"endpoint_url": url, "authorization_header": ""},
            {"endpoint_url": url, "authorization_header": "a\r\nX: y"},
            {"endpoint_url": url, "authorization_header": "x\u0000"},
            {"endpoint_url": url, "authorization_header": "x" * 4097})]
        bodies += [{"mission_capabilities_supported": v} for v in (5, "authority_changed", {}, [1])]
        bodies += [{"events_requested": [f"https://x.example/{i}" for i in range(257)]}]
        for body in bodies:
            self.assert_error(self.client("suite")("POST", "/ssf/streams", body), 400, why=body)
        self.assertEqual(self.client("suite")("GET", "/ssf/streams").json(), [])

    def test_addresses_that_must_not_be_called_are_400(self):
        for url in ("http://localhost/x", "ftp://localhost/", "https://", "x", "", "https://user:pw@localhost/",
                    "https://localhost/#f", "https://10.0.0.1/x", "https://169.254.169.254/", "https://[fe80::1]/",
                    "https://[::ffff:10.0.0.1]/", "https://0.0.0.0/", "https://localhost:0/", "https://localhost:99999/",
                    "https://" + "a" * 5000 + ".example/", "https://local host/", "https://localhost/\r\nX: y"):
            body = {"delivery": {"method": p.PUSH, "endpoint_url": url}}
            self.assert_error(self.client("suite")("POST", "/ssf/streams", body), 400, why=url)
        self.assertEqual(self.client("suite")("GET", "/ssf/streams").json(), [])


class Read(w.Case):
    def test_without_an_id_comes_an_array_also_for_none_and_for_one(self):
        suite = self.client("suite")
        self.assertEqual(self.assert_ok(suite("GET", "/ssf/streams")), [])
        one = self.stream("suite", [p.SESSION_REVOKED])
        self.assertEqual(self.assert_ok(suite("GET", "/ssf/streams")), [one])
        two = self.stream("suite")
        listed = self.assert_ok(suite("GET", "/ssf/streams"))
        self.assertEqual(sorted(s["stream_id"] for s in listed), sorted([one["stream_id"], two["stream_id"]]))

    def test_with_an_id_comes_what_create_answered(self):
        stream = self.stream("suite", [p.SESSION_REVOKED], description="x")
        for name in ("suite",):
            got = self.assert_ok(self.client(name)("GET", "/ssf/streams?stream_id=" + stream["stream_id"]))
            self.assertEqual(got, stream)

    def test_an_unknown_id_is_404(self):
        self.assert_error(self.client("suite")("GET", "/ssf/streams?stream_id=none"), 404)


class Delete(w.Case):
    def test_a_deleted_stream_is_gone_at_every_endpoint(self):
        suite = self.client("suite")
        stream = suite.create([p.SESSION_REVOKED])
        self.assert_empty(suite.delete(stream), 204)
        self.assert_error(suite.delete(stream), 404)
        self.assert_error(suite.poll(stream), 404)
        self.assert_error(suite("GET", "/ssf/streams?stream_id=" + stream["stream_id"]), 404)
        self.assert_error(suite("GET", "/ssf/status?stream_id=" + stream["stream_id"]), 404)
        self.assert_error(suite("POST", "/ssf/verify", {"stream_id": stream["stream_id"]}), 404)

    def test_no_id_is_400_and_nothing_is_deleted(self):
        stream = self.stream("suite")
        for query in ("", "?stream_id=", "?id=" + stream["stream_id"]):
            self.assert_error(self.client("suite")("DELETE", "/ssf/streams" + query), 400, why=query)
        self.assertEqual(self.client("suite")("GET", "/ssf/streams").json(), [stream])

    def test_a_long_poll_ends_when_its_stream_is_deleted(self):
        import threading
        import time
        stream = self.client("suite").create([p.SESSION_REVOKED])
        answers = []
        waiting = p.Https(self.world.port, self.world.ca)
        head = self.client("suite").bearer()
        thread = threading.Thread(target=lambda: answers.append(
            waiting("POST", "/ssf/poll/" + stream["stream_id"], {}, head)))
        thread.start()
        time.sleep(0.3)
        self.client("suite").delete(stream)
        thread.join(10)
        self.assertFalse(thread.is_alive())
        self.assertIn(answers[0].status, (200, 404))
        if answers[0].status == 200:
            for token in answers[0].json()["sets"].values():
                self.client("suite").read_set(stream, token)
