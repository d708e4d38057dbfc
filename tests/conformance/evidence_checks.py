"""Token status lists (draft-ietf-oauth-status-list) and the audit's chain, read by programs that share no code with
the transmitter: zlib and jwcrypto here, hashlib and RFC 8785 as Python's json has it."""
import base64
import hashlib
import json
import time
import zlib

from jwcrypto import jws

import peer as p
import world as w


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class StatusLists(w.Case):
    def reference(self, mission_id):
        answer = self.world.form("erp", "/mission/status", mission_id=mission_id, nonce="n")
        self.assertEqual(answer.status, 200, answer)
        claims = json.loads(unb64(answer.body.decode().split(".")[1]))
        return claims["mission"]["status_list"]

    def read(self, uri):
        """A relying party's steps: fetch, verify, check the claims, inflate. -> (claims, value of an index)"""
        path = uri.removeprefix(f"https://localhost:{self.world.port}")
        answer = self.world.anyone("GET", path, headers={"Accept": "application/statuslist+jwt"})
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.headers["content-type"], "application/statuslist+jwt")
        token = answer.body.decode()
        header = json.loads(unb64(token.split(".")[0]))
        self.assertEqual((header["typ"], header["alg"]), ("statuslist+jwt", "ES256"))
        seen = jws.JWS()
        seen.allowed_algs = ["ES256"]
        erp = self.client("erp")
        seen.deserialize(token, erp.keys().get_key(header["kid"]) or erp.keys(again=True).get_key(header["kid"]))
        claims = json.loads(seen.payload)
        self.assertEqual((claims["iss"], claims["sub"]), (self.world.issuer, uri))
        now = time.time()
        self.assertLessEqual(claims["iat"], now + 1)
        self.assertGreater(claims["exp"], now)
        self.assertEqual(claims["exp"] - claims["iat"], claims["ttl"])
        kept = int(answer.headers["cache-control"].removeprefix("max-age="))
        self.assertLessEqual(now + kept, claims["exp"] + 1)
        bits = claims["status_list"]["bits"]
        octets = zlib.decompress(unb64(claims["status_list"]["lst"]))
        return claims, lambda i: octets[i * bits // 8] >> (i * bits % 8) & ((1 << bits) - 1)

    def test_a_relying_party_that_only_polls_sees_each_state(self):
        wanted = {}
        for operation, value in ((None, 0), ("suspend", 2), ("revoke", 1), ("complete", 1)):
            mission_id = self.world.mission()["mission_id"]
            if operation:
                self.world.lifecycle(mission_id, operation)
            place = self.reference(mission_id)
            wanted[place["idx"]] = (place["uri"], value)
        self.assertEqual(len(wanted), 4)
        end = time.time() + 10
        while True:  # a list stands for a second
            got = {i: (uri, self.read(uri)[1](i)) for i, (uri, _) in wanted.items()}
            if got == wanted or time.time() > end:
                break
            time.sleep(0.2)
        self.assertEqual(got, wanted)

    def test_a_resumed_mission_is_valid_again_and_an_ended_one_never(self):
        mission_id = self.world.mission()["mission_id"]
        place = self.reference(mission_id)

        def becomes(value):
            end = time.time() + 10
            while self.read(place["uri"])[1](place["idx"]) != value:
                self.assertLess(time.time(), end, value)
                time.sleep(0.2)
        becomes(0)
        for operation, value in (("suspend", 2), ("resume", 0), ("revoke", 1)):
            self.world.lifecycle(mission_id, operation)
            becomes(value)
        self.assertEqual(self.reference(mission_id), place)

    def test_an_index_does_not_follow_from_the_order_of_missions(self):
        places = [self.reference(self.world.mission()["mission_id"])["idx"] for _ in range(6)]
        self.assertEqual(len(set(places)), 6)
        steps = {b - a for a, b in zip(places, places[1:])}
        self.assertGreater(len(steps), 3, places)
        self.assertGreater(max(places), 1000, places)

    def test_a_list_that_is_not_there_is_404_without_more_words(self):
        for number in ("1", "-1", "00", "x"):
            self.assert_error(self.world.anyone("GET", f"{self.world.path}/status-lists/{number}"), 404, why=number)


class Audit(w.Case):
    def lines(self, query=""):
        answer = self.client("operator")("GET", "/admin/audit" + query, headers={"Accept": "application/x-ndjson"})
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.headers["content-type"], "application/x-ndjson")
        return answer.body.decode().split("\n")[:-1]  # U+2028 may stand within a line

    def test_the_chain_can_be_recomputed_from_the_export(self):
        mission_id = self.world.mission()["mission_id"]
        self.world.lifecycle(mission_id, "suspend", reason="Größe \"unklar\" \u2028 \\ /")
        self.world.lifecycle(mission_id, "revoke")
        previous, last, cursor, mine = "", 0, 0, []
        while page := self.lines(f"?limit=50&cursor={cursor}"):
            for line in page:
                entry = json.loads(line)
                given = entry.pop("hash")
                # RFC 8785: sorted names, no white space; the values here are strings, integers and such objects.
                text = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
                hashed = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
                self.assertEqual(given, hashed, line)
                self.assertEqual(entry["previous"], previous)
                self.assertGreater(entry["seq"], last)
                self.assertEqual(entry["issuer"], self.world.issuer)
                previous, last = given, entry["seq"]
                if entry["target"] == mission_id:
                    mine.append((entry["action"], entry["actor"], entry["outcome"], entry["version"]))
            cursor = last
        self.assertEqual(mine, [("mission.create", "operator", "done", 1), ("lifecycle.suspend", "operator", "done", 2),
                                ("lifecycle.revoke", "operator", "done", 3)])

    def test_the_four_questions_of_an_auditor(self):
        made = self.world.mission()
        mission_id, operator = made["mission_id"], self.client("operator")
        accessed_at = made["changed_at"]
        time.sleep(0.05)
        self.world.lifecycle(mission_id, "revoke", reason="the books are closed")
        # Under which mission, and was it active at that moment?
        then = operator("GET", f"/missions/{mission_id}?at={accessed_at}").json()
        self.assertEqual((then["active"], then["version"], then["state"]), (True, 1, "active"))
        # Who approved it?
        self.assertEqual(then["approver"], {"iss": "https://idp.example", "sub": "alice"})
        # When and why did it end?
        now = operator("GET", "/missions/" + mission_id).json()
        self.assertEqual((now["ended"]["state"], now["ended"]["reason"], now["ended"]["by"]["actor"]),
                         ("revoked", "the books are closed", "operator"))
        after = operator("GET", f"/missions/{mission_id}?at={now['ended']['at']}").json()
        self.assertEqual((after["active"], after["version"]), (False, 2))
        entry = operator("GET", f"/admin/audit?cursor={now['ended']['by']['audit_seq'] - 1}&limit=1").json()["entries"][0]
        self.assertEqual((entry["target"], entry["version"], entry["detail"]["reason"]),
                         (mission_id, 2, "the books are closed"))


class Reports(w.Case):
    def test_who_may_know_may_report_and_nobody_else(self):
        mission_id = self.world.mission()["mission_id"]
        body = {"kind": "completed", "detail": "all invoices are paid"}
        for client, status in (("erp", 202), ("crm", 404), ("operator", 202)):
            answer = self.client(client)("POST", f"/missions/{mission_id}/reports", body)
            self.assertEqual(answer.status, status, (client, answer))
        self.assert_error(self.client("suite")("POST", f"/missions/{mission_id}/reports", body), 403)
        self.assert_error(self.world.anyone("POST", f"{self.world.path}/missions/{mission_id}/reports", body), 401)
        listed = self.client("operator")("GET", f"/missions/{mission_id}/reports").json()["reports"]
        self.assertEqual([r["client_id"] for r in listed], ["erp", "operator"])
        evidence = p.sign(self.client("erp").key, {"paid": 7})
        answer = self.client("erp")("POST", f"/missions/{mission_id}/reports", {**body, "evidence": evidence})
        self.assertEqual(answer.status, 202, answer)
        forged = p.sign(self.client("crm").key, {"paid": 7})
        self.assert_error(self.client("erp")("POST", f"/missions/{mission_id}/reports", {**body, "evidence": forged}), 400)
