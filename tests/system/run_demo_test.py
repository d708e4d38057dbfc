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
    "partition": {"stale_ms", "served_ms"},
    "catch_up": {"refused_ms"},
}


class RunDemo(unittest.TestCase):
    def test_the_run_is_ok_and_cleans_up_after_itself(self):
        with tempfile.TemporaryDirectory() as directory:
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
            self.assertEqual(set(answer), {"ok", "lost", *EFFECTS})
            for phase, names in EFFECTS.items():
                self.assertEqual(set(answer[phase]), names)
                for name in names:
                    self.assertGreaterEqual(answer[phase][name], 0, f"{phase}.{name}")
            # The bound of the run's partition: 3 s from the last heartbeat, one a second.
            self.assertGreater(answer["partition"]["stale_ms"], 1000)
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
