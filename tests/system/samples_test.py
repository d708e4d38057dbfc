"""The samples survive their own death: what they hold is found again, and ends with its mission."""

import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time
import unittest

BUILD_DIR = pathlib.Path("build/test")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "samples" / "run"))

from database import Catalog, Session  # noqa: E402
from harness import pause  # noqa: E402
from operator_client import Operator  # noqa: E402
from probe import Group, Https, Watch  # noqa: E402
from world import MISSIONS, World  # noqa: E402

PATIENCE = 20


class Samples(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = pathlib.Path(tempfile.mkdtemp(prefix="mission-samples-"))
        cls.world = World(BUILD_DIR.resolve(), cls.directory)
        cls.addClassCleanup(shutil.rmtree, cls.directory, ignore_errors=True)
        cls.addClassCleanup(cls.world.stop_all)
        cls.connections = {}
        cls.world.start_all()
        cls.operator = Operator(cls.world, cls.world.keys["operator"])
        cls.addClassCleanup(cls.hang_up)
        cls.operator.warm_up()
        cls.auth = {"Authorization": f"Bearer {cls.world.tokens['agent']}"}

    def connection(self, name):
        """One per service; a restarted service gets a new one by itself."""
        if name not in self.connections:
            self.connections[name] = Https(self.world.authority.ca_file, self.world.ports[name])
        return self.connections[name]

    @classmethod
    def hang_up(cls):
        for http in (*cls.connections.values(), cls.operator.http):
            http.close()

    def mission(self):
        return self.operator.create(MISSIONS / "quarterly-report.json")

    def agent(self, mission):
        status, agent = self.connection("orchestrator").json(
            "POST", "/agents", {"mission_id": mission}, self.auth)
        self.assertEqual(status, 201, agent)
        seen = self.until(lambda: [a for a in self.agents() if a["name_of"] == agent["agent"]
                                   and len(a["processes"]) == 2])
        return agent["agent"], Group(seen[0]["processes"])

    def agents(self):
        _, body = self.connection("orchestrator").json("GET", "/agents", None, self.auth)
        return [a | {"name_of": a["agent"]} for a in body.get("agents", [])]

    def credential(self, mission):
        status, body = self.connection("pam_broker").json(
            "POST", "/credentials", {"mission_id": mission, "secret": "ledger-db"}, self.auth)
        self.assertEqual(status, 201, body)
        return body

    def open_secret(self, credential):
        return self.connection("vault").json(
            "GET", "/secrets/ledger-db", None,
            {"Authorization": f"Bearer {credential['credential']}"})

    def until(self, look):
        seen = Watch(look, PATIENCE).result()
        self.assertIsNotNone(seen, "was not seen in time")
        return seen.what

    def restart(self, name):
        self.world.kill(name, signal.SIGKILL)
        self.world.start(name)

    def test_an_orchestrator_that_was_killed_finds_its_agents_again_and_ends_them(self):
        mission = self.mission()
        name, group = self.agent(mission)
        self.restart("orchestrator")
        self.world.wait_ready("orchestrator", "/healthz")
        self.assertIn(name, [a["agent"] for a in self.agents()])
        self.assertTrue(group.running())
        self.operator.lifecycle(mission, "revoke", "test")
        self.until(group.halted)
        self.until(lambda: name not in [a["agent"] for a in self.agents()])

    def test_an_ending_that_the_orchestrator_missed_ends_the_agent_when_it_is_back(self):
        mission = self.mission()
        _, group = self.agent(mission)
        self.world.kill("orchestrator", signal.SIGKILL)
        self.operator.lifecycle(mission, "complete", "test")
        self.assertTrue(group.running())
        self.world.start("orchestrator")
        self.until(group.halted)

    def test_an_ending_that_the_broker_missed_destroys_the_credential_when_it_is_back(self):
        mission = self.mission()
        credential = self.credential(mission)
        self.assertEqual(self.open_secret(credential)[0], 200)
        self.world.kill("pam_broker", signal.SIGKILL)
        self.operator.lifecycle(mission, "revoke", "test")
        self.assertEqual(self.open_secret(credential)[0], 200)
        self.world.start("pam_broker")
        self.until(lambda: self.open_secret(credential)[1].get("reason") ==
                   "credential destroyed: mission revoked")

    def test_a_vault_that_is_away_is_asked_until_it_confirms(self):
        mission = self.mission()
        credential = self.credential(mission)
        pause(self.world.processes["vault"])
        try:
            self.operator.lifecycle(mission, "revoke", "test")
            # Not confirmed: the task stays, and the credential with it.
            broker = self.connection("pam_broker")
            self.until(lambda: broker.json("GET", "/healthz")[1].get("tasks_pending", 0) >= 1)
        finally:
            self.world.kill("vault", signal.SIGCONT)
        self.until(lambda: self.open_secret(credential)[1].get("error") == "credential_destroyed")
        self.until(lambda: broker.json("GET", "/healthz")[1].get("tasks_pending") == 0)

    def start(self, mission, **more):
        status, agent = self.connection("orchestrator").json(
            "POST", "/agents", {"mission_id": mission, "secret": "ledger-db", **more}, self.auth)
        self.assertEqual(status, 201, agent)
        return agent["agent"]

    def get(self, mission):
        return self.operator.missionctl("mission", "get", mission)

    def reports(self, mission):
        status, body = self.operator.http.json("GET", f"/missions/{mission}/reports", None, {
            "Authorization": "Bearer " + self.operator.token_for("mission.read")})
        self.assertEqual(status, 200, body)
        return {r["kind"]: r for r in body["reports"]}

    def test_an_agent_that_has_done_its_work_completes_its_mission(self):
        mission = self.mission()
        name = self.start(mission, steps=3)
        self.until(lambda: self.get(mission)["state"] == "completed")
        ended = self.get(mission)["ended"]
        self.assertEqual((ended["by"]["actor"], ended["by"]["origin"]), ("", "rule work-done"))
        said = self.reports(mission)["completed"]
        self.assertEqual(said["client_id"], "orchestrator")
        self.assertEqual(said["detail"], {"how": "exited with 0", "about": name})

    def test_an_agent_that_dies_of_itself_is_reported_and_nothing_acts_on_it(self):
        mission = self.mission()
        _, group = self.agent(mission)
        for pid in group.fds:
            os.kill(pid, signal.SIGKILL)
        self.until(lambda: "failed" in self.reports(mission))
        said = self.reports(mission)["failed"]
        self.assertEqual((said["status"], said["detail"]["how"]), ("open", "killed by signal 9"))
        self.assertEqual(self.get(mission)["state"], "active")

    def test_what_was_halted_is_reported_as_gone(self):
        mission = self.mission()
        name, group = self.agent(mission)
        self.operator.lifecycle(mission, "revoke", "test")
        self.until(group.halted)
        self.until(lambda: "teardown" in self.reports(mission))
        said = self.reports(mission)
        self.assertEqual(set(said), {"teardown"})
        detail = said["teardown"]["detail"]
        self.assertTrue(detail["complete"])
        self.assertEqual([(t["name"], t["outcome"]) for t in detail["tasks"]], [(name, "acknowledged")])
        told = {t["client_id"]: t for t in self.get(mission)["teardown"]}
        self.assertEqual((told["orchestrator"]["status"], told["orchestrator"]["verified"]), ("complete", True))

    def test_a_sub_agent_ends_with_the_mission_its_own_was_approved_within(self):
        parent = self.mission()
        child = self.operator.missionctl(
            "mission", "create", MISSIONS / "reconcile-one-supplier.json", "--parent", parent,
            "--expires-in", "1h")["mission_id"]
        _, agent = self.agent(parent)
        _, sub_agent = self.agent(child)
        self.operator.lifecycle(parent, "suspend", "test")
        self.until(lambda: agent.paused() and sub_agent.paused())
        self.operator.lifecycle(parent, "resume", "test")
        self.until(lambda: agent.running() and sub_agent.running())
        self.operator.lifecycle(parent, "revoke", "test")
        self.until(lambda: agent.halted() and sub_agent.halted())
        self.assertEqual((self.get(child)["state"], self.get(child)["version"]), ("cascaded", 4))

    # -- the broker's roles of a database ---------------------------------------------------------

    def database(self):
        self.assertIsNotNone(self.world.database, self.world.no_database + ": ./dev setup --test")
        catalog = Catalog(self.world.database)
        self.addCleanup(catalog.close)
        return self.world.database, catalog

    def role(self, mission):
        status, body = self.connection("pam_broker").json(
            "POST", "/roles", {"mission_id": mission, "secret": "ledger-db"}, self.auth)
        self.assertEqual(status, 201, body)
        return body["role"], body["password"]

    def test_a_database_role_lives_as_long_as_its_mission(self):
        database, catalog = self.database()
        mission, other = self.mission(), self.mission()
        role, password = self.role(mission)
        bystander = self.role(other)
        self.assertNotEqual(role, bystander[0])

        def log_in(who=(role, password)):
            return database.log_in(*who, "SELECT count(*) FROM invoices")
        self.assertEqual(log_in().stdout.strip(), "2", log_in().stderr)
        self.assertNotEqual(database.log_in(role, password, "DELETE FROM invoices").returncode, 0)
        self.assertNotEqual(log_in((role, "wrong")).returncode, 0)
        session = Session(database, role, password)
        self.addCleanup(session.finish)
        self.until(lambda: catalog.sessions(role) == 1)
        self.operator.lifecycle(mission, "suspend", "test")
        self.until(session.ended)
        self.assertIn("administrator command", session.finish())
        self.until(lambda: catalog.roles(role, True) == 0)
        self.assertNotEqual(log_in().returncode, 0)
        status, body = self.connection("pam_broker").json(
            "POST", "/roles", {"mission_id": mission, "secret": "ledger-db"}, self.auth)
        self.assertEqual((status, body.get("state")), (403, "suspended"))
        self.operator.lifecycle(mission, "resume", "test")
        self.until(lambda: catalog.roles(role, True) == 1)
        # The pause is over: it ends no session of the time after it.
        again = Session(database, role, password)
        self.addCleanup(again.finish)
        self.until(lambda: catalog.sessions(role) == 1)
        status, body = self.connection("pam_broker").json(
            "POST", f"/credentials/{role}/renew", {}, self.auth)
        self.assertEqual((status, body), (200, {"expires_in": 900}))
        self.assertFalse(again.ended())
        self.operator.lifecycle(mission, "revoke", "test")
        self.until(lambda: catalog.roles(role) == 0)
        self.until(again.ended)
        self.assertEqual(log_in(bystander).stdout.strip(), "2")
        self.until(lambda: [line for line in self.world.log_objects("pam_broker.log")
                            if line.get("role") == role and line["reason"] == "mission revoked"
                            and "1 session terminated" in line["evidence"].replace("sessions", "session")
                            and line["evidence"].endswith("dropped, not in pg_roles")])
        status, body = self.connection("pam_broker").json(
            "POST", f"/credentials/{role}/renew", {}, {**self.auth, "Mission-Id": mission})
        self.assertEqual((status, body["state"]), (403, "revoked"))

    def test_an_ending_that_the_broker_missed_drops_the_role_when_it_is_back(self):
        database, catalog = self.database()
        mission = self.mission()
        role, password = self.role(mission)
        self.world.kill("pam_broker", signal.SIGKILL)
        self.operator.lifecycle(mission, "complete", "test")
        self.assertEqual(database.log_in(role, password, "SELECT 1").returncode, 0)
        self.world.start("pam_broker")
        self.until(lambda: catalog.roles(role) == 0)

    def test_a_database_that_does_not_answer_gives_no_role_and_is_asked_until_it_confirms(self):
        database, catalog = self.database()
        mission, kept = self.mission(), self.mission()
        role, _ = self.role(kept)
        pause(database.process)  # takes no connections any more
        try:
            self.operator.lifecycle(kept, "revoke", "test")
            status, body = self.connection("pam_broker").json(
                "POST", "/roles", {"mission_id": mission, "secret": "ledger-db"}, self.auth)
            self.assertEqual((status, body["error"]), (502, "database"))
            self.until(lambda: self.connection("pam_broker").json("GET", "/healthz")[1].get(
                "tasks_pending", 0) >= 1)
        finally:
            database.process.send_signal(signal.SIGCONT)
        self.until(lambda: catalog.roles(role) == 0)
        # And the one that was not given stays what nobody can log in as, until its mission ends.
        made = [line["role"] for line in self.world.log_objects("pam_broker.log")
                if line.get("event") == "taken-back" and line["mission"] == mission]
        self.assertEqual([catalog.roles(name, True) for name in made], [0])
        self.operator.lifecycle(mission, "revoke", "test")
        self.until(lambda: catalog.roles(made[0]) == 0)
        self.assertEqual(self.connection("pam_broker").json(
            "POST", "/roles", {"mission_id": self.mission(), "secret": "siem"}, self.auth)[1]["error"],
            "insufficient_authority")

    # -- the orchestrator's queue -----------------------------------------------------------------

    def queue(self, mission, steps=1):
        status, body = self.connection("orchestrator").json(
            "POST", "/work", {"mission_id": mission, "secret": "ledger-db", "steps": steps}, self.auth)
        self.assertEqual(status, 202, body)
        return body["work"]

    def work(self):
        _, body = self.connection("orchestrator").json("GET", "/work", None, self.auth)
        return {w["work"]: w for w in body.get("work", [])}

    def states(self, items):
        known = self.work()
        return [known.get(i, {}).get("state") for i in items]

    def started_in_order(self, items):
        return [line["work"] for line in self.world.log_objects("orchestrator.log")
                if line.get("event") == "work" and line["outcome"] == "started" and line["work"] in items]

    def journal_of(self, mission, event):
        return [line["reason"] for line in self.world.log_objects("orchestrator.log")
                if line.get("event") == event and line["mission"] == mission]

    def child_of(self, parent):
        return self.operator.missionctl(
            "mission", "create", MISSIONS / "reconcile-one-supplier.json", "--parent", parent,
            "--expires-in", "1h")["mission_id"]

    def test_work_waits_while_its_mission_is_suspended_and_follows_in_its_order(self):
        parent, other = self.mission(), self.mission()
        child = self.child_of(parent)
        # Agents are started for both, so that both are known there.
        self.agent(parent)
        self.agent(child)
        self.operator.lifecycle(parent, "suspend", "test")
        self.until(lambda: self.connection("orchestrator").json(
            "GET", f"/missions/{child}", None, self.auth)[1].get("standing") == "suspended")
        held = [self.queue(parent, 1000) for _ in range(3)]
        held_child = self.queue(child, 1000)
        free = self.queue(other)
        self.until(lambda: self.states([free]) == ["started"])
        self.until(lambda: self.work()[held_child].get("reason") == "mission suspended")
        self.assertEqual(self.states([*held, held_child]), ["queued"] * 4)
        # Nor does a death of the orchestrator change what is held, or its order.
        self.restart("orchestrator")
        self.world.wait_ready("orchestrator", "/healthz")
        self.assertEqual(self.states([*held, held_child]), ["queued"] * 4)
        self.operator.lifecycle(parent, "resume", "test")
        self.until(lambda: self.states([*held, held_child]) == ["started"] * 4)
        self.assertEqual(self.started_in_order(held), held)
        self.assertIn("mission suspended", self.journal_of(parent, "work-held"))
        self.assertEqual(self.journal_of(parent, "work-resumed"), ["active"])
        # Ended, with its child: the agents of both, and what still waits for both.
        agents = [Group(a["processes"]) for a in self.agents() if a["mission"] in (parent, child)]
        self.assertEqual(len(agents), 6)
        more = [self.queue(parent, 1000), self.queue(child, 1000)]  # four run: no room
        self.operator.lifecycle(parent, "revoke", "test")
        self.until(lambda: all(a.halted() for a in agents))
        self.until(lambda: self.states(more) == ["cancelled"] * 2)
        self.assertEqual([self.work()[w]["reason"] for w in more], ["mission revoked", "mission ended with its parent"])
        status, body = self.connection("orchestrator").json(
            "POST", "/work", {"mission_id": child}, self.auth)
        self.assertEqual((status, body["state"]), (403, "cascaded"))

    def test_nothing_is_dispatched_or_closed_while_nobody_can_know(self):
        mission = self.mission()
        _, group = self.agent(mission)
        call = self.connection("resource_server")
        auth = {**self.auth, "Mission-Id": mission}
        status, body = call.json("POST", "/periods/2026-Q3/close", {}, auth)
        self.assertEqual((status, body["closed"], body["repeated"], body["version"]), (200, True, False, 1), body)
        self.assertLess(body["age_us"], 2_000_000)
        self.assertLess(abs(body["status_iat"] - time.time()), 30)
        self.assertEqual(call.json("POST", "/periods/2026-Q3/close", {}, auth)[1]["repeated"], True)
        pause(self.world.processes["transmitter"])
        try:
            # The cache still permits a read; what cannot be taken back is not done on its word.
            self.assertEqual(call.json("GET", "/invoices", None, auth)[0], 200)
            status, body = call.json("POST", "/periods/2026-Q4/close", {}, auth)
            self.assertEqual((status, body["error"]), (403, "not_confirmed"), body)
            self.until(group.paused)  # stale
            items = [self.queue(mission) for _ in range(3)]
            self.until(lambda: "stale" in self.work()[items[0]].get("reason", ""))
            self.assertEqual(self.states(items), ["queued"] * 3)
        finally:
            self.world.kill("transmitter", signal.SIGCONT)
        self.until(lambda: self.states(items) == ["started"] * 3)
        self.assertEqual(self.started_in_order(items), items)
        # The last of them, and none before, completes the mission.
        self.until(lambda: self.get(mission)["state"] == "completed")
        self.until(group.halted)
        # Ended or narrowed in the registry, whatever the cache has heard.
        narrowed = self.mission()
        self.until(lambda: call.json("GET", "/invoices", None, {**self.auth, "Mission-Id": narrowed})[0] == 200)
        self.operator.missionctl("mission", "scope", narrowed, MISSIONS / "quarterly-report-read-only.json")
        for end, reason in ((None, "the mission's authority does not cover journal-entries.write"),
                            ("complete", "mission completed")):
            if end:
                self.operator.lifecycle(narrowed, end, "test")
            status, body = call.json("POST", "/periods/2026-Q4/close", {}, {**self.auth, "Mission-Id": narrowed})
            self.assertEqual((status, body["reason"]), (403, reason))

    def test_an_agent_for_an_ended_or_unknown_mission_is_not_started(self):
        mission = self.mission()
        self.operator.lifecycle(mission, "revoke", "test")
        orchestrator = self.connection("orchestrator")
        status, body = self.until(lambda: (lambda r: r if r[1].get("state") == "revoked" else None)(
            orchestrator.json("POST", "/agents", {"mission_id": mission}, self.auth)))
        self.assertEqual(status, 403, body)
        for wrong in ("mis_nobody_has_ever_heard_of_it", "", "../../etc/passwd"):
            status, body = orchestrator.json("POST", "/agents", {"mission_id": wrong}, self.auth)
            self.assertEqual((status, body.get("state")), (403, "unknown"), body)
        # One that was asked for before the signal was here has been started, and ended with it.
        self.until(lambda: not any(a["processes"] for a in self.agents() if a["mission"] == mission))
        before = len(self.agents())
        self.assertEqual(orchestrator.json("POST", "/agents", {"mission_id": mission}, self.auth)[0], 403)
        self.assertLessEqual(len(self.agents()), before)

    def test_a_credential_outside_the_authority_is_not_issued(self):
        status, body = self.connection("pam_broker").json(
            "POST", "/credentials", {"mission_id": self.mission(), "secret": "siem"}, self.auth)
        self.assertEqual((status, body["error"]), (403, "insufficient_authority"))

    def test_doors_refuse_strangers_and_rubbish(self):
        for name, path in (("orchestrator", "/agents"), ("orchestrator", "/work"),
                           ("pam_broker", "/credentials"), ("pam_broker", "/roles"),
                           ("resource_server", "/journal-entries"),
                           ("resource_server", "/periods/2026-Q3/close")):
            http = self.connection(name)
            self.assertEqual(http.json("POST", path, {}, {})[0], 401, name)
            self.assertEqual(
                http.json("POST", path, {}, {"Authorization": "Bearer wrong"})[0], 401, name)
        for name, path, status in (("orchestrator", "/agents", 403), ("orchestrator", "/work", 400),
                                   ("pam_broker", "/credentials", 400), ("pam_broker", "/roles", 400)):
            http = self.connection(name)
            got, _ = http.request("POST", path, b"[" * 60_000, self.auth)
            self.assertEqual(got, status, name)
            got, _ = http.request("POST", path, b"x" * 100_000, self.auth)
            self.assertEqual(got, 413, name)
            http.close()
        call = self.connection("resource_server")
        status, body = call.json("GET", "/invoices", None, self.auth)
        self.assertEqual((status, body["state"]), (403, "unknown"))

    def test_missionctl_speaks_of_what_happened(self):
        mission = self.mission()
        ctl = self.operator.missionctl
        self.assertEqual(ctl("mission", "suspend", mission, "--until", "1h", "--on-expiry",
                             "revoke")["mission"]["state"], "suspended")
        self.assertEqual(ctl("mission", "resume", mission)["mission"]["version"], 3)
        narrowed = ctl("mission", "scope", mission, MISSIONS / "quarterly-report-read-only.json",
                       "--expected-version", 3)
        self.assertEqual(narrowed["version"], 4)
        with self.assertRaisesRegex(RuntimeError, "stale_version|409"):
            ctl("mission", "revoke", mission, "--expected-version", 1)
        first = ctl("mission", "revoke", mission, "--nonce", "once")
        self.assertEqual(first["mission"]["state"], "revoked")
        again = ctl("mission", "revoke", mission, "--nonce", "once")
        self.assertEqual(again, first)
        with self.assertRaisesRegex(RuntimeError, "conflict|409"):
            ctl("mission", "resume", mission)
        self.until(lambda: all(s["acked_version"] == 5
                               for s in ctl("mission", "get", mission)["streams"]))
        self.assertEqual(len(ctl("mission", "get", mission)["streams"]), 3)
        self.assertIn(mission, [m["mission_id"] for m in ctl(
            "mission", "list", "--state", "revoked", "--agent", "finance-agent")["missions"]])
        streams = ctl("stream", "list")
        self.assertEqual({s["client_id"] for s in streams},
                         {"resource_server", "pam_broker", "orchestrator"})
        shown = ctl("stream", "show", streams[0]["stream_id"])
        self.assertEqual(shown["stream_id"], streams[0]["stream_id"])


if __name__ == "__main__":
    if "--build-dir" in sys.argv:
        at = sys.argv.index("--build-dir")
        BUILD_DIR = pathlib.Path(sys.argv[at + 1]).resolve()
        del sys.argv[at:at + 2]
    unittest.main(verbosity=2)
