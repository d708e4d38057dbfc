"""Crash test with a ledger.

A driver sends lifecycle operations while transmitter and two receivers (poll and push) are killed
with SIGKILL, at random instants and at the four named points. Every accepted operation is in the
ledger. At the end: receiver caches equal the registry, each teardown ran at least once, versions
never went backwards, and an operation repeated with its nonce was answered once.

    crash_test.py --build-dir DIR [--kills N] [--seed S] [--keep]

The seed is printed; it repeats the run's choices (the machine's timing it cannot repeat).
"""
import argparse
import collections
import contextlib
import json
import os
import pathlib
import random
import secrets
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import harness as h  # noqa: E402

POINTS = {"transmitter": ["commit_answer", "push_answer_cursor"], "receiver": ["cache_commit_ack", "handler_outcome"]}
TERMINAL = {"revoke": "revoked", "complete": "completed"}


class Probe:
    """One host of the receiver library, restartable, with a journal that outlives it."""

    def __init__(self, binary, folder, name, transmitter, delivery):
        self.binary, self.name, self.folder = binary, name, folder
        client = transmitter.clients[name]
        self.port = h.free_port()
        self.journal = folder / f"{name}.journal"
        self.env = {"PROBE_ISSUER": transmitter.url, "PROBE_CA": str(transmitter.ca), "PROBE_CLIENT": name,
                    "PROBE_KEY": str(client.key_file), "PROBE_STATE": str(folder / f"{name}.db"),
                    "PROBE_JOURNAL": str(self.journal), "PROBE_DELIVERY": delivery,
                    "PROBE_LISTEN": f"127.0.0.1:{self.port}", "PROBE_CERT": str(folder / "cert.pem"),
                    "PROBE_CERT_KEY": str(folder / "key.pem"),
                    "PROBE_PUBLIC_URL": f"https://localhost:{self.port}/push"}
        self.process = None

    def start(self, env=None):
        self.process = h.Process([self.binary], self.folder / f"{self.name}.log", env={**self.env, **(env or {})},
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, line):
        """The answer, or None when the probe has died."""
        try:
            self.process.p.stdin.write((line + "\n").encode())
            self.process.p.stdin.flush()
            answer = self.process.p.stdout.readline()
            return json.loads(answer) if answer else None
        except (BrokenPipeError, ValueError):
            return None

    def kill(self):
        self.process.kill()
        for pipe in (self.process.p.stdin, self.process.p.stdout):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def lines(self):
        if not self.journal.exists():
            return []
        return [line.split() for line in self.journal.read_text().splitlines()]


class Run:
    def __init__(self, build, folder, kills, seed):
        self.rng = random.Random(seed)
        self.kills_wanted, self.kills = kills, collections.Counter()
        self.folder = folder
        h.make_ca(folder)
        scopes = ["mission.write", "mission.read", "mission.scope", "mission_lifecycle", "mission_status", "ssf.admin"]
        listener = dict(audience="https://erp.example", scopes=["ssf.read", "ssf.manage", "mission_status"],
                        missions="all")
        clients = [h.Client("operator", folder, audience="https://operator.example", scopes=scopes, missions="all",
                            lifecycle=["revoke", "suspend", "resume", "complete"]),
                   h.Client("poller", folder, **listener), h.Client("pusher", folder, **listener)]
        self.t = h.Transmitter(build / "transmitter/mission-transmitter", folder, clients)
        self.probes = [Probe(build / "tests/system/probe_receiver", folder, "poller", self.t, "poll"),
                       Probe(build / "tests/system/probe_receiver", folder, "pusher", self.t, "push")]
        self.ledger = {}  # mission id -> [(version, state, operation)]
        self.held = {p.name: set() for p in self.probes}
        self.repeated = self.operations = 0
        self.problems = []

    # -- keeping them alive

    def crash_env(self, kind):
        """Every third start carries a named crash point: the process then kills itself there."""
        if sum(self.kills.values()) >= self.kills_wanted or self.rng.random() > 0.34:
            return None
        point = self.rng.choice(POINTS[kind])
        return {"MISSION_CRASH_AT": f"{point}:{self.rng.randint(1, 8)}"}, point

    def revive(self):
        """Restarts what has died (killed by us, or at its crash point)."""
        for what in [self.t, *self.probes]:
            if not what.process.alive():
                code = what.process.p.wait()
                is_transmitter = what is self.t
                if code != -9:
                    self.problems.append(f"{'transmitter' if is_transmitter else what.name} ended with {code}")
                if getattr(what, "armed", None):
                    self.kills[what.armed] += 1
                what.armed = None
                armed = self.crash_env("transmitter" if is_transmitter else "receiver")
                if armed:
                    what.armed = armed[1]
                if is_transmitter:
                    what.http.close()
                    what.start(env=armed[0] if armed else None, wait=False)
                else:
                    what.kill()
                    what.start(env=armed[0] if armed else None)

    def random_kill(self):
        if sum(self.kills.values()) >= self.kills_wanted:
            return
        what = self.rng.choice([self.t, *self.probes])
        if what.process.alive():
            what.armed = None
            what.process.p.kill()
            what.process.p.wait()
            self.kills["random " + ("transmitter" if what is self.t else "receiver")] += 1

    # -- operations, repeated until answered

    def until_answered(self, send):
        first = True
        end = time.monotonic() + 60
        while True:
            self.revive()
            try:
                status, body = send()
                if status not in (429, 503):
                    if not first:
                        self.repeated += 1
                    return status, body
            except (OSError, AssertionError) as e:
                if "token" in str(e) and "40" in str(e):
                    raise
            first = False
            if time.monotonic() > end:
                raise AssertionError("no answer within 60 s: " + self.t.tail())
            time.sleep(0.01)

    def create(self):
        key = secrets.token_urlsafe(12)
        body = h.mission_body()
        status, answer = self.until_answered(
            lambda: self.t.call("operator", "POST", "/missions", body, headers={"Idempotency-Key": key}))
        assert status == 201, (status, answer)
        mission_id = answer["mission_id"]
        assert mission_id not in self.ledger, "two missions of one id"
        self.ledger[mission_id] = [(answer["version"], "active", "create")]
        assert answer["version"] == 1, answer
        return mission_id

    def operate(self, mission_id, operation):
        nonce = secrets.token_urlsafe(12)
        before = self.ledger[mission_id][-1]
        status, answer = self.until_answered(lambda: self.t.lifecycle("operator", mission_id, operation, nonce=nonce))
        if status != 200:
            self.problems.append(f"{operation} on {before}: {status} {answer}")
            return
        m = answer["mission"]
        # Answered once (I11): a repeated request must not have moved the mission twice.
        if m["version"] != before[0] + 1:
            self.problems.append(f"{operation} on version {before[0]} answered version {m['version']}")
        self.ledger[mission_id].append((m["version"], m["state"], operation))
        self.operations += 1

    def step(self, live):
        pick = self.rng.random()
        if pick < 0.25 or not live:
            mission_id = self.create()
            live.append(mission_id)
            probe = self.rng.choice(self.probes)
            # Held once the receiver knows and permits it; what it refuses is not held.
            for _ in range(20):
                answer = probe.ask(f"hold {mission_id} thing")
                if answer is None:
                    break
                if answer["held"]:
                    self.held[probe.name].add(mission_id)
                    break
                time.sleep(0.01)
            return
        mission_id = self.rng.choice(live)
        state = self.ledger[mission_id][-1][1]
        operation = self.rng.choice(["suspend", "revoke", "complete"] if state == "active"
                                    else ["resume", "resume", "revoke", "complete"])
        self.operate(mission_id, operation)
        if operation in TERMINAL:
            live.remove(mission_id)

    # -- the run

    def run(self):
        self.t.armed = None
        self.t.start()
        for p in self.probes:
            p.armed = None
            p.start()
        for p in self.probes:
            h.wait_for(lambda p=p: (p.ask("status") or {}).get("streaming"), 20, why=f"{p.name} is live")
        live, since = [], 0
        started = time.monotonic()
        while sum(self.kills.values()) < self.kills_wanted:
            if time.monotonic() - started > 30 + 4 * self.kills_wanted:
                self.problems.append(f"only {sum(self.kills.values())} kills in time")
                break
            self.step(live)
            since += 1
            if self.rng.random() < 0.1:
                self.random_kill()
        for _ in range(10):
            self.step(live)
        for what in [self.t, *self.probes]:  # nobody is left with a crash point to come
            if what.armed:
                what.armed = None
                what.process.p.kill()
                what.process.p.wait()
        self.revive()
        self.judge()

    def registry(self):
        out, cursor = {}, None
        while True:
            path = "/missions?limit=500" + (f"&cursor={cursor}" if cursor else "")
            status, body = self.t.call("operator", "GET", path)
            assert status == 200, (status, body)
            for m in body["missions"]:
                out[m["mission_id"]] = (m["version"], m["state"])
            cursor = body.get("next_cursor")
            if not cursor:
                return out

    def judge(self):
        self.t.wait_ready()
        registry = self.registry()
        for mission_id, entries in self.ledger.items():
            if registry.get(mission_id) != entries[-1][:2]:
                self.problems.append(f"registry has {registry.get(mission_id)}, ledger {entries[-1]}")
        for p in self.probes:
            def view():
                answer = p.ask("list")
                return {m["id"]: (m["version"], m["state"]) for m in answer["missions"]} if answer else {}

            try:
                # By the stream alone: nothing here asks Status for what it has not heard of.
                h.wait_for(lambda: view() == registry, 30, pause=0.1, why=f"{p.name} equals the registry")
            except AssertionError:
                have = view()
                for mission_id, want in registry.items():
                    if have.get(mission_id) != want:
                        self.problems.append(f"{p.name}: {mission_id} is {have.get(mission_id)}, registry {want}")
            try:
                h.wait_for(lambda: (p.ask("tasks") or {}).get("unfinished") == 0, 20, why=f"{p.name}: all tasks done")
            except AssertionError as e:
                self.problems.append(str(e))
            ran, last = set(), {}
            for words in p.lines():
                if words[0] == "handler":
                    ran.add(words[2])
                elif words[0] == "change":
                    mission_id, version = words[1], int(words[2])
                    if version < last.get(mission_id, 0):
                        self.problems.append(f"{p.name}: {mission_id} went from {last[mission_id]} to {version}")
                    last[mission_id] = max(version, last.get(mission_id, 0))
            for mission_id in self.held[p.name]:
                if registry[mission_id][1] in TERMINAL.values() and mission_id not in ran:
                    self.problems.append(f"{p.name}: no teardown ran for {mission_id}")

    def stop(self):
        for p in self.probes:
            if p.process:
                p.process.kill()
        if self.t.process:
            self.t.process.stop()


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--build-dir", type=pathlib.Path, required=True)
    a.add_argument("--kills", type=int, default=30)
    a.add_argument("--seed", type=int, default=None)
    a.add_argument("--keep", action="store_true", help="leave the folder with logs and databases")
    args = a.parse_args()
    seed = args.seed if args.seed is not None else int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}", flush=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mission-crash-"))
    run = Run(args.build_dir.resolve(), folder, args.kills, seed)
    try:
        run.run()
    finally:
        run.stop()
    held = sum(len(v) for v in run.held.values())
    print(f"kills {sum(run.kills.values())} {dict(sorted(run.kills.items()))}")
    print(f"operations {run.operations}, missions {len(run.ledger)}, held {held}, answered on repeat {run.repeated}")
    for p in run.problems[:40]:
        print("PROBLEM", p)
    if run.problems or args.keep:
        print(f"logs: {folder}")
    else:
        shutil.rmtree(folder)
    print("no loss" if not run.problems else f"{len(run.problems)} problems; repeat with --seed {seed}")
    return 1 if run.problems else 0


if __name__ == "__main__":
    sys.exit(main())
