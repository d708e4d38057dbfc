"""The story of the run, phase by phase. An effect counts only when the answer names the state, and
while a mission that nobody touched is served."""

import json
import signal
import subprocess
import time

from audit import AuditFailed, audit
from evidence import EvidencePhases
from families import FamilyPhases
from operator_client import Operator, Refused
from probe import Group, Guard, Https, Seen, Watch, now_ns
from world import MISSIONS, SUBSCRIBERS

# An effect that has not been seen by then is a failure; stale needs its bound of 3 s and a beat.
PATIENCE = 10


class Story(FamilyPhases, EvidencePhases):
    def __init__(self, world, timeline):
        self.world, self.timeline = world, timeline
        self.operator = Operator(world, world.keys["operator"])
        self.problems = []
        self.times = {
            "suspend": {"refused_ms": None, "paused_ms": None},
            "resume": {"served_ms": None},
            "scope": {"refused_ms": None},
            "complete": {"refused_ms": None, "destroyed_ms": None, "halted_ms": None},
            "family": {"parent_refused_ms": None, "refused_ms": None, "parent_halted_ms": None,
                       "halted_ms": None},
            "report": {"refused_ms": None, "denied_ms": None},
            "partition": {"stale_ms": None, "served_ms": None},
            "catch_up": {"refused_ms": None},
        }
        self.missions, self.groups = {}, {}
        self.credential = None
        self.evidence = {"call_refused": None, "credential_destroyed": None,
                         "process_group_gone": None, "role_gone": None, "session_ended": None}
        self.role = self.session = self.catalog = None

    # -- helpers ----------------------------------------------------------------------------------

    def problem(self, what: str):
        self.problems.append(what)
        self.timeline.problem(what)

    def connection(self, name: str, timeout: float = 5.0) -> Https:
        return Https(self.world.authority.ca_file, self.world.ports[name], timeout)

    def caller(self, mission: str, method="GET", path="/invoices", http=None):
        """A function that makes one call for a mission on a connection of its own."""
        http = http or self.connection("resource_server")
        headers = {"Mission-Id": self.missions[mission],
                   "Authorization": f"Bearer {self.world.tokens['agent']}"}
        body = {"account": "4711"} if method == "POST" else None
        return lambda: http.json(method, path, body, headers)

    def refused(self, mission: str, state: str, **how):
        """Looks for the first refusal that names the state."""
        call = self.caller(mission, **how)

        def look():
            status, body = call()
            return body if status == 403 and body.get("state") == state else None
        return look

    def served(self, mission: str, **how):
        call = self.caller(mission, **how)

        def look():
            status, body = call()
            return body if status == 200 else None
        return look

    def guard(self):
        return Guard(self.caller("vendor"))

    def check_guard(self, guard, phase: str):
        guard.stop()
        if guard.refusals:
            self.problem(f"{phase}: the untouched mission was refused: {guard.refusals[0]}")
        elif guard.served == 0:
            self.problem(f"{phase}: the untouched mission was never served")

    def effect(self, phase: str, name: str, seen: Seen | None, since_ns: int, what: str):
        ms = None if seen is None else round((seen.at_ns - since_ns) / 1e6, 2)
        self.times[phase][name] = ms
        self.timeline.effect(what, ms)
        if ms is None:
            self.problem(f"{phase}: {name} was not seen")

    def expect(self, phase: str, what: str, look, seconds: float = PATIENCE):
        seen = Watch(look, seconds).result()
        if seen:
            self.timeline.note(what)
        else:
            self.problem(f"{phase}: not seen: {what}")
        return seen

    # -- the phases ---------------------------------------------------------------------------

    def approve(self):
        self.timeline.phase("approve", "three missions are approved and recorded (missionctl)")
        for name, file in (("report", "quarterly-report.json"),
                           ("incident", "incident-response.json"),
                           ("vendor", "vendor-onboarding.json")):
            self.missions[name] = self.operator.create(MISSIONS / file)
            self.timeline.note(f"{file:<24} mission {self.missions[name]}")
        orchestrator = self.connection("orchestrator", 15)
        secret = {"report": "ledger-db", "incident": "siem", "vendor": "supplier-portal"}
        for name, mission in self.missions.items():
            status, agent = orchestrator.json(
                "POST", "/agents", {"mission_id": mission, "secret": secret[name]},
                {"Authorization": f"Bearer {self.world.tokens['agent']}"})
            if status != 201:
                raise Refused(f"no agent for {name}: {status} {agent}")
            self.timeline.note(f"agent for {name:<10} pid {agent['pid']}")

    def work(self):
        self.timeline.phase("work", "the agents read invoices and post entries")
        orchestrator = self.connection("orchestrator")
        auth = {"Authorization": f"Bearer {self.world.tokens['agent']}"}
        by_mission = {mission: name for name, mission in self.missions.items()}

        def helpers_run():
            _, body = orchestrator.json("GET", "/agents", None, auth)
            agents = {by_mission[a["mission"]]: a for a in body.get("agents", [])}
            return agents if len(agents) == 3 and all(
                len(a["processes"]) == 2 for a in agents.values()) else None
        seen = self.expect("work", "each agent has started its helper process", helpers_run)
        if not seen:
            raise Refused("the agents did not start")
        self.groups = {name: Group(a["processes"]) for name, a in seen.what.items()}

        # The report's authority alone has journal-entries.write.
        for name, actions in (("report", {"credential", "secret", "invoices", "journal-entry"}),
                              ("incident", {"credential", "secret", "invoices"}),
                              ("vendor", {"credential", "secret", "invoices"})):
            def done(log=f"agent-{self.missions[name]}.log", actions=actions):
                lines = self.world.log_objects(log)
                return {o["action"] for o in lines if o.get("outcome") == "done"} >= actions
            self.expect("work", f"agent of {name}: {', '.join(sorted(actions))}", done)

        # A credential of our own, to knock at the vault with; and all of it works.
        broker = self.connection("pam_broker", 15)
        status, body = broker.json(
            "POST", "/credentials", {"mission_id": self.missions["report"], "secret": "ledger-db"},
            auth)
        if status != 201:
            raise Refused(f"no credential: {status} {body}")
        self.credential = body
        if self.open_secret()[0] != 200:
            self.problem("work: the vault does not open for a good credential")
        for method, path in (("GET", "/invoices"), ("POST", "/journal-entries")):
            status, body = self.caller("report", method, path)()
            if status != 200:
                self.problem(f"work: {method} {path} was answered {status} {body}")
        self.open_database()

    def open_secret(self, http=None):
        http = http or self.connection("vault")
        return http.json("GET", "/secrets/ledger-db", None,
                         {"Authorization": f"Bearer {self.credential['credential']}"})

    def suspend(self):
        self.timeline.phase("suspend", "the approver wants to look first")
        guard = self.guard()
        refused = Watch(self.refused("report", "suspended"), PATIENCE)
        paused = Watch(self.groups["report"].paused, PATIENCE)
        closed = self.database_closed()
        version, sent = self.operator.lifecycle(
            self.missions["report"], "suspend", "controlling asks for a second look")
        self.effect("suspend", "refused_ms", refused.result(), sent,
                    f"resource server refuses: mission suspended (version {version})")
        self.effect("suspend", "paused_ms", paused.result(), sent,
                    "agent and helper are stopped (SIGSTOP)")
        vault = self.connection("vault")
        self.expect("suspend", "the vault refuses: credential disabled",
                    lambda: self.open_secret(vault)[1].get("error") == "credential_disabled")
        closed(sent)
        self.check_guard(guard, "suspend")

    def resume(self):
        self.timeline.phase("resume", "the look was satisfying")
        guard = self.guard()
        served = Watch(self.served("report"), PATIENCE)
        opened = self.database_opened()
        version, sent = self.operator.lifecycle(self.missions["report"], "resume", "looks right")
        self.effect("resume", "served_ms", served.result(), sent,
                    f"resource server serves again (version {version})")
        self.expect("resume", "agent and helper run again", self.groups["report"].running)
        vault = self.connection("vault")
        self.expect("resume", "the vault opens again",
                    lambda: self.open_secret(vault)[0] == 200)
        opened(sent)
        self.check_guard(guard, "resume")

    def narrow(self):
        self.timeline.phase("narrow", "accruals are posted: from here on the report only reads")
        guard = self.guard()
        request = json.loads((MISSIONS / "quarterly-report-read-only.json").read_text())
        post = self.caller("report", "POST", "/journal-entries")
        reads = Guard(self.caller("report"))

        def look():
            status, body = post()
            return body if status == 403 and body.get("error") == "insufficient_authority" else None
        refused = Watch(look, PATIENCE)
        version, sent = self.operator.scope(self.missions["report"], request)
        seen = refused.result()
        self.effect("scope", "refused_ms", seen, sent,
                    f"POST /journal-entries is refused (version {version})")
        if seen and seen.what.get("version") != version:
            self.problem(f"scope: refused under version {seen.what.get('version')}")
        time.sleep(0.05)  # some more calls, now that the narrowing is in force
        reads.stop()
        if reads.refusals or not reads.served:
            self.problem(f"scope: a call within the authority was refused: {reads.refusals[:1]}")
        else:
            self.timeline.note("GET /invoices was served all the time")
        self.check_guard(guard, "scope")

    def complete(self):
        self.timeline.phase("complete", "the books are closed")
        guard = self.guard()
        vault = self.connection("vault")

        def destroyed():
            status, body = self.open_secret(vault)
            return body if status == 403 and body.get("error") == "credential_destroyed" and \
                "completed" in body.get("reason", "") else None
        refused = Watch(self.refused("report", "completed"), PATIENCE)
        gone = Watch(destroyed, PATIENCE)
        halted = Watch(self.groups["report"].halted, PATIENCE)
        dropped = self.database_dropped()
        version, sent = self.operator.lifecycle(
            self.missions["report"], "complete", "third quarter closed")
        self.effect("complete", "refused_ms", refused.result(), sent,
                    f"resource server refuses: mission completed (version {version})")
        self.effect("complete", "destroyed_ms", gone.result(), sent,
                    "vault refuses: credential destroyed, mission completed")
        self.effect("complete", "halted_ms", halted.result(), sent,
                    "agent and helper have ended")
        self.expect("complete", "no child is left behind", self.groups["report"].reaped)
        dropped(sent)
        self.keep_evidence(refused.result(), gone.result())
        broker = self.connection("pam_broker")
        status, body = broker.json(
            "POST", f"/credentials/{self.credential['credential_id']}/renew", {},
            {"Authorization": f"Bearer {self.world.tokens['agent']}",
             "Mission-Id": self.missions["report"]})
        if status == 403 and body.get("state") == "completed":
            self.timeline.note("the broker refuses to renew: mission completed")
        else:
            self.problem(f"complete: a renewal was answered {status} {body}")
        self.check_guard(guard, "complete")

    def partition(self):
        self.timeline.phase("partition", "the transmitter falls silent (SIGSTOP); the bound is 3 s")
        # Everything goes stale in a partition, the untouched mission too; any other refusal of it
        # would be wrong.
        guard = self.guard()
        stale = Watch(self.refused("incident", "stale"), PATIENCE)
        paused = Watch(self.groups["incident"].paused, PATIENCE)
        stopped = now_ns()
        self.world.kill("transmitter", signal.SIGSTOP)
        self.effect("partition", "stale_ms", stale.result(), stopped,
                    "resource server refuses: state is stale")
        seen = paused.result()
        self.timeline.effect("the agents are stopped while nobody can know",
                             seen and (seen.at_ns - stopped) / 1e6)
        if not seen:
            self.problem("partition: the agent was not paused")
        served = Watch(self.served("incident"), PATIENCE)
        untouched = Watch(self.served("vendor"), PATIENCE)
        continued = now_ns()
        self.world.kill("transmitter", signal.SIGCONT)
        self.effect("partition", "served_ms", served.result(), continued,
                    "the transmitter goes on: calls are served again")
        if not untouched.result():
            self.problem("partition: the untouched mission was not served again")
        for name in ("incident", "vendor"):
            self.expect("partition", f"agent of {name} runs again", self.groups[name].running)
        guard.stop()
        if wrong := [r for r in guard.refusals if " stale:" not in r]:
            self.problem(f"partition: the untouched mission was refused: {wrong[0]}")

    def catch_up(self):
        self.timeline.phase("catch-up", "nobody is told: the listener dies, then the messenger")
        self.world.kill("resource_server", signal.SIGKILL)
        self.timeline.note("resource server killed (SIGKILL)")
        version, _ = self.operator.lifecycle(
            self.missions["incident"], "revoke", "the incident was a false alarm")
        self.world.kill("transmitter", signal.SIGKILL)
        self.timeline.note(f"revoked (version {version}); transmitter killed after its answer")

        http = self.connection("resource_server")
        call = self.caller("incident", http=http)
        # Until it has heard, a restarted receiver may still permit what Status confirmed less than
        # 3 s ago: that is the bound, and these calls are counted.
        first, permitted = [], []

        def look():
            status, body = call()
            if not first:
                first.append(Seen(now_ns(), f"{status} {body.get('state', '')}".strip()))
            if status == 200:
                permitted.append(now_ns())
            return body if status == 403 and body.get("state") == "revoked" else None
        self.world.start("transmitter")
        self.world.start("resource_server")
        refused = Watch(look, 2 * PATIENCE).result()
        if first:
            self.timeline.note(f"both started again; first answer: {first[0].what}")
        if permitted:
            self.timeline.note(f"{len(permitted)} calls were served within the bound of 3 s")
        self.effect("catch_up", "refused_ms", refused, first[0].at_ns if first else 0,
                    f"resource server refuses: mission revoked (version {version})")
        self.expect("catch-up", "the agent of the revoked mission has ended",
                    self.groups["incident"].halted)
        self.expect("catch-up", "the untouched mission is served", self.served("vendor"))
        self.expect("catch-up", "its agent runs", self.groups["vendor"].running)

    def count_lost(self) -> int:
        """Accepted operations whose version some subscriber lacks, by the subscribers' own word and
        by the registry's."""
        self.timeline.phase("ledger", f"{len(self.operator.accepted)} operations were accepted")
        newest = {}
        for mission, version in self.operator.accepted:
            newest[mission] = max(newest.get(mission, 0), version)
        auth = {"Authorization": f"Bearer {self.world.tokens['agent']}"}
        has = {}

        def version_at(name, mission):
            try:
                _, body = self.connection(name).json("GET", f"/missions/{mission}", None, auth)
                return body.get("version", 0)
            except OSError:
                return 0

        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            has = {(name, mission): version_at(name, mission)
                   for name in SUBSCRIBERS for mission in newest}
            if all(has[name, mission] >= newest[mission] for name, mission in has):
                break
            time.sleep(0.05)
        for mission in newest:
            registry = self.operator.missionctl("mission", "get", mission)
            has["registry", mission] = registry["version"]
        lost = [(mission, version) for mission, version in self.operator.accepted
                if any(has[name, m] < version for name, m in has if m == mission)]
        for mission, version in lost:
            lacking = [name for name, m in has if m == mission and has[name, m] < version]
            self.problem(f"version {version} of {mission} is lacking at {', '.join(lacking)}")
        if not lost:
            self.timeline.note("every subscriber and the registry have all of them")
        return len(lost)

    def tell(self) -> dict:
        """Runs everything; the object of the last line."""
        lost, audited = None, None
        try:
            self.operator.warm_up()
            for phase in (self.approve, self.work, self.suspend, self.resume, self.narrow,
                          self.complete, self.tell_evidence, self.family, self.report,
                          self.partition, self.catch_up):
                phase()
            lost = self.count_lost()
            audited = audit(self)
        except (Refused, AuditFailed, OSError, KeyError, ValueError, subprocess.SubprocessError) as e:
            self.problem(f"{type(e).__name__}: {e}")
        finally:
            self.close_database()
        seen = all(ms is not None for effects in self.times.values() for ms in effects.values())
        ok = seen and not self.problems and lost == 0 and audited is not None \
            and self.evidence_holds()
        return {"ok": ok, "database": None, **self.times, "lost": lost, "evidence": self.evidence,
                "audit": audited}
