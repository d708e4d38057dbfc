"""Subjects: SSF 1.0 sections 3, 8.1.3, 9; RFC 9493; who is told about whom."""
import peer as p
import world as w

REASON = {"reason_admin": {"en": "conformance"}}
MAIL = {"format": "email", "email": "alice@example.com"}


def iss_sub(sub, iss="https://idp.example"):
    return {"format": "iss_sub", "iss": iss, "sub": sub}


GOOD = [
    {"format": "account", "uri": "acct:alice@example.com"},
    {"format": "email", "email": "alice@example.com"},
    {"format": "iss_sub", "iss": "https://idp.example", "sub": "alice"},
    {"format": "opaque", "id": "11112222333344445555"},
    {"format": "phone_number", "phone_number": "+12065550100"},
    {"format": "did", "url": "did:example:123456"},
    {"format": "uri", "uri": "spiffe://example.org/agent/1"},
    {"format": "aliases", "identifiers": [{"format": "email", "email": "a@example.com"},
                                          {"format": "phone_number", "phone_number": "+12065550100"}]},
    {"format": "jwt_id", "iss": "https://idp.example", "jti": "B70BA622"},
    {"format": "saml_assertion_id", "issuer": "https://idp.example", "assertion_id": "_8e8dc5f6"},
    {"format": "ip-addresses", "ip-addresses": ["192.0.2.1", "2001:db8::1"]},
    {"format": "complex", "user": {"format": "email", "email": "a@example.com"},
     "device": {"format": "iss_sub", "iss": "https://mdm.example", "sub": "d1"}},
]
BAD = [
    5, None, [], "x", True, {}, [MAIL], {"email": "a@example.com"}, {"format": 5}, {"format": None}, {"format": "e-mail"},
    {"format": ""}, {"subject_type": "email", "email": "a@example.com"},
    {"format": "email"}, {"format": "email", "email": ""}, {"format": "email", "email": 5},
    {"format": "email", "email": None}, {"format": "email", "email": ["a@example.com"]},
    {"format": "account", "uri": "mailto:a@example.com"}, {"format": "account", "uri": ""}, {"format": "account"},
    {"format": "iss_sub", "iss": "https://idp.example"}, {"format": "iss_sub", "sub": "x"},
    {"format": "iss_sub", "iss": "", "sub": "x"}, {"format": "iss_sub", "iss": "https://i.example", "sub": None},
    {"format": "opaque", "id": ""}, {"format": "opaque", "id": {}}, {"format": "opaque"},
    {"format": "phone_number", "phone_number": "2065550100"}, {"format": "phone_number"},
    {"format": "did", "url": "https://example.com"}, {"format": "uri", "uri": ""},
    {"format": "aliases", "identifiers": []}, {"format": "aliases", "identifiers": {}}, {"format": "aliases"},
    {"format": "aliases", "identifiers": [{"format": "aliases", "identifiers": [MAIL]}]},
    {"format": "aliases", "identifiers": [{"format": "email"}]},
    {"format": "jwt_id", "iss": "https://idp.example"}, {"format": "jwt_id", "jti": "x"},
    {"format": "saml_assertion_id", "issuer": "x"}, {"format": "saml_assertion_id", "assertion_id": "x"},
    {"format": "ip-addresses"}, {"format": "ip-addresses", "ip-addresses": []},
    {"format": "ip-addresses", "ip-addresses": ["nowhere"]}, {"format": "ip-addresses", "ip-addresses": "192.0.2.1"},
    {"format": "complex"}, {"format": "complex", "user": "alice"}, {"format": "complex", "user": {"format": "email"}},
    {"format": "complex", "user": {"format": "complex", "user": MAIL}}, {"format": "complex", "user": []},
]


class Subjects(w.Case):
    def add(self, stream, subject, client="none", **more):
        return self.client(client)("POST", "/ssf/subjects/add",
                                   {"stream_id": stream["stream_id"], "subject": subject, **more})

    def remove(self, stream, subject, client="none"):
        return self.client(client)("POST", "/ssf/subjects/remove",
                                   {"stream_id": stream["stream_id"], "subject": subject})

    def heard(self, stream, subjects, client="none"):
        """Which of the signals, one for each of `subjects`, arrive; a verification ends the wait."""
        receiver = self.client(client)
        txns = [self.world.emit(p.SESSION_REVOKED, dict(REASON), s)["txn"] for s in subjects]
        return [t in seen for t, seen in zip(txns, [self.arrived(receiver, stream)] * len(txns))]

    def arrived(self, receiver, stream):
        return {c["txn"] for c in receiver.quiet(stream, 0.6)}

    def test_every_format_of_a_subject_is_taken_and_answered_empty(self):
        stream = self.stream("none", [p.SESSION_REVOKED])
        for subject in GOOD:
            for verified in ({}, {"verified": True}, {"verified": False}):
                answer = self.add(stream, subject, **verified)
                self.assert_empty(answer, 200)
            self.assert_empty(self.remove(stream, subject), 204)
            self.assert_empty(self.remove(stream, subject), 204)

    def test_every_malformed_subject_is_400_when_added_and_when_removed(self):
        stream = self.stream("none", [p.SESSION_REVOKED])
        for subject in BAD:
            self.assert_error(self.add(stream, subject), 400, why=subject)
            self.assert_error(self.remove(stream, subject), 400, why=subject)
        for path in ("add", "remove"):
            answer = self.client("none")("POST", "/ssf/subjects/" + path, {"stream_id": stream["stream_id"]})
            self.assert_error(answer, 400)
            answer = self.client("none")("POST", "/ssf/subjects/" + path, {"subject": MAIL})
            self.assert_error(answer, 400)
        for verified in (5, "true", None, []):
            self.assertIn(self.add(stream, MAIL, verified=verified).status, (400,) if verified is not None else (200, 400))

    def test_a_stream_of_none_hears_of_added_subjects_until_they_are_removed(self):
        stream = self.stream("none", [p.SESSION_REVOKED])
        bob = {"format": "email", "email": "bob@example.com"}
        self.assertEqual(self.heard(stream, [MAIL, bob]), [False, False])
        self.add(stream, MAIL)
        self.assertEqual(self.heard(stream, [MAIL, bob]), [True, False])
        self.add(stream, bob)
        self.add(stream, bob)  # twice is once
        self.remove(stream, MAIL)
        self.assertEqual(self.heard(stream, [MAIL, bob]), [False, True])
        self.remove(stream, bob)
        self.assertEqual(self.heard(stream, [MAIL, bob]), [False, False])

    def test_a_stream_of_all_hears_of_everybody_but_those_removed(self):
        stream = self.stream("suite", [p.SESSION_REVOKED])
        bob = {"format": "email", "email": "bob@example.com"}
        self.assertEqual(self.heard(stream, [MAIL, bob], "suite"), [True, True])
        self.assert_empty(self.remove(stream, MAIL, "suite"), 204)
        self.assertEqual(self.heard(stream, [MAIL, bob], "suite"), [False, True])
        self.assert_empty(self.add(stream, MAIL, "suite"), 200)
        self.assertEqual(self.heard(stream, [MAIL, bob], "suite"), [True, True])

    def test_what_was_committed_before_a_removal_still_arrives(self):
        stream = self.stream("none", [p.SESSION_REVOKED])
        self.add(stream, MAIL)
        txn = self.world.emit(p.SESSION_REVOKED, dict(REASON), MAIL)["txn"]
        self.remove(stream, MAIL)
        self.client("none").drain(stream, lambda seen: txn in [c["txn"] for c in seen])

    def test_simple_subjects_match_when_identical(self):
        stream = self.stream("none", [p.SESSION_REVOKED])
        self.add(stream, iss_sub("alice"))
        self.assertEqual(
            self.heard(stream, [iss_sub("alice"), iss_sub("Alice"), iss_sub("alice", "https://other.example"), MAIL]),
            [True, False, False, False])

    def test_complex_subjects_match_member_by_member(self):
        user, tenant = iss_sub("alice"), {"format": "opaque", "id": "acme"}
        stream = self.stream("none", [p.SESSION_REVOKED])
        self.add(stream, {"format": "complex", "user": user, "tenant": tenant})
        signals = [{"format": "complex", "user": user, "tenant": tenant},
                   {"format": "complex", "user": user},                                         # less said
                   {"format": "complex", "user": user, "tenant": tenant, "device": MAIL},       # more said
                   {"format": "complex", "user": user, "tenant": {"format": "opaque", "id": "other"}},
                   {"format": "complex", "user": iss_sub("bob"), "tenant": tenant},
                   {"format": "complex", "device": iss_sub("d1")}]                              # nothing in common
        self.assertEqual(self.heard(stream, signals), [True, True, True, False, False, False])

    def test_aliases_match_by_any_of_their_identifiers(self):
        phone = {"format": "phone_number", "phone_number": "+12065550100"}
        stream = self.stream("none", [p.SESSION_REVOKED])
        self.add(stream, {"format": "aliases", "identifiers": [MAIL, phone]})
        self.assertEqual(self.heard(stream, [MAIL, phone, {"format": "email", "email": "x@example.com"}]),
                         [True, True, False])
        other = self.stream("none", [p.SESSION_REVOKED])
        self.add(other, MAIL)
        self.assertEqual(self.heard(other, [{"format": "aliases", "identifiers": [phone, MAIL]}]), [True])

    def test_the_streams_own_subject_can_be_neither_added_nor_removed_with_effect(self):
        stream = self.stream("none", [p.SESSION_REVOKED])
        own = {"format": "opaque", "id": stream["stream_id"]}
        for call in (self.add, self.remove, self.remove):
            self.assertIn(call(stream, own).status, (200, 204))
        self.client("none")("POST", "/ssf/verify", {"stream_id": stream["stream_id"], "state": "still"})
        self.client("none").drain(stream, lambda seen: any(c["_event"].get("state") == "still" for c in seen))

    def test_adding_says_nothing_about_what_there_is(self):
        mission = self.world.mission()
        hidden = self.world.mission(authorization_details=[{
            "type": "mission_resource_access", "resource": "https://crm.example", "actions": ["x"]}])
        stream = self.stream("erp-none", p.MISSION_TYPES)
        answers = [self.add(stream, {"format": "opaque", "id": i}, "erp-none")
                   for i in (mission["mission_id"], hidden["mission_id"], "A" * len(mission["mission_id"]))]
        self.assertEqual(len({(a.status, a.body, tuple(sorted((k, v) for k, v in a.headers.items() if k != "date")))
                              for a in answers}), 1)
        self.world.lifecycle(mission["mission_id"], "revoke")
        self.world.lifecycle(hidden["mission_id"], "revoke")
        got = self.client("erp-none").quiet(stream, 0.8)
        self.assertEqual({c["_event"]["mission"]["id"] for c in got}, {mission["mission_id"]})

    def test_a_stream_can_follow_a_mission_an_agent_a_person_and_a_tenant(self):
        who = {"agent": {"client_id": "agent-7", "spiffe_id": "spiffe://example.org/agent/7"},
               "subject": {"iss": "https://idp.example", "sub": "carol"}, "tenant": "acme"}
        mine, other = self.world.mission(**who), self.world.mission()
        issuer = self.world.issuer
        filters = {
            "mission": {"format": "opaque", "id": mine["mission_id"]},
            "agent": {"format": "complex", "application": iss_sub("agent-7", issuer)},
            "spiffe": {"format": "uri", "uri": "spiffe://example.org/agent/7"},
            "mission, complex": {"format": "complex", "mission": {"format": "opaque", "id": mine["mission_id"]}},
        }
        streams = {}
        for why, subject in filters.items():
            streams[why] = self.stream("erp-none", p.MISSION_TYPES)
            self.assert_empty(self.add(streams[why], subject, "erp-none"), 200)
        # Not disclosed to this client: following them brings nothing it may not know of them.
        hidden = {"person": {"format": "complex", "user": iss_sub("carol")},
                  "tenant": {"format": "complex", "tenant": {"format": "opaque", "id": "acme"}}}
        silent = {}
        for why, subject in hidden.items():
            silent[why] = self.stream("erp-none", p.MISSION_TYPES)
            self.add(silent[why], subject, "erp-none")
        self.world.lifecycle(mine["mission_id"], "revoke")
        self.world.lifecycle(other["mission_id"], "revoke")
        receiver = self.client("erp-none")
        for why, stream in streams.items():
            got = receiver.drain(stream, lambda seen: len(seen) >= 1)
            self.assertEqual({c["_event"]["mission"]["id"] for c in got}, {mine["mission_id"]}, why)
            self.assertNotIn("spiffe", got[0]["_token"] + str(got[0]))
        for why, stream in silent.items():
            self.assertEqual(receiver.quiet(stream, 0.4), [], why)
