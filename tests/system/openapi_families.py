"""Children, successors, amendments and mirrors as the OpenAPI document has them. A part of openapi_test.py."""
import harness as h

CONFIG = """
[[issuer]]
url = "@URL@/mirror"
mode = "mirror"
"""
BELOW = "/mirror"
APPROVER = {"iss": "https://idp.example", "sub": "alice"}


def clients(folder, **common):
    return [h.Client("mirrored", folder, audience="https://erp.example", missions="all",
                     **{**common, "issuer": "@URL@" + BELOW})]


class Families:
    def test_29_families(self):
        parent = self.mission()
        pid = parent["mission_id"]
        child = self.mission(parent=pid, seconds=600)
        self.assertEqual(child["parent"], pid)
        found = self.ask("GET", "/missions", query=[("parent", pid)])["missions"]
        self.assertEqual([m["mission_id"] for m in found], [child["mission_id"]])
        beyond = self.ask("POST", "/missions", h.mission_body(parent=pid, actions=("pay",)), 403)
        self.assertEqual(beyond["err"], "exceeds_authority")
        self.assertTrue(beyond["description"].startswith("/authorization_details/0/actions"))
        self.ask("POST", "/missions", h.mission_body(parent="n" * 22), 400)

        self.mission_form("/mission/lifecycle", {"mission_id": pid, "operation": "suspend"})
        held = self.ask("GET", "/missions/" + child["mission_id"])
        self.assertEqual((held["state"], held["own_state"]), ("suspended", "active"))
        told = h.jwt_claims(self.mission_form("/mission/status", {"mission_id": child["mission_id"]}))["mission"]
        self.assertEqual((told["parent"]["id"], told["parent"]["state"]), (pid, "suspended"))
        self.ask("POST", "/missions", h.mission_body(parent=pid, seconds=600), 409)
        self.mission_form("/mission/lifecycle", {"mission_id": pid, "operation": "resume"})

        successor = self.mission(predecessor=pid, actions=("invoices.read", "pay"))
        self.assertEqual(successor["predecessor"], pid)
        old = self.ask("GET", "/missions/" + pid)
        self.assertEqual((old["state"], old["successor"]), ("superseded", successor["mission_id"]))
        self.assertEqual(self.ask("GET", "/missions/" + child["mission_id"])["state"], "cascaded")
        self.ask("POST", "/missions", h.mission_body(predecessor=pid), 409)

    def test_29_amendments(self):
        self.token("there", at="/tenant")

        def ask(path, body, expect=200):
            return self.ask("POST", path, body, expect, "there", below="/tenant")
        body = h.mission_body(actions=("a", "b"))
        wide, narrow = body["authorization_details"], [{**body["authorization_details"][0], "actions": ["a"]}]
        parent = ask("/missions", body, 201)["mission_id"]
        child = ask("/missions", {**body, "authorization_details": narrow, "parent": parent}, 201)["mission_id"]
        amendment = {"change": "extended", "approver": APPROVER, "reason": "more"}
        path = f"/missions/{child}/scope"
        self.assertEqual(ask(path, {**amendment, "authorization_details": wide})["authorization_details"], wide)
        later = {**amendment, "expires_at": "2099-01-01T00:00:00Z"}
        self.assertEqual(ask(path, later, 403)["err"], "exceeds_authority")
        self.assertEqual(ask(path, {**amendment, "authorization_details": narrow}, 400)["err"], "invalid_request")

    def test_29_mirror(self):
        self.token("mirrored", at=BELOW)
        mid = self.ask("POST", "/missions", h.mission_body(), 201, "mirrored", below=BELOW)["mission_id"]
        at = {"committed_at": "2026-01-01T00:00:00Z"}

        def report(*items, expect=200):
            return self.ask("POST", f"/missions/{mid}/transitions", [{**at, **i} for i in items], expect, "mirrored",
                            below=BELOW)
        answer = report({"state": "suspended", "version": 2, "reason": "audit", "on_expiry": "resume",
                         "suspend_until": "2099-01-01T00:00:00Z"},
                        {"state": "active", "version": 4})
        self.assertEqual([o["outcome"] for o in answer["outcomes"]], ["applied", "waiting"])
        self.assertEqual((answer["state"], answer["version"]), ("suspended", 2))
        # The fourth waited for the third, and follows it at once.
        answer = report({"state": "active", "version": 4, "missing": True}, {"state": "suspended", "version": 3})
        self.assertEqual([o["outcome"] for o in answer["outcomes"]], ["repeated", "applied"])
        answer = report({"state": "active", "version": 8, "missing": True, "authorization_details": [],
                         "expires_at": "2099-01-01T00:00:00Z"})
        self.assertTrue(answer["outcomes"][0]["declared_gap"])
        conflict = report({"state": "revoked", "version": 2},
                          {"state": "superseded", "version": 9, "successor": "s" * 22}, expect=409)
        self.assertEqual([o["outcome"] for o in conflict["outcomes"]], ["conflict", "applied"])
        self.assertEqual((conflict["state"], conflict["version"]), ("superseded", 9))
        self.assertEqual(self.ask("GET", "/missions/" + mid, client="mirrored", below=BELOW)["state"], "superseded")

        # Here nothing is decided, and elsewhere nothing is reported.
        scope = {"change": "narrowed", "approver": APPROVER, "reason": "less", "authorization_details": []}
        self.ask("POST", f"/missions/{mid}/scope", scope, 409, "mirrored", below=BELOW)
        ours = self.mission()["mission_id"]
        self.ask("POST", f"/missions/{ours}/transitions", [{**at, "state": "revoked", "version": 2}], 409)
