"""POST /signals: every event type of CAEP 1.0 and RISC 1.0, a foreign one, and what is refused."""
import time

import peer as p
import world as w

NOW = 1_700_000_000
ADMIN = {"en": "Landspeed Policy Violation: C076E82F", "de": "Reise schneller als möglich"}
COMMON = {"event_timestamp": NOW, "initiating_entity": "policy", "reason_admin": ADMIN,
          "reason_user": {"en": "Access attempt from multiple regions."}}
MAIL = {"format": "email", "email": "alice@example.com"}
PHONE = {"format": "phone_number", "phone_number": "+12065550100"}
CREDENTIALS = ("password", "pin", "x509", "fido2-platform", "fido2-roaming", "fido-u2f", "verifiable-credential",
               "phone-voice", "phone-sms", "app")
GOOD = {
    p.CAEP + "session-revoked": [COMMON, {"reason_admin": {"en": "x"}}],
    p.CAEP + "token-claims-change": [{**COMMON, "claims": {"role": "ro-admin", "groups": ["a", "b"]}}],
    p.CAEP + "credential-change": [{**COMMON, "credential_type": t, "change_type": c} for t, c in zip(
        CREDENTIALS, ("create", "revoke", "update", "delete") * 3)] + [
        {**COMMON, "credential_type": "fido2-roaming", "change_type": "create", "friendly_name": "Jane's key",
         "x509_issuer": "CN=x", "x509_serial": "5", "fido2_aaguid": "accced6a-63f5-490a-9eea-e59bc1896cfc"}],
    p.CAEP + "assurance-level-change": [
        {**COMMON, "namespace": "NIST-AAL", "current_level": "nist-aal2", "previous_level": "nist-aal1",
         "change_direction": "increase"}, {"namespace": "RFC8176", "current_level": "x"}],
    p.CAEP + "device-compliance-change": [{**COMMON, "previous_status": "compliant", "current_status": "not-compliant"}],
    p.CAEP + "session-established": [{**COMMON, "fp_ua": "abb0b6e7", "acr": "AAL2", "amr": ["otp"], "ext_id": "1234"}, {}],
    p.CAEP + "session-presented": [{**COMMON, "fp_ua": "abb0b6e7", "ext_id": "12345"}, {}],
    p.CAEP + "risk-level-change": [
        {**COMMON, "principal": "USER", "current_level": "LOW", "previous_level": "HIGH", "risk_reason": "PASSWORD_FOUND"},
        {"principal": "DEVICE", "current_level": "MEDIUM"}],
    p.RISC + "account-credential-change-required": [{}],
    p.RISC + "account-purged": [{}],
    p.RISC + "account-disabled": [{"reason": "hijacking"}, {"reason": "bulk-account"}, {}],
    p.RISC + "account-enabled": [{}],
    p.RISC + "identifier-changed": [{"new-value": "bob@example.com"}],
    p.RISC + "identifier-recycled": [{}],
    p.RISC + "credential-compromise": [{"credential_type": t} for t in CREDENTIALS] + [
        {"credential_type": "password", "event_timestamp": NOW, "reason_admin": "found in a list"}],
    p.RISC + "opt-in": [{}], p.RISC + "opt-out-initiated": [{}], p.RISC + "opt-out-cancelled": [{}],
    p.RISC + "opt-out-effective": [{}], p.RISC + "recovery-activated": [{}],
    p.RISC + "recovery-information-changed": [{}],
    w.FOREIGN: [{"key_id": "k1", "whatever": [1, 2]}],
}
CHANGE = {"credential_type": "password", "change_type": "update", "reason_admin": {"en": "x"}}
RISK = {"principal": "USER", "current_level": "LOW"}
DEVICE = {"previous_status": "compliant", "current_status": "not-compliant"}
LEVEL = {"namespace": "NIST-AAL", "current_level": "nist-aal2"}


def less(event, name):
    return {k: v for k, v in event.items() if k != name}


# (type, event, subject)
BAD_EVENTS = [
    *[(p.SESSION_REVOKED, {"reason_admin": {"en": "x"}, **more}, MAIL) for more in (
        {"initiating_entity": "robot"}, {"initiating_entity": 5}, {"event_timestamp": "now"}, {"event_timestamp": -1},
        {"reason_user": "text"}, {"reason_user": {}}, {"reason_user": {"en": 5}}, {"event_timestamp": {}})],
    *[(p.SESSION_REVOKED, {"reason_admin": v}, MAIL) for v in ({}, "text", [], 5, {"en": 5}, {"en": ""}, None)],
    (p.SESSION_REVOKED, {}, MAIL),  # interoperability profile, section 3.1
    (p.CREDENTIAL_CHANGE, less(CHANGE, "reason_admin"), MAIL),  # section 3.2
    (p.CREDENTIAL_CHANGE, less(CHANGE, "credential_type"), MAIL),
    (p.CREDENTIAL_CHANGE, less(CHANGE, "change_type"), MAIL),
    (p.CREDENTIAL_CHANGE, {**CHANGE, "change_type": "rotate"}, MAIL),
    (p.CREDENTIAL_CHANGE, {**CHANGE, "credential_type": 5}, MAIL),
    (p.CAEP + "token-claims-change", {}, MAIL),
    (p.CAEP + "token-claims-change", {"claims": []}, MAIL),
    (p.CAEP + "token-claims-change", {"claims": "x"}, MAIL),
    (p.CAEP + "assurance-level-change", less(LEVEL, "namespace"), MAIL),
    (p.CAEP + "assurance-level-change", less(LEVEL, "current_level"), MAIL),
    (p.CAEP + "assurance-level-change", {**LEVEL, "change_direction": "up"}, MAIL),
    (p.CAEP + "device-compliance-change", less(DEVICE, "previous_status"), MAIL),
    (p.CAEP + "device-compliance-change", less(DEVICE, "current_status"), MAIL),
    (p.CAEP + "device-compliance-change", {**DEVICE, "previous_status": "unknown"}, MAIL),
    (p.CAEP + "device-compliance-change", {**DEVICE, "current_status": "ok"}, MAIL),
    (p.CAEP + "session-established", {"amr": "otp"}, MAIL),
    (p.CAEP + "session-established", {"amr": [5]}, MAIL),
    (p.CAEP + "session-presented", {"fp_ua": 5}, MAIL),
    (p.CAEP + "session-presented", {"ext_id": []}, MAIL),
    (p.CAEP + "risk-level-change", less(RISK, "principal"), MAIL),
    (p.CAEP + "risk-level-change", less(RISK, "current_level"), MAIL),
    (p.CAEP + "risk-level-change", {**RISK, "current_level": "low"}, MAIL),
    (p.CAEP + "risk-level-change", {**RISK, "previous_level": "NONE"}, MAIL),
    (p.RISC + "identifier-changed", {}, {"format": "iss_sub", "iss": "https://i.example", "sub": "a"}),
    (p.RISC + "identifier-changed", {"new-value": "alice@example.com"}, MAIL),
    (p.RISC + "identifier-recycled", {}, {"format": "opaque", "id": "x"}),
    (p.RISC + "credential-compromise", {}, MAIL),
    (p.RISC + "account-disabled", {"reason": 5}, MAIL),
    (p.RISC + "sessions-revoked", {}, MAIL),  # RISC 1.0 section 2.11
    (w.FOREIGN, {}, MAIL),
    (w.FOREIGN, {"key_id": 5}, MAIL),
]


class Signals(w.Case):
    def test_each_type_is_delivered_as_it_was_given(self):
        types = [*w.CAEP_TYPES, *w.RISC_TYPES, w.FOREIGN]
        self.assertEqual(set(types), set(GOOD))
        stream = self.stream("suite", types)
        self.assertEqual(set(stream["events_delivered"]), set(types))
        sent = {}
        for event_type, events in GOOD.items():
            for event in events:
                made = self.world.emit(event_type, event, PHONE if event_type.endswith("recycled") else MAIL)
                self.assertEqual(set(made), {"signal_id", "txn"})
                sent[made["txn"]] = (event_type, event)
        self.assertEqual(len(sent), sum(map(len, GOOD.values())))
        got = self.client("suite").drain(stream, lambda seen: len(seen) >= len(sent), 20)
        self.assertEqual({c["txn"] for c in got}, set(sent))
        for claims in got:
            event_type, event = sent[claims["txn"]]
            self.assertEqual(claims["_type"], event_type)
            self.assertEqual({k: v for k, v in claims["_event"].items() if k in event}, event)
            self.assertLessEqual(set(claims["_event"]) - set(event), {"event_timestamp"})
            self.assertEqual(claims["sub_id"], PHONE if event_type.endswith("recycled") else MAIL)
            self.assertEqual(claims["_alg"], "RS256")  # interoperability profile, section 2.6

    def test_an_event_without_a_time_of_its_own_gets_the_time_of_its_commit(self):
        stream = self.stream("suite", [p.SESSION_REVOKED])
        self.world.emit(p.SESSION_REVOKED, {"reason_admin": {"en": "x"}})
        claims = self.client("suite").drain(stream, lambda seen: len(seen) >= 1)[0]
        self.assertLessEqual(abs(claims["_event"]["event_timestamp"] - time.time()), 10)

    def test_events_that_their_specification_does_not_allow_are_400(self):
        stream = self.stream("suite", [*w.CAEP_TYPES, *w.RISC_TYPES, w.FOREIGN])
        for event_type, event, subject in BAD_EVENTS:
            self.assert_error(self.world.signal(event_type, event, subject), 400, why=(event_type, event))
        self.assertEqual(self.client("suite").quiet(stream, 0.4), [])

    def test_mission_and_ssf_types_and_unknown_ones_are_400(self):
        for event_type in (*p.MISSION_TYPES, p.LIFECYCLE_CHANGE, p.VERIFICATION, p.UPDATED, p.CAEP + "no-such",
                           "https://nobody.example/x", "", "x", p.CAEP):
            self.assert_error(self.world.signal(event_type, {"reason_admin": {"en": "x"}}), 400, why=event_type)

    def test_members_of_a_wrong_type_are_400(self):
        good = {"type": p.SESSION_REVOKED, "event": {"reason_admin": {"en": "x"}}, "subject": MAIL, "audience": "all"}
        wrong = [{m: v} for m in ("type", "txn") for v in (5, [], {}, True)]
        wrong += [{"event": v} for v in (5, "x", [], True)] + [{"subject": v} for v in (5, "x", [], [MAIL], True)]
        wrong += [{"audience": v} for v in (5, {}, True, "suite", [5], [], [None], ["no such client"])]
        wrong += [{"txn": ""}, {"txn": "x" * 10_000}]
        for change in wrong:
            self.assert_error(self.client("emitter")("POST", "/signals", {**good, **change}), 400, why=change)
        for name in ("type", "event", "subject", "audience"):
            self.assert_error(self.client("emitter")("POST", "/signals", less(good, name)), 400, why=name)

    def test_malformed_subjects_are_400(self):
        from subject_checks import BAD
        for subject in BAD:
            body = {"type": p.SESSION_REVOKED, "event": {"reason_admin": {"en": "x"}}, "subject": subject,
                    "audience": "all"}
            self.assert_error(self.client("emitter")("POST", "/signals", body), 400, why=subject)

    def test_every_format_of_a_subject_is_delivered_unchanged(self):
        from subject_checks import GOOD as SUBJECTS
        stream = self.stream("suite", [p.SESSION_REVOKED])
        sent = {self.world.emit(p.SESSION_REVOKED, {"reason_admin": {"en": "x"}}, s)["txn"]: s for s in SUBJECTS}
        got = self.client("suite").drain(stream, lambda seen: len(seen) >= len(sent))
        self.assertEqual({c["txn"]: c["sub_id"] for c in got}, sent)

    def test_an_audience_names_who_is_told(self):
        suite, static = self.stream("suite", [p.SESSION_REVOKED]), self.stream("static", [p.SESSION_REVOKED])
        self.world.emit(p.SESSION_REVOKED, {"reason_admin": {"en": "x"}}, audience=["static"], txn="for static")
        self.assertEqual([c["txn"] for c in self.client("static").quiet(static, 0.5)], ["for static"])
        self.assertEqual(self.client("suite").quiet(suite, 0.4), [])

    def test_all_is_for_who_may_say_all(self):
        answer = self.world.signal(p.SESSION_REVOKED, {"reason_admin": {"en": "x"}}, client="narrow")
        self.assert_error(answer, 403)
        answer = self.world.signal(p.SESSION_REVOKED, {"reason_admin": {"en": "x"}}, client="narrow", audience=["suite"])
        self.assertEqual(answer.status, 202, answer)

    def test_types_that_were_not_requested_are_not_sent(self):
        stream = self.stream("suite", [p.CREDENTIAL_CHANGE])
        self.world.emit(p.SESSION_REVOKED, {"reason_admin": {"en": "x"}})
        self.world.emit(p.CREDENTIAL_CHANGE, CHANGE)
        self.assertEqual([c["_type"] for c in self.client("suite").quiet(stream, 0.6)], [p.CREDENTIAL_CHANGE])

    def test_asking_twice_with_one_key_emits_once(self):
        stream = self.stream("suite", [p.SESSION_REVOKED])
        body = {"type": p.SESSION_REVOKED, "event": {"reason_admin": {"en": "x"}}, "subject": MAIL, "audience": "all"}
        answers = [self.client("emitter")("POST", "/signals", body, {"Idempotency-Key": "once"}) for _ in range(2)]
        self.assertEqual([a.status for a in answers], [202, 202])
        self.assertEqual(answers[0].json(), answers[1].json())
        self.assertEqual(len(self.client("suite").quiet(stream, 0.6)), 1)

    def test_a_scope_is_needed(self):
        self.assert_error(self.world.signal(p.SESSION_REVOKED, {"reason_admin": {"en": "x"}}, client="suite"), 403,
                          "insufficient_scope")

    def test_two_held_events_about_one_person_arrive_in_order(self):
        stream, suite = self.stream("suite", [p.SESSION_REVOKED, p.CREDENTIAL_CHANGE]), self.client("suite")
        suite("POST", "/ssf/status", {"stream_id": stream["stream_id"], "status": "paused"})
        txns = [self.world.emit(t, e, txn=f"order {n}")["txn"] for n, (t, e) in enumerate(
            [(p.SESSION_REVOKED, {"reason_admin": {"en": "x"}}), (p.CREDENTIAL_CHANGE, CHANGE)] * 3)]
        suite("POST", "/ssf/status", {"stream_id": stream["stream_id"], "status": "enabled"})
        got = [c["txn"] for c in suite.drain(stream, lambda seen: len(seen) >= 6)]
        self.assertEqual(got, txns)
