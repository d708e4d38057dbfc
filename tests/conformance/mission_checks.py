"""Missions as a receiver sees them: both vocabularies, the bridge to CAEP, visibility, signed status."""
import json
import time

import peer as p
import world as w


class Missions(w.Case):
    def events_of(self, client, stream, count):
        got = self.client(client).drain(stream, lambda seen: len(seen) >= count)
        self.assertEqual(len(got), count)
        return got

    def test_each_change_is_told_in_order_with_its_version(self):
        stream = self.stream("erp", p.MISSION_TYPES)
        mission_id = self.world.mission()["mission_id"]
        for operation in ("suspend", "resume", "revoke"):
            self.world.lifecycle(mission_id, operation)
        got = self.events_of("erp", stream, 4)
        self.assertEqual([c["_type"].removeprefix(p.OURS) for c in got],
                         ["mission-activated", "mission-suspended", "mission-resumed", "mission-revoked"])
        self.assertEqual([c["_event"]["version"] for c in got], [1, 2, 3, 4])
        self.assertEqual([c["_event"]["state"] for c in got], ["active", "suspended", "active", "revoked"])
        self.assertNotIn("prior_state", got[0]["_event"])
        for claims in got:
            event, subject = claims["_event"], claims["sub_id"]
            self.assertEqual(event["mission"]["id"], mission_id)
            self.assertEqual(event["mission"]["issuer"], self.world.issuer)
            self.assertEqual(subject["format"], "complex")
            self.assertEqual(subject["mission"], {"format": "opaque", "id": mission_id})
            self.assertEqual(subject["application"],
                             {"format": "iss_sub", "iss": self.world.issuer, "sub": "agent-1"})
            self.assertEqual(set(subject), {"format", "mission", "application"})
            for name in ("log_epoch", "committed_at", "event_timestamp", "initiating_entity"):
                self.assertIn(name, event)
            self.assertEqual(int(event["event_timestamp"]), claims["iat"])
            # What may not be known of people: nothing of it without `disclose`.
            self.assertNotIn("alice", json.dumps({k: v for k, v in claims.items() if not k.startswith("_")}))
            self.assertNotIn("subject", event)
        self.assertEqual(len({c["txn"] for c in got}), 4)
        self.assertEqual({json.dumps(c["sub_id"], sort_keys=True) for c in got}.__len__(), 1)

    def test_both_vocabularies_are_two_sets_with_one_txn(self):
        stream = self.stream("erp-both", p.MISSION_TYPES + [p.LIFECYCLE_CHANGE])
        mission_id = self.world.mission()["mission_id"]
        self.world.lifecycle(mission_id, "complete")
        got = self.events_of("erp-both", stream, 4)
        by_txn = {}
        for claims in got:
            by_txn.setdefault(claims["txn"], set()).add(claims["_type"])
            if claims["_type"] == p.LIFECYCLE_CHANGE:
                self.assertEqual(claims["sub_id"], {"format": "opaque", "id": mission_id})
        self.assertEqual(sorted(map(sorted, by_txn.values())),
                         sorted(sorted({p.LIFECYCLE_CHANGE, p.OURS + n}) for n in ("mission-activated", "mission-completed")))
        self.assertEqual(len({c["jti"] for c in got}), 4)

    def test_only_who_may_know_is_told(self):
        erp, crm = self.stream("erp", p.MISSION_TYPES), self.stream("crm", p.MISSION_TYPES)
        mission_id = self.world.mission()["mission_id"]
        self.world.lifecycle(mission_id, "revoke")
        self.events_of("erp", erp, 2)
        self.assertEqual(self.client("crm").quiet(crm, 0.5), [])

    def test_a_client_is_told_of_people_and_tenants_only_as_disclosed(self):
        open_, shut = self.stream("erp-open", p.MISSION_TYPES), self.stream("erp", p.MISSION_TYPES)
        self.world.mission(tenant="acme", subject={"iss": "https://idp.example", "sub": "dave"})
        told = self.events_of("erp-open", open_, 1)[0]
        self.assertEqual(told["sub_id"]["user"], {"format": "iss_sub", "iss": "https://idp.example", "sub": "dave"})
        self.assertEqual(told["sub_id"]["tenant"], {"format": "opaque", "id": "acme"})
        self.assertEqual(told["_event"]["tenant"], "acme")
        untold = json.dumps({k: v for k, v in self.events_of("erp", shut, 1)[0].items() if not k.startswith("_")})
        self.assertNotIn("dave", untold)
        self.assertNotIn("acme", untold)

    def test_streams_without_caep_events_are_signed_es256(self):
        stream = self.stream("erp", p.MISSION_TYPES)
        self.world.mission()
        self.assertEqual(self.events_of("erp", stream, 1)[0]["_alg"], "ES256")

    def test_the_end_of_a_mission_is_a_session_revoked_on_a_bridged_stream(self):
        for end in ("revoke", "complete", "suspend"):
            stream = self.stream("bridge", [p.SESSION_REVOKED])
            mission_id = self.world.mission()["mission_id"]
            self.world.lifecycle(mission_id, end)
            claims = self.events_of("bridge", stream, 1)[0]
            self.assertEqual(claims["_type"], p.SESSION_REVOKED)
            self.assertEqual(claims["sub_id"], {
                "format": "complex", "session": {"format": "opaque", "id": mission_id},
                "application": {"format": "iss_sub", "iss": self.world.issuer, "sub": "agent-1"}})
            self.assertTrue(claims["_event"]["reason_admin"])
            self.assertTrue(all(isinstance(v, str) and v for v in claims["_event"]["reason_admin"].values()))
            self.assertEqual(claims["_event"]["event_timestamp"], claims["iat"])
            self.assertIn(claims["_event"]["initiating_entity"], ("admin", "user", "policy", "system"))
            self.assertEqual(claims["_alg"], "RS256")
            if end == "suspend":
                self.world.lifecycle(mission_id, "revoke")  # it was not active any more
                self.assertEqual(self.client("bridge").quiet(stream, 0.5), [])
            self.client("bridge").delete(stream)

    def test_the_bridge_to_persons_names_the_person(self):
        stream = self.stream("bridge-user", [p.SESSION_REVOKED])
        mission_id = self.world.mission(subject={"iss": "https://idp.example", "sub": "erin"})["mission_id"]
        self.world.lifecycle(mission_id, "revoke")
        claims = self.events_of("bridge-user", stream, 1)[0]
        self.assertEqual(claims["sub_id"], {"format": "iss_sub", "iss": "https://idp.example", "sub": "erin"})

    def test_a_status_is_signed_for_who_asked(self):
        mission_id = self.world.mission()["mission_id"]
        answer = self.world.form("erp", "/mission/status", mission_id=mission_id, nonce="n-1",
                                 audience="https://erp.example")
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.headers["content-type"], "application/mission-status-response+jwt")
        self.assertEqual(answer.headers["cache-control"], "no-store")
        seen = p.jws.JWS()
        seen.allowed_algs = ["ES256"]
        seen.deserialize(answer.body.decode())
        header = json.loads(seen.objects["protected"])
        self.assertEqual(header["typ"], "mission-status-response+jwt")
        seen.verify(self.client("erp").keys(again=True).get_key(header["kid"]))
        claims = json.loads(seen.payload)
        self.assertEqual((claims["iss"], claims["aud"], claims["sub"], claims["nonce"]),
                         (self.world.issuer, "https://erp.example", "erp", "n-1"))
        self.assertTrue(claims["iat"] <= time.time() + 1 < claims["exp"])
        self.assertEqual((claims["mission"]["id"], claims["mission"]["state"], claims["mission"]["version"]),
                         (mission_id, "active", 1))
        self.assertEqual(claims["authorization_details"][0]["resource"], "https://erp.example")

    def test_a_mission_that_is_anothers_answers_as_none_does(self):
        mission_id = self.world.mission()["mission_id"]
        answers = []
        for asked in (mission_id, "A" * len(mission_id)):
            status = self.world.form("crm", "/mission/status", mission_id=asked, nonce="same")
            operation = self.world.form("crm", "/mission/lifecycle", mission_id=asked, nonce="same", operation="revoke")
            resource = self.client("crm")("GET", "/missions/" + asked)
            for answer in (status, operation, resource):
                self.assert_error(answer, 404)
            answers.append([(a.body, {k: v for k, v in a.headers.items() if k != "date"})
                            for a in (status, operation, resource)])
        self.assertEqual(answers[0], answers[1])

    def test_a_plain_bearer_token_does_not_open_the_forms_and_a_bound_one_does(self):
        mission_id = self.world.mission()["mission_id"]
        erp = self.client("erp")
        form = f"mission_id={mission_id}&nonce=n"
        answer = erp.http("POST", "/mission/status", form, erp.bearer(), p.FORM)
        self.assert_error(answer, 401, "unauthorized")
        url, key = self.world.issuer + "/mission/status", p.make_key()
        token = erp.token_request(headers={"DPoP": p.dpop_proof(key, "POST", self.world.issuer + "/oauth/token")},
                                  resource=url, scope="mission_status").json()
        self.assertEqual(token["token_type"], "DPoP", token)
        answer = erp.http("POST", "/mission/status", form, {
            "Authorization": "DPoP " + token["access_token"],
            "DPoP": p.dpop_proof(key, "POST", url, token["access_token"])}, p.FORM)
        self.assertEqual(answer.status, 200, answer)

    def test_a_narrowing_hides_no_later_end(self):
        stream = self.stream("crm", p.MISSION_TYPES)
        details = [{"type": "mission_resource_access", "resource": f"https://{r}.example", "actions": ["read"]}
                   for r in ("erp", "crm")]
        mission = self.world.mission(authorization_details=details)
        answer = self.client("operator")("POST", f"/missions/{mission['mission_id']}/scope", {
            "change": "narrowed", "authorization_details": details[:1], "reason": "less is enough",
            "approver": {"iss": "https://idp.example", "sub": "alice"}})
        self.assertEqual(answer.status, 200, answer)
        self.world.lifecycle(mission["mission_id"], "revoke")
        got = self.events_of("crm", stream, 3)
        self.assertEqual([c["_type"].removeprefix(p.OURS) for c in got],
                         ["mission-activated", "mission-scope-changed", "mission-revoked"])
        self.assertEqual(got[1]["_event"]["authorization_details"], [])
        self.assertNotIn("erp.example", json.dumps(got[0]["_event"]))
