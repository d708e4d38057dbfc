"""docs/conformance.md: every rule is kept somewhere, and its test is there.

Usage: conformance_test.py SOURCE_DIR.
"""
import collections
import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
CELL = re.compile(r"(?<!\\)\|")
TEST = re.compile(r'`(tests/[\w./-]+)` "([^"]+)"')
FILE = re.compile(r"`((?:base|jose|events|schemas|store|net|settings|transmitter|receiver|tools|samples|docs)/[\w./-]*)`")
LEVELS = {"MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "REQUIRED", "RECOMMENDED"}


def rows():
    for number, line in enumerate((ROOT / "docs/conformance.md").read_text().splitlines(), 1):
        if re.match(r"\| (SSF|CAEP|INTEROP|RISC|RFC\d+|STATUS|MANAGE|CHILD|EXPAND|SIGNAL)-", line):
            yield number, [c.strip() for c in CELL.split(line)[1:-1]]


class Conformance(unittest.TestCase):
    def test_the_table_is_whole(self):
        found = list(rows())
        self.assertGreater(len(found), 300)
        ids = collections.Counter(cells[0] for _, cells in found)
        self.assertEqual([i for i, n in ids.items() if n > 1], [])
        for number, cells in found:
            self.assertEqual(len(cells), 7, f"line {number}")
            self.assertTrue(all(cells), f"line {number} has an empty cell")
            self.assertIn(cells[2], LEVELS, f"line {number}")
            self.assertIn(cells[3], {"T", "R", "both"}, f"line {number}")

    def test_every_row_names_a_test_that_is_there(self):
        texts, wrong = {}, []
        for number, cells in rows():
            named = TEST.findall(cells[6])
            if not named:
                wrong.append(f"line {number} ({cells[0]}) names no test")
            for path, case in named:
                file = ROOT / path
                if path not in texts:
                    texts[path] = file.read_text() if file.is_file() else None
                if texts[path] is None:
                    wrong.append(f"line {number}: {path} is not there")
                    continue
                cases = re.findall(r'TEST_CASE(?:_TEMPLATE)?\(\s*"([^"]+)"|def (test_\w+)\(', texts[path])
                if case not in {a or b for a, b in cases}:
                    wrong.append(f"line {number}: {path} has no \"{case}\"")
        self.assertEqual(wrong, [])

    def test_every_row_says_where_it_is_kept(self):
        wrong = []
        for number, cells in rows():
            named = FILE.findall(cells[5])
            if not named:
                wrong.append(f"line {number} ({cells[0]}) names no place")
            wrong += [f"line {number}: {name} is not there" for name in named if not (ROOT / name).exists()]
        self.assertEqual(wrong, [])

    def test_nothing_is_put_off(self):
        wrong = [f"line {number}" for number, cells in rows()
                 if re.search(r"\b(later version|not yet|planned|TODO|to be done)\b", " ".join(cells[4:6]))]
        self.assertEqual(wrong, [])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
