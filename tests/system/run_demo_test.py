"""`./dev run --json` says ok, loses nothing, and leaves no process and no file behind."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

BUILD_DIR = pathlib.Path("build/test")
RUN = pathlib.Path(__file__).resolve().parents[2] / "samples" / "run" / "run.py"
EFFECTS = {
    "suspend": {"refused_ms", "paused_ms"},
    "resume": {"served_ms"},
    "scope": {"refused_ms"},
    "complete": {"refused_ms", "destroyed_ms", "halted_ms"},
    "family": {"parent_refused_ms", "refused_ms", "parent_halted_ms", "halted_ms"},
    "report": {"refused_ms", "denied_ms"},
    "partition": {"stale_ms", "served_ms"},
    "catch_up": {"refused_ms"},
    "database": {"closed_ms", "opened_ms", "session_ended_ms", "role_gone_ms"},
}


class RunDemo(unittest.TestCase):
    def test_the_run_is_ok_and_cleans_up_after_itself(self):
        with tempfile.TemporaryDirectory() as directory:
            os.chmod(directory, 0o711)  # PostgreSQL is not run as root
            done = subprocess.run(
                [sys.executable, RUN, "--build-dir", BUILD_DIR, "--json"],
                capture_output=True, text=True, timeout=150,
                env=os.environ | {"TMPDIR": directory},
            )
            said = done.stdout + done.stderr
            answer = json.loads(done.stdout.splitlines()[-1])
            if not answer["ok"]:
                for log in pathlib.Path(directory).glob("*/*.log"):
                    if log.name.startswith("agent-"):
                        continue
                    lines = [line for line in log.read_text(errors="replace").splitlines()
                             if '"decision"' not in line]
                    said += f"\n--- {log.name}\n" + "\n".join(lines[-25:])
            self.assertTrue(answer["ok"], said)
            self.assertEqual(done.returncode, 0)
            self.assertEqual(answer["lost"], 0)
            self.assertEqual(set(answer), {"ok", "lost", "audit", "evidence", *EFFECTS}, said)
            for phase, names in EFFECTS.items():
                self.assertEqual(set(answer[phase]), names)
                for name in names:
                    self.assertGreaterEqual(answer[phase][name], 0, f"{phase}.{name}")
            # The bound of the run's partition: 3 s from the last heartbeat, one a second.
            self.assertGreater(answer["partition"]["stale_ms"], 1000)
            self.judge_audit(answer["audit"])
            self.judge_evidence(answer["evidence"], done.stdout)
            # Nobody of this run is left: every command line names the run's directory.
            left = []
            for entry in pathlib.Path("/proc").iterdir():
                if entry.name.isdigit():
                    try:
                        command = (entry / "cmdline").read_bytes().decode(errors="replace")
                    except OSError:
                        continue
                    if f"{directory}/mission-run-" in command:
                        left.append(f"{entry.name}: {command}")
            self.assertEqual(left, [])
            self.assertEqual(list(pathlib.Path(directory).iterdir()), [])

    def judge_evidence(self, evidence, shown):
        self.assertEqual(set(evidence), {"call_refused", "credential_destroyed", "process_group_gone",
                                         "role_gone", "session_ended"})
        self.assertEqual(evidence["call_refused"]["reason"], "mission completed")
        self.assertEqual(evidence["credential_destroyed"]["error"], "credential_destroyed")
        group = evidence["process_group_gone"]
        self.assertEqual((len(group["processes"]), group["left"]), (2, 0))
        self.assertRegex(group["says"], "none left")
        session = evidence["session_ended"]
        self.assertEqual(session["in_pg_stat_activity"], 0)
        self.assertIn("terminating connection due to administrator command", session["was_told"])
        role = evidence["role_gone"]
        self.assertEqual((role["in_pg_roles"], role["role"]), (0, session["role"]))
        self.assertRegex(role["says"], "1 sessions? terminated, .*dropped, not in pg_roles")
        self.assertIn("failed", role["log_in"])
        for line in ("the call is refused", "the credential is destroyed", "the process group is gone",
                     "the session has ended", "the role is gone"):
            self.assertIn(line, shown)
        self.assertNotIn("NOT SEEN", shown)

    def test_without_postgresql_the_run_says_so_and_goes_on(self):
        sys.path.insert(0, str(RUN.parent))
        import database
        import world
        from unittest import mock
        with tempfile.TemporaryDirectory() as directory:
            w = world.World(BUILD_DIR, pathlib.Path(directory))
            with mock.patch.object(database.glob, "glob", return_value=[]), \
                    mock.patch.object(database.shutil, "which", return_value=None):
                self.assertIsNone(w._try_database(lambda: database.Database(w.directory)))
            self.assertEqual(w.no_database, "PostgreSQL is not installed")
            self.assertNotIn("--postgres", w._arguments("pam_broker"))
            # One that is there and does not come up.
            w.database = w._try_database(lambda: database.Database(w.directory))
            broken = w.database
            with open(w.directory / "postgres.log", "a"):
                broken.making.kill()
            self.assertIsNone(w._try_database(broken.start))
            self.assertIsNone(w.database)
            self.assertIn("initdb", w.no_database)

    def judge_audit(self, audit):
        """The four questions, for an access of each of three missions."""
        self.assertEqual(audit["active"] + audit["late"], audit["accesses"])
        self.assertGreater(audit["active"], 100)
        ends = {"task": ("completed", "rule work-done"), "sub-errand": ("cascaded", "family"),
                "report": ("completed", "private_key_jwt")}
        self.assertEqual(set(audit["answers"]), set(ends))
        for name, (state, origin) in ends.items():
            answers = audit["answers"][name]
            self.assertEqual(answers["active"]["active"], True)
            self.assertEqual(answers["active"]["version"], answers["access"]["version"])
            self.assertEqual(answers["approved"]["by"]["sub"], "anna.keller")
            self.assertLess(answers["approved"]["at"], answers["access"]["time"])
            self.assertLess(answers["access"]["time"], answers["ended"]["at"])
            self.assertEqual(answers["ended"]["state"], state)
            self.assertTrue(answers["ended"]["by"]["origin"].startswith(origin), answers["ended"])
            self.assertTrue(answers["ended"]["reason"])

    def test_the_auditor_notices_what_does_not_fit(self):
        sys.path.insert(0, str(RUN.parent))
        import audit
        entries = []
        for seq in range(1, 4):
            entry = {"seq": seq, "issuer": "https://mas.example", "actor": "opérator", "detail": {"b": 1, "a": "x"},
                     "previous": entries[-1]["hash"] if entries else ""}
            entries.append(entry | {"hash": audit.entry_hash(entry)})
        audit.check_chain(entries)
        changed = [dict(e) for e in entries]
        changed[1]["actor"] = "somebody"
        for broken in (changed, [entries[0], entries[2]], [entries[1], entries[0]]):
            with self.assertRaises(audit.AuditFailed):
                audit.check_chain(broken)

        class Lines(audit.Auditor):
            def __init__(self, accesses):
                self.lines = accesses

            def accesses(self):
                return self.lines

            def history(self, mission):
                return [{"version": n, "state": state, "committed_at": f"2026-11-02T09:00:{at:02}.000Z",
                         "expires_at": "2026-11-02T09:00:50.000Z"}
                        for n, (state, at) in enumerate(
                            [("active", 10), ("suspended", 20), ("active", 30)], 1)]

        def access(second, version):
            return {"mission": "m", "version": version, "time": f"2026-11-02T09:00:{second:02}.500Z",
                    "program": "resource_server", "action": "read"}
        self.assertEqual(Lines([access(15, 1), access(35, 3), access(22, 1), access(32, 1)]).join(),
                         {"accesses": 4, "active": 3, "late": 1})
        # Before the approval; under a version that did not permit; too long after; past its end.
        for wrong in (access(5, 1), access(35, 2), access(25, 1), access(55, 3), access(15, 2)):
            with self.assertRaises(audit.AuditFailed):
                Lines([wrong]).join()

    def test_programs_that_are_not_built_are_one_clear_line_and_status_1(self):
        with tempfile.TemporaryDirectory() as directory:
            done = subprocess.run(
                [sys.executable, RUN, "--build-dir", directory, "--json"],
                capture_output=True, text=True, timeout=60,
                env=os.environ | {"TMPDIR": directory},
            )
        self.assertEqual(done.returncode, 1)
        self.assertIn("./dev build", done.stdout)
        self.assertFalse(json.loads(done.stdout.splitlines()[-1])["ok"])


if __name__ == "__main__":
    if "--build-dir" in sys.argv:
        at = sys.argv.index("--build-dir")
        BUILD_DIR = pathlib.Path(sys.argv[at + 1]).resolve()
        del sys.argv[at:at + 2]
    unittest.main(verbosity=2)
