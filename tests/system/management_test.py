"""Mission management against the real transmitter, over TLS and SQLite: bulk operations that survive a crash and a
client that has gone; and the commands of missionctl for families, evidence, management and the audit.

    management_test.py --build-dir DIR [unittest arguments]
"""
import base64
import hashlib
import json
import pathlib
import secrets
import shutil
import socket
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from cryptography.exceptions import InvalidSignature  # noqa: E402
from cryptography.hazmat.primitives import hashes  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec, utils  # noqa: E402

import harness as h  # noqa: E402

BUILD_DIR = pathlib.Path("build/test")
RESOURCE = "https://erp.example"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
OPERATOR = {"scopes": ["mission.read", "mission.write", "mission.scope", "mission_status", "mission_lifecycle",
                       "mission_management", "ssf.admin"],
            "lifecycle": ["revoke", "suspend", "resume", "complete"], "missions": "all"}


def verified(token, jwks):
    """Claims of a management answer, checked without any code of the project's."""
    header = h.jwt_header(token)
    if header["typ"] != "mission-management-response+jwt" or header["alg"] != "ES256":
        raise AssertionError(header)
    key, = [k for k in jwks["keys"] if k["kid"] == header["kid"]]
    numbers = ec.EllipticCurvePublicNumbers(*(int.from_bytes(h.unb64(key[c]), "big") for c in "xy"), ec.SECP256R1())
    signed, _, signature = token.rpartition(".")
    raw = h.unb64(signature)
    r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    try:
        numbers.public_key().verify(utils.encode_dss_signature(r, s), signed.encode(), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as e:
        raise AssertionError("the signature") from e
    return h.jwt_claims(token)


class World(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="management-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        clients = [h.Client("operator", self.folder, audience="https://operator.example", **OPERATOR),
                   h.Client("orchestrator", self.folder, audience="https://orchestrator.example",
                            missions={"agents": ["planner"]}, scopes=["mission.read", "mission.write"]),
                   h.Client("clerk", self.folder, audience=RESOURCE, scopes=["mission.read"])]
        self.t = h.Transmitter(BUILD_DIR / "transmitter" / "mission-transmitter", self.folder, clients)
        self.t.start()
        self.addCleanup(lambda: self.t.process.stop())
        self.addCleanup(self.t.http.close)

    def create(self, **members):
        status, mission = self.t.create("operator", **members)
        self.assertEqual(status, 201, mission)
        return mission["mission_id"]

    def create_many(self, count, **members):
        return [self.create(**members) for _ in range(count)]

    def body(self, nonce=None, **members):
        return {"nonce": nonce or secrets.token_urlsafe(12), "client_assertion_type": ASSERTION,
                "client_assertion": self.t.clients["operator"].assertion(self.t.url + "/mission/manage"), **members}

    def manage(self, nonce=None, http_client=None, **members):
        """-> (status, verified claims or the error)."""
        http = http_client or self.t.http
        status, _, data = http("POST", "/mission/manage", self.body(nonce, **members))
        if status != 200:
            return status, json.loads(data)
        return status, verified(data.decode(), json.loads(http("GET", "/jwks.json")[2]))

    def pin(self, operation, mission_filter):
        status, dry = self.manage(operation=operation, mode="dry_run", reason="an incident", filter=mission_filter)
        self.assertEqual(status, 200, dry)
        return dry

    def mission(self, mission_id):
        status, mission = self.t.call("operator", "GET", "/missions/" + mission_id)
        self.assertEqual(status, 200, mission)
        return mission

    def audit(self):
        """Every entry, in order."""
        found, cursor = [], ""
        while True:
            status, page = self.t.call("operator", "GET", "/admin/audit?limit=1000" + cursor)
            self.assertEqual(status, 200, page)
            found += page["entries"]
            if "next_cursor" not in page:
                return found
            cursor = "&cursor=" + page["next_cursor"]

    def run_tool(self, *words, who="operator", stdin=""):
        """-> (exit status, what it printed, what it complained of)."""
        done = subprocess.run([BUILD_DIR / "tools" / "missionctl", "--server", self.t.url, "--ca-file", self.t.ca,
                               "--client-id", who, "--private-key", self.t.clients[who].key_file, *words],
                              input=stdin, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, done.stderr

    def done(self, *words, **more):
        status, out, problem = self.run_tool(*words, **more)
        self.assertEqual((status, problem), (0, ""), words)
        return out

    def json(self, *words, **more):
        return json.loads(self.done("--json", *words, **more))


class Bulk(World):
    FILTER = {"tenant": "many"}

    def execute(self, dry, nonce, **more):
        return self.manage(nonce, operation=dry["operation"], mode="execute", reason="an incident",
                           filter=self.FILTER, bulk_token=dry["bulk_token"], **more)

    def check_all_revoked_once(self, ids):
        for mission_id in ids:
            mission = self.mission(mission_id)
            self.assertEqual((mission["state"], mission["version"], mission["reason"]), ("revoked", 2, "an incident"))

    def test_a_crash_in_mid_execution_loses_and_repeats_nothing(self):
        ids = self.create_many(500, tenant="many")
        other = self.create(tenant="other")
        dry = self.pin("revoke", self.FILTER)
        self.assertEqual(dry["match_count"], 500)
        # It dies once the first steps are written and nobody was told.
        self.t.process.stop()
        self.t.start(env={"MISSION_CRASH_AT": "bulk_step:2"})
        later = self.create(tenant="many")
        with self.assertRaises(OSError):
            self.execute(dry, "the-nonce")
        h.wait_for(lambda: not self.t.process.alive(), why="it has died")
        self.t.process.stop()
        self.t.start()
        # It has gone on by itself; and whoever asks again with the nonce is answered.
        status, manifest = self.execute(dry, "the-nonce")
        self.assertEqual(status, 200, manifest)
        self.assertEqual({r["mission_id"]: r["outcome"] for r in manifest["results"]},
                         {mission_id: "applied" for mission_id in ids})
        self.assertEqual(self.execute(dry, "the-nonce"), (200, manifest))
        self.check_all_revoked_once(ids)
        self.assertEqual([self.mission(m)["state"] for m in (other, later)], ["active", "active"])
        status, refused = self.execute(dry, "another-nonce")
        self.assertEqual((status, refused["error"]), (400, "invalid_bulk_token"))
        moved = [e for e in self.audit() if e["action"] == "manage.revoke" and e["target"]]
        self.assertEqual(sorted(e["target"] for e in moved), sorted(ids))
        self.assertIn("the chain of " + self.t.url + " holds", self.done("audit", "--verify"))

    def test_a_job_goes_on_when_its_client_has_gone(self):
        ids = self.create_many(300, tenant="many")
        dry = self.pin("revoke", self.FILTER)
        body = json.dumps(self.body("gone", operation="revoke", mode="execute", reason="an incident",
                                    filter=self.FILTER, bulk_token=dry["bulk_token"]))
        context = ssl.create_default_context(cafile=str(self.t.ca))
        with socket.create_connection(("localhost", self.t.port), 10) as plain, \
                context.wrap_socket(plain, server_hostname="localhost") as s:
            s.sendall((f"POST /mission/manage HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                       f"Content-Length: {len(body)}\r\n\r\n{body}").encode())
        h.wait_for(lambda: self.mission(ids[-1])["state"] == "revoked", why="the last one is revoked")
        self.check_all_revoked_once(ids)
        status, manifest = self.execute(dry, "gone")
        self.assertEqual((status, len(manifest["results"])), (200, 300))

    def test_two_executions_at_once_with_one_nonce_are_one(self):
        ids = self.create_many(50, tenant="many")
        dry = self.pin("revoke", self.FILTER)
        answers = []

        def ask():
            client = h.Http(self.t.port, self.t.ca, timeout=30)
            answers.append(self.execute(dry, "both", http_client=client))
            client.close()
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        self.assertEqual([status for status, _ in answers], [200] * 4)
        self.assertEqual([a for a in answers if a != answers[0]], [])
        self.check_all_revoked_once(ids)

    def test_a_family_is_revoked_member_by_member_and_its_children_are_cascaded(self):
        root = self.create(tenant="many")
        child = self.create(tenant="many", parent=root, seconds=1800)
        grandchild = self.create(tenant="many", parent=child, seconds=600)
        status, page = self.manage(operation="enumerate", purpose="a look", filter={"parent": root})
        self.assertEqual((status, [m["id"] for m in page["missions"]]), (200, [child]))
        self.assertEqual(page["missions"][0]["parent"], root)
        dry = self.pin("revoke", self.FILTER)
        status, manifest = self.execute(dry, "n")
        self.assertEqual({r["mission_id"]: r["outcome"] for r in manifest["results"]},
                         {root: "applied", child: "already_terminal", grandchild: "already_terminal"})
        status, page = self.manage(operation="enumerate", purpose="a look", filter={"state": ["cascaded"]})
        self.assertEqual([(m["id"], m["version"]) for m in page["missions"]], [(child, 2), (grandchild, 2)])
        status, page = self.manage(operation="enumerate", purpose="a look", filter={"state": ["active"]})
        self.assertEqual(page["missions"], [])


class Family(World):
    def test_a_crash_in_mid_cascade_reaches_every_descendant_once(self):
        root = self.create(tenant="family")
        children = self.create_many(400, tenant="family", parent=root, seconds=1800)
        leaves = [self.create(tenant="family", parent=children[n], seconds=600) for n in (0, 200, 399)]
        self.t.process.stop()
        # It dies when the first step of the cascade is written and the next is not.
        self.t.start(env={"MISSION_CRASH_AT": "drain_step:1"})
        try:
            self.t.lifecycle("operator", root, "revoke", reason="an incident")
        except OSError:
            pass  # answered or not: the revocation is in the log
        h.wait_for(lambda: not self.t.process.alive(), why="it has died")
        rows = sqlite3.connect(self.folder / "state" / "transmitter.db")
        counted = rows.execute("SELECT count(*) FROM mission_state WHERE state = 6").fetchone()[0]
        rows.close()
        self.assertTrue(0 < counted < 403, counted)
        self.t.process.stop()
        self.t.start()
        h.wait_for(lambda: self.mission(leaves[-1])["state"] == "cascaded", why="the last leaf is cascaded")
        self.assertEqual(self.mission(root)["state"], "revoked")
        for mission_id in children + leaves:
            mission = self.mission(mission_id)
            self.assertEqual((mission["state"], mission["version"]), ("cascaded", 2))
        told = [e["target"] for e in self.audit() if e["action"] == "family.end"]
        self.assertEqual(sorted(told), sorted(children + leaves))
        self.assertIn("the chain of " + self.t.url + " holds", self.done("audit", "--verify"))


class Tool(World):
    def test_a_family_is_created_drawn_and_ended(self):
        file = self.folder / "mission.json"
        file.write_text(json.dumps(h.mission_body(agent="planner", seconds=7200)))
        root = self.json("mission", "create", str(file), "--purpose", "close the quarter")["mission_id"]
        child = self.json("mission", "create", str(file), "--parent", root, "--agent", "worker",
                          "--expires-in", "1h")["mission_id"]
        leaf = self.json("mission", "create", str(file), "--parent", child, "--agent", "helper",
                         "--expires-in", "30m")["mission_id"]
        drawn = self.done("mission", "tree", root).splitlines()
        self.assertTrue(drawn[0].startswith(root + "  active  v1  planner"), drawn)
        self.assertTrue(drawn[1].startswith("└── " + child + "  active  v1  worker"), drawn)
        self.assertTrue(drawn[2].startswith("    └── " + leaf + "  active  v1  helper"), drawn)
        self.assertEqual(self.done("mission", "tree", leaf, "--from-root").splitlines()[0].split()[0], root)
        tree = self.json("mission", "tree", child)
        self.assertEqual([c["mission"]["mission_id"] for c in tree["children"]], [leaf])
        self.assertIn(child, self.done("mission", "list", "--parent", root))
        active = [m["mission_id"] for m in
                  self.json("mission", "list", "--state", "active", "--agent", "worker")["missions"]]
        self.assertEqual(active, [child])
        # Held from above, a child shows what it is by itself.
        self.done("mission", "suspend", root, "--reason", "a look at it")
        self.assertIn(child + "  suspended  v2 (itself active)", self.done("mission", "tree", root))
        self.done("mission", "revoke", root, "--reason", "enough")
        states = [line.split()[-5:] for line in self.done("mission", "tree", root).splitlines()]
        self.assertIn("revoked", self.done("mission", "tree", root).splitlines()[0])
        self.assertEqual(self.done("mission", "tree", root).count("cascaded"), 2, states)
        shown = self.done("mission", "get", leaf)
        self.assertIn("ended cascaded", shown)
        self.assertIn("alice at https://idp.example", shown)
        versions = self.json("mission", "history", root)["versions"]
        self.assertEqual([v["state"] for v in versions], ["active", "suspended", "revoked"])
        self.assertIn("enough", self.done("mission", "history", root))
        # A child beyond its parent is refused, with the member that exceeds.
        status, _, problem = self.run_tool("mission", "create", str(file), "--parent", self.create(),
                                           "--expires-in", "9h")
        self.assertEqual(status, 1)
        self.assertIn("expires_at", problem)

    def test_a_successor_takes_over(self):
        file = self.folder / "mission.json"
        file.write_text(json.dumps(h.mission_body(agent="planner")))
        first = self.json("mission", "create", str(file))["mission_id"]
        second = self.json("mission", "create", str(file), "--predecessor", first)["mission_id"]
        shown = self.json("mission", "get", first)
        self.assertEqual((shown["state"], shown["successor"]), ("superseded", second))
        self.assertIn("predecessor", self.done("mission", "get", second))

    def test_many_are_counted_reviewed_and_revoked(self):
        ids = [self.create(agent="finance") for _ in range(3)]
        other = self.create(agent="legal")
        words = ["mission", "manage", "bulk", "revoke", "--agent", "finance", "--reason", "IR-4192"]
        counted = self.done(*words, "--review")
        self.assertIn("revoke matches 3 missions", counted)
        self.assertEqual([i for i in ids if i not in counted], [])
        self.assertNotIn(other, counted)
        status, out, problem = self.run_tool(*words, "--execute", stdin="n\n")
        self.assertEqual((status, out), (1, ""))
        self.assertIn("nothing was done", problem)
        self.assertEqual(self.mission(ids[0])["state"], "active")
        manifest = json.loads(self.run_tool("--json", *words, "--execute", stdin="y\n")[1])
        self.assertEqual({r["mission_id"]: r["outcome"] for r in manifest["results"]}, dict.fromkeys(ids, "applied"))
        self.assertEqual(self.mission(ids[2])["reason"], "IR-4192")
        self.assertEqual(self.mission(other)["state"], "active")
        again = self.done(*words, "--execute", "--yes")
        self.assertIn("3 already_terminal", again)
        page = self.json("mission", "manage", "enumerate", "--purpose", "after IR-4192", "--state", "revoked",
                         "--limit", "2")
        self.assertEqual([m["id"] for m in page["missions"]], ids[:2])
        rest = self.done("mission", "manage", "enumerate", "--purpose", "after IR-4192", "--state", "revoked",
                         "--cursor", page["cursor"])
        self.assertIn(ids[2], rest)
        status, _, problem = self.run_tool("mission", "manage", "enumerate", "--purpose", "x", who="clerk")
        self.assertEqual(status, 1)
        self.assertIn("forbidden", problem)

    def test_an_incident_is_held_with_a_deadline(self):
        mission_id = self.create(agent="finance", seconds=7200)
        self.done("mission", "manage", "bulk", "suspend", "--created-after", "1h", "--reason", "a look",
                  "--until", "10m", "--on-expiry", "revoke", "--execute", "--yes")
        mission = self.mission(mission_id)
        self.assertEqual((mission["state"], mission["on_expiry"]), ("suspended", "revoke"))

    def test_reports_are_sent_and_listed(self):
        mission_id = self.create(agent="planner")
        self.json("mission", "report", mission_id, "anomaly", "--detail", "it reads what it never read",
                  who="orchestrator")
        self.json("mission", "report", mission_id, "teardown", "--detail-json", '{"processes":0}', who="orchestrator")
        listed = self.done("mission", "reports", mission_id)
        self.assertIn("it reads what it never read", listed)
        shown = self.done("mission", "get", mission_id)
        self.assertIn("1 open", shown)
        waiting, = [r for r in self.json("report", "list", "--status", "open")["reports"] if r["kind"] == "anomaly"]
        self.assertIn(waiting["report_id"], self.done("report", "list"))
        self.done("report", "decide", waiting["report_id"], "suspend", "--reason", "let us see")
        self.assertEqual(self.mission(mission_id)["state"], "suspended")
        self.assertEqual(self.json("report", "list", "--status", "acted")["reports"][0]["report_id"],
                         waiting["report_id"])
        self.assertIn("suspend", self.done("mission", "reports", mission_id))
        self.assertEqual(self.run_tool("report", "decide", waiting["report_id"], "dismiss", "--reason", "x")[0], 1)
        self.assertIn("orchestrator", shown)
        self.assertEqual(self.run_tool("mission", "report", "m" * 24, "failed", "--detail", "x")[0], 1)

    def test_the_audit_is_read_and_verified_by_anybody(self):
        mission_id = self.create()
        self.done("mission", "revoke", mission_id, "--reason", "enough")
        lines = self.done("--json", "audit").splitlines()
        previous = ""
        for line in lines:
            entry = json.loads(line)
            self.assertEqual(entry["previous"], previous)
            previous = entry.pop("hash")
            # RFC 8785 of these members: sorted names, no spaces.
            text = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            digest = hashlib.sha256(text.encode()).digest()
            self.assertEqual(base64.urlsafe_b64encode(digest).decode().rstrip("="), previous)
        self.assertIn(f"{len(lines)} entries", self.done("audit", "--verify"))
        about = [json.loads(line) for line in self.done("--json", "audit", "--mission", mission_id).splitlines()]
        self.assertEqual([(e["action"], e["actor"]) for e in about],
                         [("mission.create", "operator"), ("lifecycle.revoke", "operator")])
        self.assertIn("enough", self.done("audit"))
        self.assertEqual(len(self.done("--json", "audit", "--limit", "1").splitlines()), 1)
        # Whoever changes the file is found out.
        self.t.process.stop()
        with sqlite3.connect(self.folder / "state" / "transmitter.db") as db:
            changed = db.execute("UPDATE audit SET actor = 'somebody' WHERE action = 'lifecycle.revoke'").rowcount
        db.close()
        self.assertEqual(changed, 1)
        self.t.start()
        status, _, problem = self.run_tool("audit", "--verify")
        self.assertEqual(status, 1)
        self.assertIn("was changed", problem)


if __name__ == "__main__":
    if "--build-dir" in sys.argv:
        at = sys.argv.index("--build-dir")
        BUILD_DIR = pathlib.Path(sys.argv[at + 1]).resolve()
        del sys.argv[at:at + 2]
    unittest.main(verbosity=2)
