"""Random kills of `mission-receiver run` and of its handlers, which hold real things.

An operator makes, suspends, resumes and ends missions at a real transmitter. For each the receiver
holds a process (stopped, continued and killed by the program itself) and its file (removed by a
command). Meanwhile the receiver is killed at random instants and at its named points, and the commands
while they run. At the end:

    no teardown ran zero times      what an ended mission held is gone, and the task has the evidence
    nothing else was torn down      what a mission holds that has not ended is there, and runs
    no permission outlived its      once the transmitter has the acknowledgement of a denial, no
    denial                          check that was asked after it has permitted

    teardown_crash_test.py --build-dir DIR [--kills N] [--seed S] [--keep]

The seed is printed; it repeats the run's choices (the machine's timing it cannot repeat).
"""
import argparse
import collections
import contextlib
import http.client
import json
import os
import pathlib
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import harness as h  # noqa: E402

POINTS = ["cache_commit_ack", "handler_outcome"]
TERMINAL = ("revoked", "completed")
RESOURCE = "https://erp.example"


class UnixHttp(http.client.HTTPConnection):
    def __init__(self, path, timeout=10):
        super().__init__("localhost", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Receiver:
    """`mission-receiver run`, restartable on the same state."""

    SCRIPT = """#!/bin/sh
# mission, name of the held file: takes its time, so that a kill can meet it anywhere.
echo "$MISSION_IDEMPOTENCY_KEY $1 $2" >> "{folder}/journal"
sleep 0.0$(( $(od -An -N1 -tu1 /dev/urandom) % 10 ))
rm -f "{folder}/things/$2"
sleep 0.0$(( $(od -An -N1 -tu1 /dev/urandom) % 10 ))
[ ! -e "{folder}/things/$2" ] || exit 1
echo "$2 is gone"
"""

    def __init__(self, build, folder, transmitter, client):
        self.binary = build / "receiver/program/mission-receiver"
        self.folder, self.process, self.armed = folder, None, None
        (folder / "things").mkdir()
        script = folder / "remove"
        script.write_text(self.SCRIPT.format(folder=folder))
        script.chmod(0o700)
        self.config = folder / "receiver.toml"
        self.socket = folder / "control"
        self.config.write_text(f"""
issuer = "{transmitter.url}"
[auth]
client_id = "{client.id}"
private_key = "{client.key_file}"
[tls]
ca_file = "{folder}/ca.pem"
[stream]
delivery = "poll"
description = "crash"
[state]
path = "{folder}/state/receiver.db"
[control]
socket = "{self.socket}"
[[teardown]]
name = "files"
on = ["ended"]
type = "exec"
command = ["{script}", "{{mission_id}}", "{{name}}"]
timeout_seconds = 10
retry_first_seconds = 0.02
retry_max_seconds = 0.2
[[teardown]]
name = "processes"
on = ["ended", "suspended", "resumed"]
type = "process_group"
retry_first_seconds = 0.02
retry_max_seconds = 0.2
""")

    def start(self, env=None):
        self.process = h.Process([self.binary, "run", "--config", self.config], self.folder / "receiver.log", env=env)

    def ask(self, method, target, body=None):
        """-> (status, parsed body), or None while nobody answers."""
        c = UnixHttp(self.socket)
        try:
            data = json.dumps(body) if body is not None else None
            c.request(method, target, data, {"Content-Type": "application/json"} if data else {})
            r = c.getresponse()
            text = r.read()
            return r.status, json.loads(text) if text else None
        except (OSError, http.client.HTTPException, ValueError):
            return None
        finally:
            c.close()

    def permitted(self, mission):
        """True, False, or None while nobody answers."""
        answer = self.ask("GET", f"/missions/{mission}")
        return answer[1]["permitted"] if answer and answer[0] == 200 else None

    def commands(self):
        """The pids of the commands that it runs now."""
        out = []
        with contextlib.suppress(OSError):
            for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir():
                with contextlib.suppress(OSError):
                    out += [int(pid) for pid in (task / "children").read_text().split()]
        return out


class Watcher(threading.Thread):
    """Asks, without end, about missions whose denial has been acknowledged."""

    def __init__(self, receiver):
        super().__init__(daemon=True)
        self.receiver, self.lock, self.denied = receiver, threading.Lock(), {}
        self.problems, self.answers, self.ended = [], 0, threading.Event()

    def deny(self, mission, word):
        with self.lock:
            self.denied[mission] = word

    def allow(self, mission):
        with self.lock:
            self.denied.pop(mission, None)

    def run(self):
        while not self.ended.is_set():
            with self.lock:
                now = list(self.denied.items())
            # The newest are the likeliest to be wrong, the others must stay right as well.
            for mission, word in now[-20:] + random.sample(now, min(len(now), 10)):
                answer = self.receiver.permitted(mission)
                self.answers += answer is not None
                with self.lock:
                    if answer and self.denied.get(mission) is word:
                        self.problems.append(f"{mission} is permitted after the acknowledgement of {word[0]}")
            self.ended.wait(0.005)


class Run:
    def __init__(self, build, folder, kills, seed):
        self.rng = random.Random(seed)
        self.kills_wanted, self.kills = kills, collections.Counter()
        self.folder = folder
        h.make_ca(folder)
        clients = [h.Client("operator", folder, audience="https://operator.example", missions="all",
                            scopes=["mission.write", "mission.read", "mission_lifecycle"],
                            lifecycle=["revoke", "suspend", "resume", "complete"]),
                   h.Client("holder", folder, audience=RESOURCE, scopes=["ssf.read", "ssf.manage", "mission_status"])]
        self.t = h.Transmitter(build / "transmitter/mission-transmitter", folder, clients)
        self.r = Receiver(build, folder, self.t, clients[1])
        self.watcher = Watcher(self.r)
        self.state, self.things, self.told = {}, {}, []  # told: denials that wait for their acknowledgement
        self.acknowledged = self.operations = 0
        self.problems = []

    # -- kills

    def revive(self):
        if self.r.process.alive():
            return
        code = self.r.process.p.wait()
        if code != -signal.SIGKILL:
            self.problems.append(f"the receiver ended with {code}: {self.tail()}")
        if self.r.armed:
            self.kills["at " + self.r.armed] += 1
        self.r.armed = None
        env = None
        if sum(self.kills.values()) < self.kills_wanted and self.rng.random() < 0.4:
            self.r.armed = self.rng.choice(POINTS)
            env = {"MISSION_CRASH_AT": f"{self.r.armed}:{self.rng.randint(1, 6)}"}
        self.r.process.log.close()
        self.r.start(env=env)

    def kill_something(self):
        if sum(self.kills.values()) >= self.kills_wanted:
            return
        commands = self.r.commands()
        if commands:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.rng.choice(commands), signal.SIGKILL)
                self.kills["command"] += 1
        if self.r.process.alive() and self.rng.random() < (0.15 if commands else 0.25):
            self.r.armed = None
            self.r.process.p.kill()
            self.r.process.p.wait()
            self.kills["receiver"] += 1

    def tail(self):
        return (self.folder / "receiver.log").read_text(errors="replace")[-1500:]

    # -- operations

    def create(self):
        status, body = self.t.create("operator", resource=RESOURCE)
        assert status == 201, (status, body)
        mission = body["mission_id"]
        self.state[mission] = ("active", body["version"])
        end = time.monotonic() + 10
        while not self.r.permitted(mission):
            self.revive()
            if time.monotonic() > end:
                self.problems.append(f"{mission} is not permitted: {self.r.ask('GET', '/missions/' + mission)}")
                return mission
            time.sleep(0.005)
        self.hold(mission)
        return mission

    # What exists is declared before it is handed out; what is refused is taken back at once.
    def hold(self, mission):
        name = "thing-" + secrets.token_hex(6)
        file = self.folder / "things" / name
        file.write_text(mission)
        process = subprocess.Popen(["/bin/sleep", "100000"], start_new_session=True)
        done = subprocess.run([self.r.binary, "hold", mission, name, "--pid", str(process.pid),
                               "--config", self.r.config], capture_output=True, text=True, timeout=60)
        if done.returncode == 0:
            self.things[name] = (mission, file, process)
        else:  # refused, or nobody has answered
            process.kill()
            process.wait()
            file.unlink(missing_ok=True)

    def operate(self, mission, operation):
        if operation == "resume":
            self.watcher.allow(mission)
        status, answer = self.t.lifecycle("operator", mission, operation)
        assert status == 200, (operation, self.state[mission], status, answer)
        m = answer["mission"]
        self.state[mission] = (m["state"], m["version"])
        self.operations += 1
        if m["state"] != "active":
            self.told.append((mission, m["state"], m["version"]))

    # A denial holds from the moment on in which the transmitter has its acknowledgement.
    def note_acknowledgements(self):
        waiting = []
        for mission, state, version in self.told:
            if self.state[mission] != (state, version):
                continue  # resumed since, or ended: that denial is looked at instead
            status, body = self.t.call("operator", "GET", "/missions/" + mission)
            assert status == 200, (status, body)
            if any(s["client_id"] == "holder" and s["acked_version"] >= version for s in body["streams"]):
                self.watcher.deny(mission, (state, version))
                self.acknowledged += 1
            else:
                waiting.append((mission, state, version))
        self.told = waiting

    def step(self, live):
        self.revive()
        if not live or self.rng.random() < 0.3:
            live.append(self.create())
        else:
            mission = self.rng.choice(live)
            active = self.state[mission][0] == "active"
            choices = ["suspend", "revoke", "complete"] if active else ["resume", "resume", "revoke"]
            self.operate(mission, self.rng.choice(choices))
            if self.state[mission][0] in TERMINAL:
                live.remove(mission)
        self.note_acknowledgements()
        # Commands begin a moment after the operation.
        time.sleep(self.rng.choice([0, 0.01, 0.03, 0.06]))
        self.kill_something()

    # -- the run

    def run(self):
        self.t.start()
        self.r.start()
        h.wait_for(lambda: (self.r.ask("GET", "/status") or (0, {}))[1].get("streaming"), 30, why="it is live")
        self.watcher.start()
        live, started = [], time.monotonic()
        while sum(self.kills.values()) < self.kills_wanted:
            if time.monotonic() - started > 60 + 3 * self.kills_wanted:
                self.problems.append(f"only {sum(self.kills.values())} kills in time")
                break
            self.step(live)
        if self.r.armed:  # nobody is left with a crash point to come
            self.r.armed = None
            self.r.process.p.kill()
            self.r.process.p.wait()
        self.revive()
        self.judge()

    def judge(self):
        try:
            h.wait_for(lambda: (self.r.ask("GET", "/tasks") or (0, [1]))[1] == [], 60, 0.05, "every task is done")
            h.wait_for(lambda: self.note_acknowledgements() or not self.told, 30, 0.05, "every denial is acknowledged")
        except AssertionError as e:
            self.problems.append(f"{e}: {self.r.ask('GET', '/tasks')} {self.tail()}")
        for mission, (state, _) in self.state.items():
            if state == "active":
                try:
                    h.wait_for(lambda m=mission: self.r.permitted(m), 20, 0.05, f"{mission} is permitted again")
                except AssertionError as e:
                    self.problems.append(str(e))
            elif self.r.permitted(mission):
                self.problems.append(f"{mission} is {state}, and permitted")
        self.watcher.ended.set()
        self.watcher.join(30)
        self.problems += self.watcher.problems
        self.judge_things()

    def judge_things(self):
        if self.r.process.stop() != 0:
            self.problems.append("the receiver did not stop in order: " + self.tail())
        done = subprocess.run([self.r.binary, "tasks", "list", "--all", "--json", "--config", self.r.config],
                              capture_output=True, text=True, timeout=60)
        evidence = {(t["name"], t["handler"]): t for t in json.loads(done.stdout)
                    if t["state"] == "finished" and t["effect"] in TERMINAL}
        for name, (mission, file, process) in self.things.items():
            state = self.state[mission][0]
            for handler, there in [("files", file.exists()), ("processes", process.poll() is None)]:
                if state in TERMINAL:
                    if there:
                        self.problems.append(f"{name} of {mission} ({state}) was not torn down: {handler}")
                    told = evidence.get((name, handler), {})
                    if told.get("last") != "acknowledged" or not told.get("evidence"):
                        self.problems.append(f"{name} of {mission} ({state}) has no evidence: {handler} {told}")
                elif not there:
                    self.problems.append(f"{name} of {mission} ({state}) was torn down: {handler}")
            if state not in TERMINAL and process.poll() is None:
                stat = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
                if stat != ("T" if state == "suspended" else "S"):
                    self.problems.append(f"{name} of {mission} ({state}) is in state {stat}")

    def stop(self):
        self.watcher.ended.set()
        for _, _, process in self.things.values():
            if process.poll() is None:
                process.kill()
                process.wait()
        if self.r.process and self.r.process.alive():
            self.r.process.kill()
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
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mission-teardown-"))
    run = Run(args.build_dir.resolve(), folder, args.kills, seed)
    try:
        run.run()
    finally:
        run.stop()
    ended = sum(run.state[mission][0] in TERMINAL for mission, _, _ in run.things.values())
    print(f"kills {sum(run.kills.values())} {dict(sorted(run.kills.items()))}")
    print(f"missions {len(run.state)}, operations {run.operations}, held {len(run.things)}, of ended missions {ended}")
    print(f"denials acknowledged {run.acknowledged}, answers about them {run.watcher.answers}")
    if run.kills_wanted >= 20 and not (ended and run.acknowledged and run.watcher.answers and run.kills["command"]):
        run.problems.append("too little happened to say anything")
    for p in run.problems[:40]:
        print("PROBLEM", p)
    if run.problems or args.keep:
        print(f"logs: {folder}")
    else:
        shutil.rmtree(folder)
    print("nothing outlived its mission" if not run.problems
          else f"{len(run.problems)} problems; repeat with --seed {seed}")
    return 1 if run.problems else 0


if __name__ == "__main__":
    sys.exit(main())
