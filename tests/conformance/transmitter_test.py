"""The transmitter from outside: every documented endpoint, each success and each error.

    transmitter_test.py --build-dir DIR [unittest arguments]
"""
import argparse
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import world as w  # noqa: E402

MODULES = ["metadata_checks", "token_checks", "order_checks", "stream_checks", "update_checks", "status_checks",
           "subject_checks", "verify_checks", "poll_checks", "push_checks", "signal_checks", "mission_checks",
           "suite_checks", "evidence_checks"]


def load_tests(loader, _tests, _pattern):
    return unittest.TestSuite(loader.loadTestsFromName(m) for m in MODULES)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--build-dir", default="build/test")
    known, rest = parser.parse_known_args()
    w.Case.build = known.build_dir
    w.Case.world = w.World(known.build_dir)
    try:
        w.Case.world.start()
        program = unittest.main(argv=[sys.argv[0], *rest], exit=False)
        if not program.result.wasSuccessful():
            print(w.Case.world.tail(), file=sys.stderr)
        code = 0 if program.result.wasSuccessful() else 1
    finally:
        w.Case.world.stop()
    sys.exit(code)
