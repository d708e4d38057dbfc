"""A transmitter that is put back to a copy of its store: nothing permits for ever, nothing denies for ever.

    restore_test.py --build-dir DIR [--keep]
"""
import argparse
import os
import pathlib
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import crash_test  # noqa: E402
import harness as h  # noqa: E402

DENIED = ("revoked", "ended", "stale", "gap", "unknown", "suspended", "expired")


class World:
    """A transmitter, a receiver that polls, one that is pushed to, and a poll stream read by hand."""

    def __init__(self, build, folder):
        self.folder = folder
        h.make_ca(folder)
        scopes = ["mission.write", "mission.read", "mission_lifecycle", "mission_status", "ssf.admin"]
        listener = dict(audience="https://erp.example", scopes=["ssf.read", "ssf.manage", "mission_status"],
                        missions="all")
        clients = [h.Client("operator", folder, audience="https://operator.example", scopes=scopes, missions="all",
                            lifecycle=["revoke", "suspend", "resume", "complete"])]
        clients += [h.Client(name, folder, **listener) for name in ("poller", "pusher", "watcher")]
        self.binary = build / "transmitter/mission-transmitter"
        self.t = h.Transmitter(self.binary, folder, clients)
        self.db = folder / "state/transmitter.db"
        self.probes = [crash_test.Probe(build / "tests/system/probe_receiver", folder, "poller", self.t, "poll"),
                       crash_test.Probe(build / "tests/system/probe_receiver", folder, "pusher", self.t, "push")]
        self.stream = None
        self.told = {}  # jti -> (mission, version, state) as the watcher was told

    # -- the program

    def store(self, *args, expect=0, cwd=None):
        p = subprocess.run([self.binary, "store", args[0], "--config", self.t.config_file, *args[1:]], cwd=cwd,
                           capture_output=True, text=True, timeout=60)
        assert p.returncode == expect, (p.returncode, p.stdout, p.stderr)
        return p.stdout if expect == 0 else p.stderr

    def restart(self, with_file=None, replace=None, kill=False):
        """Stops, puts `with_file` in the store's place by `replace(from, to)`, starts."""
        if kill:
            self.t.process.kill()
        else:
            self.t.process.stop()
        self.t.http.close()
        if with_file:
            for suffix in ("-wal", "-shm"):
                pathlib.Path(str(self.db) + suffix).unlink(missing_ok=True)
            replace(with_file, self.db)
        self.t.start()

    # -- operations and what is seen of them

    def create(self):
        status, body = self.t.create("operator")
        assert status == 201, (status, body)
        return body["mission_id"]

    def operate(self, mission, operation):
        status, body = self.t.lifecycle("operator", mission, operation)
        assert status == 200, (status, body)
        return body["mission"]["version"]

    def epoch(self, mission):
        status, body = self.t.status_of("operator", mission)
        assert status == 200, (status, body)
        return body["mission"]["log_epoch"]

    def everywhere(self, mission, standing, version=None, seconds=15, verb="check"):
        """Every receiver says `standing` of the mission."""
        for p in self.probes:
            def there(p=p):
                answer = p.ask(f"{verb} {mission}")
                assert answer is not None, f"{p.name} has died"
                return answer["standing"] == standing and (version is None or answer["version"] == version)
            h.wait_for(there, seconds, why=f"{p.name}: {mission} is {standing} {version or ''}, "
                                           f"and is {p.ask('check ' + mission)}")

    def watch(self, ack=False):
        """What is on the watcher's stream now; SETs that are not acknowledged come again."""
        if self.stream is None:
            status, body = self.t.call("watcher", "POST", "/ssf/streams", {
                "delivery": {"method": "urn:ietf:rfc:8936"}, "events_requested": h.MISSION_TYPES})
            assert status == 201, (status, body)
            self.stream = body["stream_id"]
        seen, acks = set(), []
        end = time.monotonic() + 15
        while time.monotonic() < end:
            status, body = self.t.call("watcher", "POST", f"/ssf/poll/{self.stream}",
                                       {"ack": acks, "maxEvents": 100, "returnImmediately": True})
            assert status == 200, (status, body)
            for jti, token in body["sets"].items():
                claims = h.jwt_claims(token)
                assert claims["jti"] == jti
                (kind, event), = claims["events"].items()
                if "mission" not in event:
                    continue
                word = (event["mission"]["id"], event["version"], event["state"], event["log_epoch"])
                assert self.told.setdefault(jti, word) == word, f"one jti for {self.told[jti]} and {word}"
                seen.add(word)
            acks = list(body["sets"]) if ack else []
            if not body["sets"] or (not ack and not body.get("moreAvailable")):
                break
        return seen

    def stop(self):
        for p in self.probes:
            if p.process:
                p.kill()
        if self.t.process:
            self.t.process.stop()


def test_a_copy_of_a_running_transmitter(w):
    """As section 6 of the contract has it: made while it runs, refused where something is in its way."""
    w.t.start()
    w.watch()
    for p in w.probes:
        p.start()
    for p in w.probes:
        h.wait_for(lambda p=p: (p.ask("status") or {}).get("streaming"), 20, why=f"{p.name} is live")
    w.a, w.b, w.c = w.create(), w.create(), w.create()
    for mission in (w.a, w.b, w.c):
        w.everywhere(mission, "active", 1)
    w.old_epoch = w.epoch(w.a)
    w.copy = w.folder / "copy.db"
    said = w.store("copy", w.copy)
    assert "up to seq 3" in said and str(w.copy) in said, said
    assert os.stat(w.copy).st_mode & 0o7777 == 0o600
    for to in (w.copy, w.db, w.folder, w.folder / "state/transmitter.db-journal"):
        said = w.store("copy", to, expect=1)
        assert str(to) in said, said
    assert subprocess.run([w.binary, "store", "copy", "--config", w.t.config_file],
                          capture_output=True, timeout=60).returncode == 2
    assert "another process" in w.store("restored", expect=1)
    # A relative name is one below the working directory.
    w.store("copy", "relative.db", cwd=w.folder)
    assert (w.folder / "relative.db").exists()
    assert not list(w.folder.glob("*.part"))
    raw = w.folder / "raw.db"
    w.restart()
    shutil.copy(w.db, raw)  # taken of the file itself, as some backup does
    w.raw = raw
    assert w.epoch(w.a) == w.old_epoch, "a restart is no restore"


def test_after_a_restore_a_lower_version_denies_at_once(w):
    """The receivers stand at version 3 of a history that is no more; the new one revokes at version 2."""
    assert w.operate(w.a, "suspend") == 2
    assert w.operate(w.a, "resume") == 3
    assert w.operate(w.c, "complete") == 2
    w.lost = w.create()
    w.everywhere(w.a, "active", 3)
    w.everywhere(w.lost, "active", 1)
    w.everywhere(w.c, "completed", 2)
    h.wait_for(lambda: w.watch(), 15)
    w.restart(with_file=w.copy, replace=shutil.move)
    assert "under another log_epoch" in w.t.tail(100_000) and "store copy" in w.t.tail(100_000)
    assert w.operate(w.a, "revoke") == 2
    started = time.monotonic()
    w.everywhere(w.a, "revoked", 2)
    print(f"    denied by both {time.monotonic() - started:.2f} s after the answer")
    w.new_epoch = w.epoch(w.a)
    assert w.new_epoch != w.old_epoch


def test_what_still_stands_is_permitted_again_and_what_is_lost_is_not(w):
    w.everywhere(w.b, "active", 1, seconds=30, verb="resolve")
    # The copy knows nothing of its end: the registry is the truth, and Status has said so.
    w.everywhere(w.c, "active", 1, seconds=30, verb="resolve")
    for p in w.probes:
        assert p.ask(f"resolve {w.lost}")["standing"] in DENIED
    fresh = w.create()
    w.everywhere(fresh, "active", 1)
    assert w.operate(fresh, "revoke") == 2
    w.everywhere(fresh, "revoked", 2)
    # And it stays so when nothing more happens than heartbeats.
    end = time.monotonic() + 12  # beyond max_stale_seconds
    while time.monotonic() < end:
        for p in w.probes:
            assert p.ask(f"check {w.a}")["standing"] in DENIED
            assert p.ask(f"resolve {w.b}")["standing"] == "active"
            assert p.ask(f"resolve {w.lost}")["standing"] in DENIED
        time.sleep(0.5)


def test_signals_of_the_copy_come_again_under_other_names(w):
    """Nothing unsettled is lost, and no jti names two signals: watch() asserts it."""
    before = set(w.told.values())  # nothing was acknowledged, so only the oldest of each mission
    assert {(m, 1, "active", w.old_epoch) for m in (w.a, w.b, w.lost)} <= before, before
    seen = set()
    end = time.monotonic() + 15
    while time.monotonic() < end and not {(w.b, 1, "active", w.old_epoch), (w.a, 2, "revoked", w.new_epoch)} <= seen:
        seen |= w.watch(ack=True)
    assert (w.b, 1, "active", w.old_epoch) in seen and (w.a, 2, "revoked", w.new_epoch) in seen, seen
    assert not any(word[0] == w.lost for word in seen)


def write_over(source, to):
    """As `cp` does it: the file stays the same file."""
    to.write_bytes(source.read_bytes())


def test_a_file_that_nobody_declared_is_noticed(w):
    epochs = {w.old_epoch, w.new_epoch}
    w.restart(with_file=w.raw, replace=write_over)
    now = w.epoch(w.b)
    assert now not in epochs, "written over"
    epochs.add(now)
    assert w.operate(w.b, "suspend") == 2
    w.everywhere(w.b, "suspended", 2)
    w.restart(kill=True)
    assert w.epoch(w.b) == now, "a kill is no restore"
    w.restart(with_file=w.folder / "relative.db", replace=shutil.copy)
    now = w.epoch(w.b)
    assert now not in epochs
    w.everywhere(w.b, "active", 1, seconds=30, verb="resolve")
    w.t.process.stop()
    assert "log_epoch" in w.store("restored")
    w.t.http.close()
    w.t.start()
    assert w.epoch(w.b) not in epochs | {now}
    w.everywhere(w.b, "active", 1, seconds=30, verb="resolve")


def test_killed_while_the_history_changes(w):
    """Wherever it is killed, the next start finishes it, and one restore makes one history."""
    rng = random.Random(7)
    copy = w.folder / "again.db"
    w.store("copy", copy)
    w.t.process.stop()
    w.t.http.close()

    def look(sql):
        db = sqlite3.connect(w.db)
        try:
            return db.execute(sql).fetchone()[0]
        finally:
            db.close()

    for _ in range(12):
        for suffix in ("", "-wal", "-shm"):
            pathlib.Path(str(w.db) + suffix).unlink(missing_ok=True)
        shutil.copy(copy, w.db)
        before = look("SELECT log_epoch FROM meta")
        histories = look("SELECT count(*) FROM log_epochs")
        w.t.start(wait=False)
        time.sleep(rng.uniform(0, 0.12))
        w.t.process.kill()
        w.t.start(wait=False)
        w.t.wait_ready()
        w.t.process.stop()
        w.t.http.close()
        assert look("SELECT log_epoch FROM meta") != before
        assert look("SELECT count(*) FROM log_epochs") == histories + 1
        assert look("SELECT copied_at IS NULL FROM meta") == 1


TESTS = [test_a_copy_of_a_running_transmitter, test_after_a_restore_a_lower_version_denies_at_once,
         test_what_still_stands_is_permitted_again_and_what_is_lost_is_not,
         test_signals_of_the_copy_come_again_under_other_names, test_a_file_that_nobody_declared_is_noticed,
         test_killed_while_the_history_changes]


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--build-dir", type=pathlib.Path, required=True)
    a.add_argument("--keep", action="store_true", help="leave the folder with logs and databases")
    args = a.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mission-restore-"))
    w = World(args.build_dir.resolve(), folder)
    done = False
    try:
        for test in TESTS:  # one story, in its order
            print(test.__name__, flush=True)
            test(w)
        done = True
    finally:
        w.stop()
        if done and not args.keep:
            shutil.rmtree(folder)
        else:
            print(f"logs: {folder}")
    print(f"{len(TESTS)} tests passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
