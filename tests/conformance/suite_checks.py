"""The steps of the OpenID Foundation's plans for transmitters, one after the other: the default and the
interoperability profile, a dynamic and a static client, push and poll."""
import secrets

import peer as p
import world as w

REASON = {"en": "conformance"}
SUBJECT = {"format": "email", "email": "user@example.com"}


class Suite(w.Case):
    def run_plan(self, client, delivery):
        receiver = self.client(client)
        for stream in receiver("GET", "/ssf/streams").json():  # the suite begins by cleaning up
            receiver.delete(stream)
        meta = self.world.anyone("GET", "/.well-known/ssf-configuration").json()
        self.assertGreaterEqual(meta["spec_version"], "1_0")
        # Without a token, and with a wrong one, before anything else.
        for head in ({}, {"Authorization": "Bearer wrong"}):
            self.assert_error(self.world.anyone("GET", "/ssf/streams", None, head), 401)
            self.assert_error(self.world.anyone("POST", "/ssf/streams", b"{broken", head), 401)
        self.assert_error(receiver("POST", "/ssf/streams", b"{broken"), 400)
        self.assert_error(receiver("GET", "/ssf/streams?stream_id=" + secrets.token_hex(8)), 404)
        self.assert_error(receiver("DELETE", "/ssf/streams?stream_id=" + secrets.token_hex(8)), 404)

        endpoint = self.endpoint() if delivery == p.PUSH else None
        wanted = {"method": delivery}
        if endpoint:
            wanted |= {"endpoint_url": endpoint.url, "authorization_header": "Bearer " + secrets.token_hex(8)}
        created = receiver("POST", "/ssf/streams", {
            "delivery": wanted, "events_requested": [p.SESSION_REVOKED, p.CREDENTIAL_CHANGE], "description": "plan"})
        stream = self.assert_ok(created, 201)
        self.addCleanup(receiver.delete, stream)
        self.assertEqual(self.assert_ok(receiver("GET", "/ssf/streams?stream_id=" + stream["stream_id"])), stream)
        # Elsewhere: its first heartbeat may be on its way when it is deleted.
        other = {**wanted, "endpoint_url": self.endpoint().url} if endpoint else wanted
        second = receiver("POST", "/ssf/streams", {"delivery": other, "events_requested": [p.SESSION_REVOKED]})
        self.assertIn(second.status, (201, 409))
        if second.status == 201:
            self.assert_empty(receiver.delete(second.json()), 204)

        patched = self.assert_ok(receiver("PATCH", "/ssf/streams", {
            "stream_id": stream["stream_id"], "description": "patched"}))
        self.assertEqual(patched["description"], "patched")
        put = self.assert_ok(receiver("PUT", "/ssf/streams", {
            "stream_id": stream["stream_id"], "delivery": wanted, "events_requested":
            [p.SESSION_REVOKED, p.CREDENTIAL_CHANGE], "description": "put"}))
        self.assertEqual(put["description"], "put")
        for method in ("PATCH", "PUT"):
            self.assert_error(receiver(method, "/ssf/streams", b"{broken"), 400)
            self.assert_error(receiver(method, "/ssf/streams", {"stream_id": "unknown", "description": "x"}), 404)

        for status in ("paused", "disabled", "enabled"):
            answer = receiver("POST", "/ssf/status", {"stream_id": stream["stream_id"], "status": status})
            self.assertEqual(self.assert_ok(answer)["status"], status)
            read = self.assert_ok(receiver("GET", "/ssf/status?stream_id=" + stream["stream_id"]))
            self.assertEqual((read["stream_id"], read["status"]), (stream["stream_id"], status))
        self.assert_error(receiver("POST", "/ssf/status", {"stream_id": stream["stream_id"], "status": "wrong"}), 400)
        self.assert_error(receiver("GET", "/ssf/status?stream_id=unknown"), 404)

        body = {"stream_id": stream["stream_id"], "subject": SUBJECT}
        self.assertEqual(receiver("POST", "/ssf/subjects/add", {**body, "verified": True}).status, 200)
        self.assertEqual(receiver("POST", "/ssf/subjects/remove", body).status, 204)
        self.assertEqual(receiver("POST", "/ssf/subjects/add", body).status, 200)
        for path in ("add", "remove"):
            self.assert_error(receiver("POST", "/ssf/subjects/" + path, {**body, "stream_id": "unknown"}), 404)
            self.assert_error(receiver("POST", "/ssf/subjects/" + path, b"{broken"), 400)

        state = secrets.token_urlsafe(16)
        self.assert_empty(receiver("POST", "/ssf/verify", {"stream_id": stream["stream_id"], "state": state}), 204)
        self.expect(receiver, stream, endpoint, lambda c: c["_event"].get("state") == state)
        self.assert_error(receiver("POST", "/ssf/verify", {"stream_id": "unknown", "state": state}), 404)

        for event_type, event in ((p.SESSION_REVOKED, {"reason_admin": REASON}), (p.CREDENTIAL_CHANGE, {
                "credential_type": "password", "change_type": "update", "reason_admin": REASON})):
            txn = self.world.emit(event_type, event, SUBJECT)["txn"]
            claims = self.expect(receiver, stream, endpoint, lambda c, t=txn: c["txn"] == t)
            self.assertEqual(claims["sub_id"], SUBJECT)
            self.assertTrue(claims["_event"]["reason_admin"])
            self.assertEqual(claims["_alg"], "RS256")

        self.assert_empty(receiver.delete(stream), 204)
        self.assert_error(receiver("GET", "/ssf/streams?stream_id=" + stream["stream_id"]), 404)

    def expect(self, receiver, stream, endpoint, want):
        if endpoint:
            return endpoint.next(receiver, stream, want)[1]
        return [c for c in receiver.drain(stream, lambda seen: any(map(want, seen))) if want(c)][0]

    def test_a_dynamic_client_by_poll(self):
        self.run_plan("suite", p.POLL)

    def test_a_dynamic_client_by_push(self):
        self.run_plan("suite", p.PUSH)

    def test_a_static_client_by_poll(self):
        self.run_plan("static", p.POLL)

    def test_a_static_client_by_push(self):
        self.run_plan("static", p.PUSH)
