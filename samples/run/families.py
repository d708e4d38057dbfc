"""Two more phases of the story: a sub-agent whose mission is the child of another, and a mission that
its orchestrator's report completes. Both look at the token server as well."""

import base64
import json
import urllib.parse

from operator_client import Refused
from probe import Group, Watch
from world import MISSIONS, TOKENS

PATIENCE = 10
MISSION_GRANT = "https://mission-signals.github.io/grant-type/mission"


class TokenClient:
    """An agent at the token endpoint, as any OAuth client is."""

    def __init__(self, story, agent: str):
        secret = f"{agent}:{story.world.agent_secrets[agent]}".encode()
        self.headers = {"Authorization": "Basic " + base64.b64encode(secret).decode(),
                        "Content-Type": "application/x-www-form-urlencoded"}
        self.http = story.connection(TOKENS)
        self.refresh_token = None

    def ask(self, **fields):
        status, octets = self.http.request("POST", "/token", urllib.parse.urlencode(fields),
                                           self.headers)
        answer = json.loads(octets)
        if status == 200:
            self.refresh_token = answer["refresh_token"]
        return status, answer

    def begin(self, mission: str):
        return self.ask(grant_type=MISSION_GRANT, mission_id=mission)

    def refresh(self):
        return self.ask(grant_type="refresh_token", refresh_token=self.refresh_token)

    def denied(self, why: str):
        """Looks for the first refresh that is denied for this reason."""
        def look():
            status, answer = self.refresh()
            return answer if status == 400 and answer.get("error_description") == why else None
        return look


class FamilyPhases:
    """Part of the Story: uses its helpers."""

    def start_agent(self, name: str, secret: str, **more) -> Group:
        http = self.connection("orchestrator", 15)
        auth = {"Authorization": f"Bearer {self.world.tokens['agent']}"}
        mission = self.missions[name]
        status, agent = http.json("POST", "/agents",
                                  {"mission_id": mission, "secret": secret, **more}, auth)
        if status != 201:
            raise Refused(f"no agent for {name}: {status} {agent}")

        def both():
            _, body = http.json("GET", "/agents", None, auth)
            for a in body.get("agents", []):
                if a["agent"] == agent["agent"] and len(a["processes"]) == 2:
                    return a
            return None
        seen = Watch(both, PATIENCE).result()
        if not seen:
            raise Refused(f"the agent of {name} did not start")
        return Group(seen.what["processes"])

    def approve_child(self, parent: str, child: str, file):
        """A mission within another's authority, and its agent."""
        mission = self.operator.missionctl(
            "mission", "create", MISSIONS / file, "--parent", self.missions[parent],
            "--expires-in", "7h")
        self.operator.accepted.append((mission["mission_id"], mission["version"]))
        self.missions[child] = mission["mission_id"]

    def family(self):
        self.timeline.phase("family", "an agent has a sub-agent; the approver ends the whole errand")
        self.missions["errand"] = self.operator.create(MISSIONS / "reconcile-invoices.json")
        self.approve_child("errand", "sub-errand", "reconcile-one-supplier.json")
        self.timeline.note(f"mission {self.missions['errand']}, its child "
                           f"{self.missions['sub-errand']}")
        for name in ("errand", "sub-errand"):
            self.groups[name] = self.start_agent(name, "ledger-db")
            self.expect("family", f"calls of the {name} are served", self.served(name))
        status, body = self.operator.http.json("POST", "/missions", self.too_wide(), {
            "Authorization": f"Bearer {self.operator.token}"})
        if status != 403:
            self.problem(f"family: a child beyond its parent was answered {status} {body}")
        else:
            self.timeline.note(f"a child that asks for more is refused: {body.get('description')}")

        guard = self.guard()
        watches = [
            ("parent_refused_ms", "resource server refuses the agent: mission revoked",
             Watch(self.refused("errand", "revoked"), PATIENCE)),
            ("refused_ms", "resource server refuses the sub-agent: mission cascaded",
             Watch(self.refused("sub-errand", "cascaded"), PATIENCE)),
            ("parent_halted_ms", "agent and helper have ended",
             Watch(self.groups["errand"].halted, PATIENCE)),
            ("halted_ms", "sub-agent and its helper have ended",
             Watch(self.groups["sub-errand"].halted, PATIENCE)),
        ]
        version, sent = self.operator.lifecycle(
            self.missions["errand"], "revoke", "the supplier has withdrawn its invoices")
        for name, what, watch in watches:
            self.effect("family", name, watch.result(), sent, what)
        child = self.operator.missionctl("mission", "get", self.missions["sub-errand"])
        if child["state"] != "cascaded" or child["version"] != 2:
            self.problem(f"family: the child is {child['state']}, version {child['version']}")
        self.operator.accepted.append((self.missions["sub-errand"], child["version"]))

        def by_its_own_signal():
            return [line for line in self.world.log_objects("orchestrator.log")
                    if line.get("event") == "teardown" and line["outcome"] == "acknowledged"
                    and line["mission"] == self.missions["sub-errand"]
                    and line["reason"] == "mission cascaded" and line["version"] == 2]
        for line in self.operator.shown("mission", "tree", self.missions["errand"]).splitlines():
            self.timeline.note("  " + line)
        self.expect("family", "the sub-agent was halted by its own mission's signal (version 2), "
                    f"the parent's was version {version}", by_its_own_signal)
        self.check_guard(guard, "family")

    def too_wide(self) -> dict:
        request = json.loads((MISSIONS / "reconcile-one-supplier.json").read_text())
        request["authorization_details"][0]["actions"].append("journal-entries.write")
        expires = self.operator.missionctl("mission", "get", self.missions["errand"])["expires_at"]
        return request | {"parent": self.missions["errand"], "expires_at": expires}

    def report(self):
        self.timeline.phase("report", "an agent finishes its work; its orchestrator says so")
        self.missions["task"] = self.operator.create(MISSIONS / "reconcile-invoices.json")
        tokens = TokenClient(self, "finance-agent")
        status, answer = tokens.begin(self.missions["task"])
        if status != 200:
            raise Refused(f"no token: {status} {answer}")
        status, answer = tokens.refresh()
        if status != 200:
            self.problem(f"report: a refresh was denied while the mission is active: {answer}")
        self.timeline.note(f"the token server gives tokens of {answer.get('expires_in')} s")
        stranger = TokenClient(self, "finance-sub-agent")
        if stranger.begin(self.missions["task"])[0] != 400:
            self.problem("report: another agent was given a token")

        self.groups["task"] = self.start_agent("task", "ledger-db", steps=20)
        guard = self.guard()
        refused = Watch(self.refused("task", "completed"), 2 * PATIENCE)
        denied = Watch(tokens.denied("mission completed"), 2 * PATIENCE)
        done = Watch(self.groups["task"].halted, PATIENCE).result()
        if not done:
            raise Refused("the agent did not finish its work")
        self.timeline.note("the agent has done its work, and ended")
        self.effect("report", "refused_ms", refused.result(), done.at_ns,
                    "resource server refuses: mission completed, by the report")
        self.effect("report", "denied_ms", denied.result(), done.at_ns,
                    "token server denies the refresh: mission completed")
        mission = self.operator.missionctl("mission", "get", self.missions["task"])
        self.operator.accepted.append((self.missions["task"], mission["version"]))
        if mission["state"] != "completed":
            self.problem(f"report: the mission is {mission['state']}")
        self.check_guard(guard, "report")
