"""The evidence of each effect: what an outside prober saw, and what the service that did it says. And
the part of the story that happens in a database."""

from database import Catalog, Session
from operator_client import Refused
from probe import Watch

PATIENCE = 10


class EvidencePhases:
    """Part of the Story: uses its helpers. Without a database every method of it says nothing."""

    def open_database(self):
        """A role for the report's mission, from the broker, and a session of it."""
        if self.world.database is None:
            self.timeline.note(f"no database in this run: {self.world.no_database}")
            return
        self.times["database"] = {"closed_ms": None, "opened_ms": None, "session_ended_ms": None,
                                  "role_gone_ms": None}
        self.catalog = Catalog(self.world.database)
        auth = {"Authorization": f"Bearer {self.world.tokens['agent']}"}
        status, body = self.connection("pam_broker", 15).json(
            "POST", "/roles", {"mission_id": self.missions["report"], "secret": "ledger-db"}, auth)
        if status != 201:
            raise Refused(f"no role: {status} {body}")
        self.role = body
        self.timeline.note(f"the broker has made the PostgreSQL role {body['role']}")
        self.log_in("work")

    def log_in(self, phase: str):
        self.session = Session(self.world.database, self.role["role"], self.role["password"])
        self.expect(phase, "a session of the role is in pg_stat_activity",
                    lambda: self.catalog.number(
                        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' "
                        f"AND usename = $x${self.role['role']}$x$") == 1)

    def broker_says(self, reason: str):
        """The broker's own line about the role."""
        for line in self.world.log_objects("pam_broker.log"):
            if line.get("event") == "teardown" and line.get("role") == self.role["role"] \
                    and line["reason"] == reason and line["outcome"] == "acknowledged":
                return line["evidence"]
        return None

    def database_closed(self):
        """Begins to watch the suspension; call with the moment it was asked for."""
        if self.role is None:
            return lambda sent: None
        role = self.role["role"]
        closed = Watch(lambda: self.session.ended() and
                       self.catalog.roles(role) - self.catalog.roles(role, True) == 1, PATIENCE)

        def judge(sent):
            self.effect("database", "closed_ms", closed.result(), sent,
                        "PostgreSQL: the role may not log in, its session has ended")
            self.timeline.note(f"  its session was told: {self.session.finish()}")
            if self.session.read != 2:
                self.problem("suspend: the role could not read what it was made for")
            if self.knock().returncode == 0:
                self.problem("suspend: the role has logged in")
        return judge

    def knock(self):
        return self.world.database.log_in(self.role["role"], self.role["password"],
                                          "SELECT count(*) FROM invoices")

    def database_opened(self):
        if self.role is None:
            return lambda sent: None
        opened = Watch(lambda: self.catalog.roles(self.role["role"], True) == 1, PATIENCE)

        def judge(sent):
            self.effect("database", "opened_ms", opened.result(), sent,
                        "PostgreSQL: the role may log in again")
            self.log_in("resume")
        return judge

    def database_dropped(self):
        if self.role is None:
            return lambda sent: None
        role = self.role["role"]
        ended = Watch(self.session.ended, PATIENCE)
        gone = Watch(lambda: self.catalog.roles(role) == 0, PATIENCE)

        def judge(sent):
            self.effect("database", "session_ended_ms", ended.result(), sent,
                        "PostgreSQL: the role's session has ended")
            self.effect("database", "role_gone_ms", gone.result(), sent,
                        "PostgreSQL: the role is not in pg_roles")
            says = self.expect("complete", "the broker says so, too",
                               lambda: self.broker_says("mission completed"))
            self.evidence["session_ended"] = {
                "role": role, "in_pg_stat_activity": self.catalog.sessions(role),
                "was_told": self.session.finish()}
            self.evidence["role_gone"] = {
                "role": role, "in_pg_roles": self.catalog.roles(role),
                "log_in": " ".join(self.knock().stderr.split()),
                "says": says.what if says else None}
        return judge

    def keep_evidence(self, refused, gone):
        """After the completion: the answers that were seen, and the processes' end."""
        if refused:
            self.evidence["call_refused"] = {
                k: refused.what.get(k) for k in ("state", "version", "reason")}
        if gone:
            self.evidence["credential_destroyed"] = {
                "credential": self.credential["credential_id"],
                **{k: gone.what.get(k) for k in ("error", "reason")}}

        def halted():
            for line in self.world.log_objects("orchestrator.log"):
                if line.get("event") == "teardown" and line["mission"] == self.missions["report"] \
                        and line["reason"] == "mission completed" and line["outcome"] == "acknowledged":
                    return line
            return None
        line = self.expect("complete", "the orchestrator says so, too", halted)
        self.evidence["process_group_gone"] = {
            "processes": sorted(self.groups["report"].fds),
            "left": 0 if self.groups["report"].reaped() else 1,
            "says": line.what["evidence"] if line else None}

    def tell_evidence(self):
        """On the screen: the effect, and on what evidence it is believed."""
        self.timeline.phase("evidence", "what is left of the completed mission, and how we know")
        e = self.evidence
        shown = {
            "the call is refused": e["call_refused"] and
            f"403, {e['call_refused']['reason']} (version {e['call_refused']['version']})",
            "the credential is destroyed": e["credential_destroyed"] and
            f"the vault: {e['credential_destroyed']['reason']}",
            "the process group is gone": e["process_group_gone"] and
            f"{e['process_group_gone']['left']} of {len(e['process_group_gone']['processes'])} left; "
            f"the orchestrator: {e['process_group_gone']['says']}",
            "the session has ended": e["session_ended"] and
            f"{e['session_ended']['in_pg_stat_activity']} in pg_stat_activity; "
            f"{e['session_ended']['was_told']}",
            "the role is gone": e["role_gone"] and
            f"{e['role_gone']['in_pg_roles']} in pg_roles; the broker: {e['role_gone']['says']}",
        }
        for what, why in shown.items():
            self.timeline.note(f"{what:<28} {why or self.world.no_database or 'NOT SEEN'}")

    def evidence_holds(self) -> bool:
        e = self.evidence
        always = e["call_refused"] and e["credential_destroyed"] and \
            e["process_group_gone"] and e["process_group_gone"]["left"] == 0 and \
            e["process_group_gone"]["says"]
        if self.world.database is None:
            return bool(always)
        return bool(always and e["role_gone"] and e["role_gone"]["in_pg_roles"] == 0 and
                    e["role_gone"]["says"] and e["session_ended"]["in_pg_stat_activity"] == 0)

    def close_database(self):
        if self.session is not None:
            self.session.finish()
        if self.catalog is not None:
            self.catalog.close()
