"""PATCH and PUT: SSF 1.0 sections 8.1.1.3 and 8.1.1.4; events from the position of the change on."""
import peer as p
import world as w

REASON = {"reason_admin": {"en": "conformance"}}


class Update(w.Case):
    def patch(self, stream, client="suite", **members):
        return self.client(client)("PATCH", "/ssf/streams", {"stream_id": stream["stream_id"], **members})

    def put(self, stream, client="suite", **members):
        return self.client(client)("PUT", "/ssf/streams", {"stream_id": stream["stream_id"], **members})

    def read(self, stream, client="suite"):
        return self.client(client)("GET", "/ssf/streams?stream_id=" + stream["stream_id"]).json()

    def test_patch_changes_what_it_names_and_nothing_else(self):
        stream = self.stream("suite", [p.SESSION_REVOKED], description="first")
        changed = self.assert_ok(self.patch(stream, description="second"))
        self.assertEqual(changed, stream | {"description": "second"})
        changed = self.assert_ok(self.patch(stream, events_requested=[p.CREDENTIAL_CHANGE]))
        self.assertEqual(changed["events_delivered"], [p.CREDENTIAL_CHANGE])
        self.assertEqual((changed["description"], changed["delivery"]), ("second", stream["delivery"]))
        url = f"https://localhost:{self.world.port}/x"
        changed = self.assert_ok(self.patch(stream, delivery={"method": p.PUSH, "endpoint_url": url}))
        self.assertEqual(changed["delivery"], {"method": p.PUSH, "endpoint_url": url})
        self.assertEqual(changed["events_delivered"], [p.CREDENTIAL_CHANGE])
        self.assertEqual(self.read(stream), changed)
        changed = self.assert_ok(self.patch(stream, delivery={"method": p.POLL}))
        self.assertEqual(changed["delivery"], stream["delivery"])

    def test_patch_of_nothing_and_of_the_same_changes_nothing(self):
        stream = self.stream("suite", [p.SESSION_REVOKED], description="same")
        self.assertEqual(self.assert_ok(self.patch(stream)), stream)
        again = {k: v for k, v in stream.items() if k != "stream_id"}
        self.assertEqual(self.assert_ok(self.patch(stream, **again)), stream)

    def test_put_deletes_what_it_leaves_out(self):
        url = f"https://localhost:{self.world.port}/x"
        stream = self.stream("suite", [p.SESSION_REVOKED], description="first",
                             delivery={"method": p.PUSH, "endpoint_url": url})
        changed = self.assert_ok(self.put(stream, events_requested=[p.CREDENTIAL_CHANGE]))
        self.assertFalse(changed.get("description"))
        self.assertEqual(changed["delivery"]["method"], p.POLL)
        self.assertEqual(changed["events_delivered"], [p.CREDENTIAL_CHANGE])
        self.assertEqual(self.read(stream), changed)
        changed = self.assert_ok(self.put(stream, description="only"))
        self.assertEqual((changed["events_requested"], changed["events_delivered"]), ([], []))

    def test_put_with_the_whole_of_an_answer_changes_nothing(self):
        stream = self.stream("suite", [p.SESSION_REVOKED], description="whole")
        again = {k: v for k, v in stream.items() if k != "stream_id"}
        self.assertEqual(self.assert_ok(self.put(stream, **again)), stream)

    def test_members_of_the_transmitter_with_a_wrong_value_are_400(self):
        stream = self.stream("suite", [p.SESSION_REVOKED])
        wrong = [{"iss": "https://evil.example"}, {"aud": "https://evil.example"}, {"aud": [stream["aud"], "x"]},
                 {"iss": 5}, {"events_supported": [p.SESSION_REVOKED]}, {"events_delivered": []},
                 {"events_delivered": [p.CREDENTIAL_CHANGE]},
                 {"min_verification_interval": stream["min_verification_interval"] + 1}]
        for change in (self.patch, self.put):
            for members in wrong:
                answer = change(stream, events_requested=[p.SESSION_REVOKED], **members)
                self.assert_error(answer, 400, why=members)
        self.assertEqual(self.read(stream), stream)

    def test_events_delivered_is_compared_with_what_was_delivered_before(self):
        for change in (self.patch, self.put):
            stream = self.stream("suite", [p.SESSION_REVOKED])
            answer = change(stream, events_requested=[p.CREDENTIAL_CHANGE], events_delivered=[p.CREDENTIAL_CHANGE])
            self.assert_error(answer, 400)
            answer = change(stream, events_requested=[p.CREDENTIAL_CHANGE], events_delivered=[p.SESSION_REVOKED])
            self.assertEqual(self.assert_ok(answer)["events_delivered"], [p.CREDENTIAL_CHANGE])

    def test_members_of_a_wrong_type_are_400_and_change_nothing(self):
        stream = self.stream("suite", [p.SESSION_REVOKED], description="kept")
        bodies = [{"events_requested": v} for v in (5, "x", {}, [1])] + [{"description": v} for v in (5, [], {})]
        bodies += [{"delivery": v} for v in (5, "x", [], {}, {"method": "x"}, {"method": p.PUSH},
                                             {"method": p.PUSH, "endpoint_url": "http://localhost/"},
                                             {"method": p.PUSH, "endpoint_url": "https://10.0.0.1/"})]
        for change in (self.patch, self.put):
            for body in bodies:
                self.assert_error(change(stream, **body), 400, why=body)
        self.assertEqual(self.read(stream), stream)

    def test_no_id_is_400_and_an_unknown_one_404(self):
        for method in ("PATCH", "PUT"):
            self.assert_error(self.client("suite")(method, "/ssf/streams", {"description": "x"}), 400)
            self.assert_error(self.client("suite")(method, "/ssf/streams", {"stream_id": "none"}), 404)

    def test_changed_events_hold_from_the_change_on(self):
        stream = self.stream("suite", [p.SESSION_REVOKED])
        self.world.emit(p.CREDENTIAL_CHANGE, {"credential_type": "password", "change_type": "update", **REASON})
        self.world.emit(p.SESSION_REVOKED, dict(REASON), txn="before")
        self.patch(stream, events_requested=[p.CREDENTIAL_CHANGE])
        self.world.emit(p.SESSION_REVOKED, dict(REASON), txn="after")
        self.world.emit(p.CREDENTIAL_CHANGE, {"credential_type": "password", "change_type": "revoke", **REASON})
        got = self.client("suite").drain(
            stream, lambda seen: any(c["_type"] == p.CREDENTIAL_CHANGE for c in seen))
        seen = [(c["_type"], c["txn"]) for c in got if c["_type"] != p.UPDATED]
        self.assertEqual([t for t, _ in seen], [p.SESSION_REVOKED, p.CREDENTIAL_CHANGE])
        self.assertEqual(seen[0][1], "before")
        self.assertEqual(got[-1]["_event"]["change_type"], "revoke")

    def test_a_set_offered_before_a_change_is_the_same_after_it(self):
        stream = self.stream("suite", [p.SESSION_REVOKED])
        self.world.emit(p.SESSION_REVOKED, dict(REASON))
        suite = self.client("suite")

        def offered():
            for token in suite.poll(stream).json()["sets"].values():
                claims = suite.read_set(stream, token)
                if claims["_type"] == p.SESSION_REVOKED:
                    return claims
            return None
        first = w.harness.wait_for(offered, why="the event is offered")
        self.patch(stream, events_requested=[p.CREDENTIAL_CHANGE], description="changed")
        again = w.harness.wait_for(offered, why="the event is offered again")
        self.assertEqual({k: v for k, v in first.items() if k != "_token"},
                         {k: v for k, v in again.items() if k != "_token"})

    def test_the_authorization_header_stays_with_its_url_and_goes_with_another(self):
        one, two = self.endpoint(), self.endpoint()
        stream = self.push_stream("suite", one, [p.SESSION_REVOKED], authorization_header="Bearer one")
        suite = self.client("suite")

        def verified(endpoint):
            state = p.secrets.token_hex(8)
            suite("POST", "/ssf/verify", {"stream_id": stream["stream_id"], "state": state})
            request, _ = endpoint.next(suite, stream, lambda c: c["_event"].get("state") == state)
            return request["headers"].get("authorization")
        self.assertEqual(verified(one), "Bearer one")
        self.patch(stream, delivery={"method": p.PUSH, "endpoint_url": one.url}, description="kept")
        self.assertEqual(verified(one), "Bearer one")
        self.patch(stream, delivery={"method": p.PUSH, "endpoint_url": two.url})
        self.assertIsNone(verified(two))
        self.patch(stream, delivery={"method": p.PUSH, "endpoint_url": two.url, "authorization_header": "Two"})
        self.assertEqual(verified(two), "Two")
        self.patch(stream, delivery={"method": p.PUSH, "endpoint_url": two.url, "authorization_header": None})
        self.assertIsNone(verified(two))

    def test_a_stream_changes_its_method_and_what_was_committed_arrives_by_the_new_one(self):
        stream = self.stream("suite", [p.SESSION_REVOKED])
        self.world.emit(p.SESSION_REVOKED, dict(REASON), txn="moved")
        endpoint = self.endpoint()
        self.patch(stream, delivery={"method": p.PUSH, "endpoint_url": endpoint.url})
        _, claims = endpoint.next(self.client("suite"), stream, lambda c: c["_type"] == p.SESSION_REVOKED)
        self.assertEqual(claims["txn"], "moved")
        self.assert_error(self.client("suite").poll(stream), 404)
