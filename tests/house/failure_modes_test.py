"""docs/failure-modes.md: every fault has its row, and every row a test that is there and is run.

Usage: failure_modes_test.py SOURCE_DIR.
"""
import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
CELL = re.compile(r"(?<!\\)\|")
TEST = re.compile(r'`(tests/[\w./-]+)` "([^"]+)"')
# What the table has to speak of, whatever else it has: words of the fault's cell.
FAULTS = [
    "network gone", "transmitter dead", "silent", "cuts the long poll", "name service", "certificate has expired",
    "credential of the receiver", "disk full at the transmitter", "disk full at the receiver", "transmitter killed",
    "paused or disabled", "deleted", "dead letter", "version was missed", "subject", "forged", "replayed",
    "flood of signals", "flood of unknown", "keys rotated", "compromised", "key set cannot be fetched",
    "receiver's clock is ahead", "receiver's clock is behind", "transmitter's clock", "state is lost",
    "state is damaged", "receiver is restored", "transmitter is restored", "failover", "power cut",
    "receiver killed", "forks", "cache is full", "Status down", "Status slow", "handler fails", "handler hangs",
    "handler is killed", "target of an action is down", "PostgreSQL", "Redis", "sidecar is killed", "nginx"]


def rows():
    """(line number, cells) of each fault."""
    for number, line in enumerate((ROOT / "docs/failure-modes.md").read_text().splitlines(), 1):
        if line.startswith("| ") and not line.startswith("| fault "):
            yield number, [c.strip() for c in CELL.split(line)[1:-1]]


def cases(path):
    """The names of a file's tests: its cases, and itself as ctest knows it when it is a program."""
    text = (ROOT / path).read_text()
    names = {a or b for a, b in re.findall(r'TEST_CASE(?:_TEMPLATE)?\(\s*((?:"[^"]*"\s*)+)|def (test_\w+)\(', text)}
    names = {"".join(re.findall(r'"([^"]*)"', n)) if n.startswith('"') else n for n in names}
    lists = (ROOT / path).parent / "CMakeLists.txt"
    if path.endswith(".py") and lists.is_file():
        names |= set(re.findall(r"mission_system_test\((\w+) " + re.escape(pathlib.Path(path).name), lists.read_text()))
    return names


def is_run(path):
    """Some list of tests, in its folder or above, names the file."""
    file = ROOT / path
    for folder in file.parents:
        for lists in folder.glob("*.cmake"):
            if file.name in lists.read_text():
                return True
        lists = folder / "CMakeLists.txt"
        if lists.is_file() and re.search(rf"\b{re.escape(file.name)}\b", lists.read_text()):
            return True
        if folder == ROOT / "tests":
            return False
    return False


class FailureModes(unittest.TestCase):
    def test_every_row_is_whole(self):
        found = list(rows())
        self.assertGreater(len(found), 40)
        for number, cells in found:
            self.assertEqual(len(cells), 6, f"line {number}")
            self.assertTrue(all(cells), f"line {number} has an empty cell")
        names = [cells[0] for _, cells in found]
        self.assertEqual([n for n in names if names.count(n) > 1], [])

    def test_every_fault_has_a_row(self):
        faults = "\n".join(cells[0] for _, cells in rows())
        self.assertEqual([f for f in FAULTS if f not in faults], [])

    def test_every_row_names_tests_that_are_there_and_are_run(self):
        wrong = []
        for number, cells in rows():
            named = TEST.findall(cells[5])
            if not named:
                wrong.append(f"line {number} ({cells[0]}) names no test")
            for path, case in named:
                if not (ROOT / path).is_file():
                    wrong.append(f"line {number}: {path} is not there")
                elif case not in cases(path):
                    wrong.append(f'line {number}: {path} has no "{case}"')
                elif not is_run(path):
                    wrong.append(f"line {number}: {path} is in no list of tests")
        self.assertEqual(wrong, [])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
