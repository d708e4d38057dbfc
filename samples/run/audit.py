"""The auditor: reads what the transmitter has recorded, checks that it is whole, and joins it with what
the services have decided. Knows nothing of the run but its logs."""

import base64
import datetime
import hashlib
import json

# How far behind a receiver may be and still permit: the run's max_stale_seconds.
BOUND = datetime.timedelta(seconds=3)
SERVICES = ("resource_server", "pam_broker", "orchestrator", "authorization_server")


class AuditFailed(RuntimeError):
    pass


def moment(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def entry_hash(entry: dict) -> str:
    """SHA-256 over the entry without its hash, as RFC 8785 writes it. (Entries hold texts and
    integers: sorted members without spaces are that form.)"""
    text = json.dumps({k: v for k, v in entry.items() if k != "hash"}, sort_keys=True,
                      separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def check_chain(entries: list[dict]):
    """Each entry is what its hash says, and follows the one before: nothing was changed or left out."""
    previous = ""  # of the first
    for entry in entries:
        where = f"audit entry {entry.get('seq')}"
        if entry_hash(entry) != entry["hash"]:
            raise AuditFailed(f"{where}: its hash is another one's")
        if entry["previous"] != previous:
            raise AuditFailed(f"{where}: does not follow the one before")
        previous = entry["hash"]


class Auditor:
    def __init__(self, world, operator):
        self.world, self.operator = world, operator
        self.auth = {"Authorization": f"Bearer {operator.token_for('mission.read ssf.admin')}"}

    def get(self, path: str) -> dict:
        status, body = self.operator.http.json("GET", path, None, self.auth)
        if status != 200:
            raise AuditFailed(f"GET {path}: {status} {body}")
        return body

    def entries(self) -> list[dict]:
        found, cursor = [], ""
        while True:
            page = self.get(f"/admin/audit?limit=1000{cursor}")
            found += page["entries"]
            if "next_cursor" not in page:
                return found
            cursor = f"&cursor={page['next_cursor']}"

    def history(self, mission: str) -> list[dict]:
        return self.get(f"/missions/{mission}/history?limit=1000")["versions"]

    def accesses(self) -> list[dict]:
        """What the services have permitted: who, when, for which mission and version."""
        return [line for name in SERVICES for line in self.world.log_objects(f"{name}.log")
                if line.get("event") == "decision" and line["decision"] == "permit"]

    # -- the four questions ---------------------------------------------------------------------

    def answers_for(self, access: dict) -> dict:
        """The auditor's four questions about one line of a service's log."""
        then = self.get(f"/missions/{access['mission']}?at={access['time']}")
        now = self.get(f"/missions/{access['mission']}")
        return {
            "access": {k: access[k] for k in ("time", "program", "action", "version")},
            "mission": {"id": then["mission_id"], "purpose": then["purpose"],
                        "agent": then["agent"]["client_id"]},
            "active": {"at": access["time"], "active": then["active"], "version": then["version"]},
            "approved": {"by": then["approver"], "at": then["approved_at"],
                         "evidence": then.get("evidence")},
            "ended": now.get("ended"),
        }

    def join(self) -> dict:
        """Every permitted access with the state of its mission at that moment. A permission by a
        version that had just been replaced is counted as late, within the receivers' bound."""
        histories, counts, wrong = {}, {"accesses": 0, "active": 0, "late": 0}, []
        for access in self.accesses():
            mission, at = access["mission"], moment(access["time"])
            if mission not in histories:
                histories[mission] = self.history(mission)
            counts["accesses"] += 1
            # Logs and history are in milliseconds, cut off: the same one is not before.
            then = [v for v in histories[mission] if moment(v["committed_at"]) <= at]
            relied_on = [v for v in then if v["version"] == access["version"]]
            good = relied_on and relied_on[0]["state"] == "active"
            if good and then[-1]["state"] == "active" and at < moment(then[-1]["expires_at"]):
                counts["active"] += 1
            elif good and at - moment(then[-1]["committed_at"]) <= BOUND:
                counts["late"] += 1
            else:
                wrong.append(f"{access['program']} {access['action']} at {access['time']}")
        if wrong:
            raise AuditFailed(f"{len(wrong)} accesses without an active mission: {wrong[0]}")
        return counts


def tell(timeline, answers: dict):
    access, mission, active = answers["access"], answers["mission"], answers["active"]
    approved, ended = answers["approved"], answers["ended"]
    timeline.note(f"an access, in the log of {access['program']}: {access['action']}, {access['time']}")
    timeline.note(f"  under which mission?   {mission['id']}")
    timeline.note(f"                         {mission['purpose']}")
    timeline.note(f"  was it active then?    {'yes' if active['active'] else 'no'}, version {active['version']}")
    timeline.note(f"  who approved it?       {approved['by']['sub']} ({approved['by']['iss']}), "
                  f"{approved['at']}")
    if ended:
        by = ended.get("by", {})
        timeline.note(f"  when, why did it end?  {ended['at']}: {ended['state']}, "
                      f"by {by.get('actor') or by.get('origin')}: {ended.get('reason')}")
    else:
        timeline.note("  when, why did it end?  it has not")


def audit(story) -> dict:
    """The phase; the object that --json shows."""
    story.timeline.phase("audit", "afterwards: what the record says of all this")
    auditor = Auditor(story.world, story.operator)
    entries = auditor.entries()
    check_chain(entries)
    # And once more with the code of another: missionctl's.
    if not story.operator.shown("audit", "--verify").startswith("the chain of"):
        raise AuditFailed("missionctl audit --verify says otherwise")
    story.timeline.note(f"{len(entries)} entries of the audit, each commits to the one before")
    counts = auditor.join()
    story.timeline.note(f"{counts['accesses']} accesses in the services' logs, each under a mission: "
                        f"{counts['active']} while it was active,")
    story.timeline.note(f"{counts['late']} within {BOUND.seconds} s of its end or hold, "
                        "before the service could know")
    asked = {}
    for name, state in (("task", "completed"), ("sub-errand", "cascaded"), ("report", "completed")):
        mine = [a for a in auditor.accesses()
                if a["mission"] == story.missions[name] and a["program"] == "resource_server"]
        if not mine:
            raise AuditFailed(f"no access of {name} in the log")
        answers = asked[name] = auditor.answers_for(mine[0])
        tell(story.timeline, answers)
        if not answers["active"]["active"] or answers["mission"]["id"] != story.missions[name]:
            raise AuditFailed(f"{name}: not active when it was served")
        if not answers["ended"] or answers["ended"]["state"] != state:
            raise AuditFailed(f"{name}: its end is not told: {answers['ended']}")
        who = [e for e in entries if e["target"] == story.missions[name]
               and e["action"] == "mission.create" and e["outcome"] == "done"]
        if len(who) != 1 or who[0]["actor"] != "operator":
            raise AuditFailed(f"{name}: its creation is not in the audit")
    return {"entries": len(entries), **counts, "answers": asked}
