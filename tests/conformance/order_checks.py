"""At every endpoint: token, scope, body, lookup, in this order; bodies that are no JSON; another's stream."""
import json

import peer as p
import world as w


def calls(stream_id):
    """(method, path, good body, scopes of one half each: who may not, who may)"""
    quoted = {"stream_id": stream_id}
    subject = {"format": "email", "email": "a@example.com"}
    return [
        ("GET", "/ssf/streams?stream_id=" + stream_id, None),
        ("PATCH", "/ssf/streams", quoted | {"description": "x"}),
        ("PUT", "/ssf/streams", quoted | {"events_requested": []}),
        ("DELETE", "/ssf/streams?stream_id=" + stream_id, None),
        ("GET", "/ssf/status?stream_id=" + stream_id, None),
        ("POST", "/ssf/status", quoted | {"status": "paused"}),
        ("POST", "/ssf/subjects/add", quoted | {"subject": subject}),
        ("POST", "/ssf/subjects/remove", quoted | {"subject": subject}),
        ("POST", "/ssf/verify", quoted | {"state": "x"}),
        ("POST", "/ssf/poll/" + stream_id, {"returnImmediately": True}),
    ]


WITH_BODY = [("POST", "/ssf/streams"), ("PATCH", "/ssf/streams"), ("PUT", "/ssf/streams"), ("POST", "/ssf/status"),
             ("POST", "/ssf/subjects/add"), ("POST", "/ssf/subjects/remove"), ("POST", "/ssf/verify"),
             ("POST", "/ssf/poll/nobodysstream"), ("POST", "/signals")]
NO_JSON = [b"{", b"nul", b"[]", b'"x"', b"5", b"null", b"\xff\xfe", b'{"a":1}}', b"\x00", b"{'a':1}", b'{"a":1,}',
           b'{"a":NaN}', b'{"a":01}', b'{"a":"\xc3\x28"}', b'{"stream_id":"x","stream_id":"y"}',
           b'{"x":' + b"[" * 500 + b"]" * 500 + b"}"]


class Order(w.Case):
    def test_without_a_token_everything_is_401_whatever_the_body(self):
        for method, path, body in calls("x"):
            self.assert_error(self.world.anyone(method, path, body), 401, why=(method, path))
        for method, path in WITH_BODY:
            for head in ({}, {"Authorization": "Bearer nonsense"}):
                answer = self.world.anyone(method, path, b"{", head)
                self.assert_error(answer, 401, why=(method, path))
        for path in ("/admin/streams", "/admin/streams/x", "/missions"):
            self.assert_error(self.world.anyone("GET", path), 401, why=path)

    def test_the_scope_comes_before_body_and_lookup(self):
        for method, path in WITH_BODY:
            answer = self.client("plain")(method, path, b"{")
            self.assert_error(answer, 403, "insufficient_scope", why=(method, path))
        for method, path, body in calls("x"):
            answer = self.client("plain")(method, path, body)
            self.assert_error(answer, 403, "insufficient_scope", why=(method, path))

    def test_reads_take_ssf_read_and_writes_do_not(self):
        for method, path, body in calls("x"):
            answer = self.client("reader")(method, path, body)
            self.assertEqual(answer.status, 404 if method == "GET" or "/poll/" in path else 403, (method, path))
        for method, path, body in calls("x"):  # ssf.manage opens all of /ssf
            manager = self.client("suite").token_request(scope="ssf.manage").json()["access_token"]
            answer = self.world.anyone(method, path, body, {"Authorization": "Bearer " + manager})
            self.assert_error(answer, 404, why=(method, path))

    def test_the_scope_for_polling_alone_opens_the_poll_endpoint_alone(self):
        for method, path, body in calls("x"):
            answer = self.client("poller")(method, path, body)
            self.assertEqual(answer.status, 404 if "/poll/" in path else 403, (method, path))

    def test_what_is_no_json_object_is_400_before_the_stream_is_looked_for(self):
        for method, path in WITH_BODY:
            client = "emitter" if path == "/signals" else "suite"
            for body in NO_JSON:
                answer = self.client(client)(method, path, body)
                self.assert_error(answer, 400, why=(method, path, body[:40]))
        self.assertEqual(self.client("suite")("GET", "/ssf/streams").json(), [])

    def test_a_body_beyond_the_limit_is_413_and_only_for_who_may_come_in(self):
        large = b'{"description":"' + b"x" * (1 << 20) + b'"}'
        for method, path in (("POST", "/ssf/streams"), ("POST", "/signals"), ("PATCH", "/ssf/streams")):
            for client, wanted in ((None, 401), ("suite" if path != "/signals" else "emitter", 413)):
                http = p.Https(self.world.port, self.world.ca)
                try:
                    answer = http(method, path, large, self.client(client).bearer() if client else None)
                except OSError:
                    continue  # closed before we had sent it all
                finally:
                    http.close()
                self.assert_error(answer, wanted, why=(method, path, client))

    def test_a_wrong_content_type_is_415_and_none_is_taken(self):
        for method, path in WITH_BODY:
            client = "emitter" if path == "/signals" else "suite"
            for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx", "x"):
                self.assert_error(self.client(client)(method, path, b"{}", content_type=kind), 415,
                                  why=(method, path, kind))
        for kind in (None, "application/json; charset=utf-8", "Application/JSON"):
            answer = self.client("suite")("POST", "/ssf/status", b'{"stream_id":"x","status":"paused"}',
                                          content_type=kind)
            self.assert_error(answer, 404, why=kind)

    def test_a_401_offers_every_scheme_and_says_where_the_resource_describes_itself(self):
        for method, path in (("GET", "/ssf/streams"), ("POST", "/ssf/poll/x"), ("POST", "/signals"), ("GET", "/missions"),
                             ("POST", "/mission/status"), ("POST", "/mission/lifecycle")):
            for head in ({}, {"Authorization": "Bearer x"}, {"Authorization": "DPoP x"}):
                body = "nonce=n" if path.startswith("/mission/") else None
                answer = self.world.anyone(method, path, body, head, p.FORM if body else "application/json")
                self.assert_error(answer, 401, why=(path, head))
                offered = answer.headers["www-authenticate"]
                for scheme in ("Bearer", "DPoP"):  # RFC 6750 section 3, RFC 9449 section 7.1, RFC 9728 section 5.1
                    self.assertRegex(offered, rf'(^|, ){scheme} [^,]*(, )?.*resource_metadata="https://', (path, head))
                self.assertIn("algs=", offered)
                self.assertEqual(offered.count("resource_metadata="), 2, (path, head))

    def test_another_receivers_stream_answers_as_none_does_to_the_byte(self):
        own = self.stream("suite", [p.SESSION_REVOKED])
        nobody = "0" * len(own["stream_id"])
        for (method, path, body), (_, path2, body2) in zip(calls(own["stream_id"]), calls(nobody)):
            for other in ("static", "none", "erp"):
                there = self.client(other)(method, path, body)
                nowhere = self.client(other)(method, path2, body2)
                self.assert_error(there, 404, why=(method, path))
                self.assertEqual(there.body, nowhere.body)
                self.assertEqual({k: v for k, v in there.headers.items() if k != "date"},
                                 {k: v for k, v in nowhere.headers.items() if k != "date"})
        self.assertEqual(self.client("suite")("GET", "/ssf/streams?stream_id=" + own["stream_id"]).json(), own)
        self.assertEqual(self.client("static")("GET", "/ssf/streams").json(), [])

    def test_ids_of_every_shape_are_404_or_400_and_never_more(self):
        for odd in ("%00", "..%2f..", "a%20b", "%FF", "x" * 3000, "'%20or%201=1", "%E2%82%AC", "*"):
            answer = self.client("suite")("GET", "/ssf/streams?stream_id=" + odd)
            self.assertIn(answer.status, (400, 404), odd)
            answer = self.client("suite")("POST", "/ssf/poll/" + odd, {"returnImmediately": True})
            self.assertIn(answer.status, (400, 404), odd)
        for value in (5, None, [], {}, True, ""):
            for path, more in (("/ssf/status", {"status": "paused"}), ("/ssf/verify", {}),
                               ("/ssf/subjects/add", {"subject": {"format": "opaque", "id": "x"}}),
                               ("/ssf/subjects/remove", {"subject": {"format": "opaque", "id": "x"}})):
                answer = self.client("suite")("POST", path, {"stream_id": value, **more})
                self.assertIn(answer.status, (400, 404) if value == "" else (400,), (path, value))
            for method in ("PATCH", "PUT"):
                answer = self.client("suite")(method, "/ssf/streams", {"stream_id": value})
                self.assertIn(answer.status, (400, 404) if value == "" else (400,), (method, value))

    def test_unknown_members_are_ignored(self):
        stream = self.stream("suite", [p.SESSION_REVOKED], surprise={"a": [1]})
        self.assertNotIn("surprise", stream)
        for method, path, body in calls(stream["stream_id"]):
            if body is None or method == "PUT" or path == "/ssf/status":
                continue
            answer = self.client("suite")(method, path, {**body, "surprise": [1, {"x": None}]})
            self.assertIn(answer.status, (200, 204), (method, path))
        json.dumps(stream)
