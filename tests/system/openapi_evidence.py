"""What is said and kept about missions, as the OpenAPI document has it: reports, history, audit, status lists,
and the limits of how often one may ask. A part of openapi_test.py.
"""
import datetime
import json
import secrets
import time

import harness as h

# A list that nothing fresh can be said of needs a clock in doubt.
UNPROVOKABLE = {("read_status_list", "503")}

CONFIG = """
[[report_rule]]
name = "finish"
kind = "completed"
action = "complete"
client = ["one"]
[missions]
status_rate = 20
lifecycle_rate = 20
report_rate = 60
"""


class Evidence:
    def report(self, mid, kind="completed", expect=202, client="one", **more):
        return self.ask("POST", f"/missions/{mid}/reports", {"kind": kind, "detail": "as planned"}, expect, client, **more)

    def test_22_reports_become_operations(self):
        mission = self.mission(resource="https://two.example")
        mid = mission["mission_id"]
        evidence = self.t.clients["one"].key.jwt({"paid": 7}, "JWT")
        key = {"Idempotency-Key": secrets.token_urlsafe(9)}
        body = {"kind": "teardown", "detail": {"stopped": 2}, "evidence": evidence}
        first = self.ask("POST", f"/missions/{mid}/reports", body, 202, headers=key)
        self.assertEqual(self.ask("POST", f"/missions/{mid}/reports", body, 202, headers=key), first)
        waits = self.report(mid, "failed")["report_id"]
        dismissed = self.report(mid, "anomaly", client="two")["report_id"]
        done = self.report(mid)
        self.assertEqual((done["state"], done["decision"]["rule"]), ("completed", "finish"))
        page = self.ask("GET", f"/missions/{mid}/reports", query=[("limit", 2)])
        rest = self.ask("GET", f"/missions/{mid}/reports", query=[("cursor", page["next_cursor"])])
        self.assertEqual([r["report_id"] for r in page["reports"] + rest["reports"]],
                         [first["report_id"], waits, dismissed, done["report_id"]])
        self.assertEqual(len(self.ask("GET", f"/missions/{mid}/reports", client="two")["reports"]), 1)

        inbox = self.ask("GET", "/admin/reports", query=[("status", "open"), ("limit", 1)])
        self.ask("GET", "/admin/reports", query=[("cursor", inbox["next_cursor"])])
        no = {"decision": "dismiss", "reason": "known"}
        decided = self.ask("POST", "/admin/reports/" + dismissed, no)
        self.assertEqual(decided["decision"]["client_id"], "one")
        self.ask("POST", "/admin/reports/" + dismissed, no, 409)
        seen = self.ask("GET", "/missions/" + mid)
        self.assertEqual(seen["reports"], {"open": 1, "acted": 1, "dismissed": 1})
        self.assertEqual((seen["teardown"][0]["detail"], seen["teardown"][0]["status"]), ({"stopped": 2}, "reported"))
        self.stream("two")
        stream, = [s for s in self.ask("GET", "/missions/" + mid)["streams"] if s["client_id"] == "two"]
        self.assertEqual(stream["teardown"], "not_reported")
        self.assertEqual(seen["ended"]["by"]["origin"], "rule finish")

    def test_23_history(self):
        first = self.mission()["mission_id"]
        end = (datetime.datetime.utcnow() + datetime.timedelta(minutes=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.mission_form("/mission/lifecycle", {"mission_id": first, "operation": "suspend", "suspend_until": end,
                                                 "on_expiry": "resume", "reason": "a look"})
        self.mission_form("/mission/lifecycle", {"mission_id": first, "operation": "resume"})
        self.ask("POST", f"/missions/{first}/scope", {
            "change": "narrowed", "expires_at": end, "reason": "shorter",
            "approver": {"iss": "https://idp.example", "sub": "alice"}})
        second = self.mission(predecessor=first)["mission_id"]
        path = f"/missions/{first}/history"
        history = self.ask("GET", path)
        self.assertEqual([v["state"] for v in history["versions"]],
                         ["active", "suspended", "active", "active", "superseded"])
        self.assertEqual(history["versions"][-1]["successor"], second)
        self.assertEqual(self.ask("GET", "/missions/" + second)["predecessor"], first)
        told = h.jwt_claims(self.mission_form("/mission/status", {"mission_id": first}))["mission"]
        self.assertEqual((told["state"], told["successor"]), ("superseded", second))
        page = self.ask("GET", path, query=[("limit", 2)])
        self.assertEqual(len(self.ask("GET", path, query=[("cursor", page["next_cursor"])])["versions"]), 3)
        self.ask("GET", path, query=[("limit", 0)], expect=400)
        for v in history["versions"]:
            then = self.ask("GET", "/missions/" + first, query=[("at", v["committed_at"])])
            self.assertEqual((then["version"], then["active"]), (v["version"], v["state"] == "active"))
        self.ask("GET", "/missions/" + first, query=[("at", "2999-01-01T00:00:00Z")], expect=400)
        self.ask("GET", "/missions/" + first, query=[("at", "2001-01-01T00:00:00Z")], expect=404)

    def test_24_what_bound_a_child_before_it_was_written(self):
        def one():
            parent = self.mission()["mission_id"]
            child = self.mission(parent=parent)["mission_id"]
            self.assertEqual(self.ask("GET", "/missions/" + child)["family"]["ancestors"][0]["mission_id"], parent)
            self.mission_form("/mission/lifecycle", {"mission_id": parent, "operation": "suspend"})
            self.assertEqual(self.ask("GET", "/missions/" + child)["own_state"], "active")
            self.mission_form("/mission/lifecycle", {"mission_id": parent, "operation": "revoke"})
            last = self.ask("GET", f"/missions/{child}/history")["versions"][-1]
            self.assertEqual(last["state"], "cascaded")
            return (child, last) if "bound_at" in last else None
        child, last = h.wait_for(one, 30, 0.1, "a child written later than it was bound")
        then = self.ask("GET", "/missions/" + child, query=[("at", last["bound_at"])])
        self.assertEqual((then["state"], then["active"], then["bound"]["version"]), ("suspended", False, last["version"]))
        self.assertIn("bound_at", self.ask("GET", "/missions/" + child)["ended"])

    def test_25_audit(self):
        mid = self.mission()["mission_id"]
        page = self.ask("GET", "/admin/audit", query=[("limit", 1)])
        self.ask("GET", "/admin/audit", query=[("cursor", page["next_cursor"])], admin=True)
        entries = self.ask("GET", "/admin/audit", query=[("mission", mid)])["entries"]
        self.assertEqual([(e["action"], e["target"]) for e in entries], [("mission.create", mid)])
        self.ask("GET", "/admin/audit", query=[("cursor", "x")], expect=400)
        lines = self.ask("GET", "/admin/audit", headers={"Accept": "application/x-ndjson"}, query=[("limit", 2)])
        schema = {"$ref": "#/components/schemas/audit_entry"}
        for line in lines.split("\n")[:-1]:
            self.document.conforms(schema, json.loads(line), "a line")
        self.ask("GET", "/admin/audit", headers={"Accept": "application/x-ndjson"}, query=[("mission", mid)])

    def test_26_status_lists(self):
        mid = self.mission()["mission_id"]
        place = h.jwt_claims(self.mission_form("/mission/status", {"mission_id": mid}))["mission"]["status_list"]
        self.assertEqual(place["uri"], self.t.url + "/status-lists/0")
        status, headers, token = self.call("GET", "/status-lists/0")
        self.assertEqual(status, 200)
        self.assertEqual(h.jwt_claims(token)["sub"], place["uri"])
        self.assertEqual(self.call("GET", "/status-lists/99999")[0], 404)
        self.assertLessEqual(int(headers["cache-control"].split("=")[1]), h.jwt_claims(token)["ttl"])

    def test_27_limits(self):
        def until(status, ask):
            for _ in range(400):
                if ask() == status:
                    return
            self.fail(f"no {status}")
        for path, more in (("/mission/status", {}), ("/mission/lifecycle", {"operation": "revoke"})):
            wanted, = self.document.find("POST", path)[2]["security"][0]["token"]
            headers = self.bearer(scope=wanted)
            fields = {"mission_id": "m" * 22, "nonce": "n", **more}
            until(429, lambda: self.form(path, fields, headers)[0])
        mid = self.mission()["mission_id"]
        for _ in range(50):
            self.report(mid, "anomaly")
        self.report(mid, "anomaly", 409)
        until(429, lambda: self.call("POST", f"/missions/{'m' * 22}/reports", "{", self.bearer(),
                                     content_type="application/json")[0])
        time.sleep(1.5)  # the buckets have some again for what follows
