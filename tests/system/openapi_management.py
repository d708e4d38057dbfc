"""Mission management as the OpenAPI document has it. A part of openapi_test.py."""
import secrets

import harness as h

# More lines of [missions].
CONFIG = "manage_rate = 20\nbulk_limit = 3\n"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# What was wrong with a mission that a bulk operation could not process: a fault of ours.
UNPROVOKABLE_MEMBERS = {"#/components/schemas/management_claims/oneOf/2/properties/results/items/properties/detail"}
PATH = "/mission/manage"


def clients(folder, **common):
    """Whoever manages the missions of one tenant and one agent."""
    return [h.Client("warden", folder, audience="https://warden.example", lifecycle=["revoke"],
                     missions={"tenants": ["t-warden"], "agents": ["agent-warden"]}, **common)]


class Management:
    def manage(self, members, expect=200, client="one", **more):
        """-> the claims of a signed answer, or the error."""
        body = {"nonce": secrets.token_urlsafe(9), "client_assertion_type": ASSERTION, **members}
        if "client_assertion" not in body:
            body["client_assertion"] = self.t.clients[client].assertion(self.t.url + PATH)
        status, _, answer = self.call("POST", PATH, {k: v for k, v in body.items() if v is not None}, **more)
        self.assertEqual(status, expect, answer)
        return h.jwt_claims(answer) if status == 200 else answer

    @staticmethod
    def enumerate(mission_filter, **more):
        return {"operation": "enumerate", "purpose": "a look", "filter": mission_filter, **more}

    @staticmethod
    def bulk(operation, mode, mission_filter, **more):
        return {"operation": operation, "mode": mode, "reason": "an incident", "filter": mission_filter, **more}

    def test_28_management(self):
        mine = {"tenant": "t-manage"}
        root = self.mission(**mine)["mission_id"]
        child = self.mission(parent=root, seconds=600, **mine)["mission_id"]
        page = self.manage(self.enumerate(mine, limit=1))
        rest = self.manage(self.enumerate(mine, cursor=page["cursor"]))
        self.assertEqual([m["id"] for m in page["missions"] + rest["missions"]], [root, child])
        self.assertEqual(rest["missions"][0]["parent"], root)

        dry = self.manage(self.bulk("suspend", "dry_run", mine, on_expiry="resume", suspend_until="2099-01-01T00:00:00Z"))
        self.assertEqual(dry["match_count"], 2)
        execute = self.bulk("suspend", "execute", mine, on_expiry="resume", suspend_until="2099-01-01T00:00:00Z",
                            bulk_token=dry["bulk_token"])
        self.manage(self.enumerate(mine, bulk_token=dry["bulk_token"]))
        self.assertEqual({r["outcome"] for r in self.manage(execute)["results"]}, {"applied"})
        self.assertEqual(self.manage(execute, 400)["error"], "invalid_bulk_token")
        self.mission_form("/mission/lifecycle", {"mission_id": root, "operation": "resume"})
        second = self.mission(predecessor=root, **mine)["mission_id"]
        found = {m["id"]: m for m in self.manage(self.enumerate(mine))["missions"]}
        self.assertEqual((found[root]["successor"], found[second]["predecessor"]), (second, root))

        self.mission(**mine)
        self.assertEqual(self.manage(self.bulk("revoke", "dry_run", mine), 400)["error"], "filter_too_broad")
        self.assertEqual(self.manage(self.enumerate({"agent": "x"}), 400)["error"], "invalid_request")
        self.manage(self.enumerate({}, nonce=None), 400)
        self.manage(self.bulk("complete", "dry_run", mine), 403)
        self.manage(self.enumerate(mine), 403, "warden")
        self.manage(self.enumerate({}), 403, "two")
        self.manage(self.enumerate(mine, client_assertion="x"), 401)
        self.assertEqual(self.call("POST", PATH, self.enumerate(mine))[0], 401)
        self.assertEqual(self.call("POST", PATH, "operation=enumerate", content_type="text/plain")[0], 415)
        self.too_large(PATH, "application/json", {})
        unknown = {"Authorization": "Bearer " + secrets.token_urlsafe()}  # its issuer is not there
        self.assertEqual(self.call("POST", PATH, self.enumerate(mine, nonce="n"), unknown)[0], 503)
        # The token scope of the document, and it alone.
        wanted, = self.document.find("POST", PATH)[2]["security"][0]["token"]
        for scope, status in (("mission_lifecycle", 403), (wanted, 200)):
            body = self.enumerate(mine, nonce=secrets.token_urlsafe(9))
            self.assertEqual(self.call("POST", PATH, body, self.bearer(scope=scope))[0], status)
        for _ in range(400):
            body = self.enumerate(mine, nonce=secrets.token_urlsafe(9))
            if self.call("POST", PATH, body, self.bearer("two", wanted))[0] == 429:
                return
        self.fail("no 429")

    def test_41_a_membership_that_has_left_the_scope(self):
        self.mission(tenant="t-warden")
        self.mission(agent="agent-warden")
        dry = self.manage(self.bulk("revoke", "dry_run", {}), client="warden")
        self.assertEqual(dry["match_count"], 2)
        self.note_routes()
        self.t.process.stop()
        file = self.t.config_file
        file.write_text(file.read_text().replace('"agent-warden"', '"agent-else"'))
        self.world.start()
        stale = self.manage(self.bulk("revoke", "execute", {}, bulk_token=dry["bulk_token"]), 409, "warden")
        self.assertEqual(stale["error"], "stale_bulk_token")
