"""The order of the house: arrows between folders, who may include what, sizes, names.

Usage: house_test.py SOURCE_DIR. Reads the tree as text; every rule here is one of docs/architecture.md.
"""
import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()

ARROWS = {  # folder -> folders it may include
    "base": set(),
    "settings": {"base"},
    "jose": {"base"},
    "events": {"base", "jose"},
    "schemas": {"base"},
    "store": {"base", "jose", "events"},
    "net": {"base"},
    "transmitter": {"base", "settings", "jose", "events", "schemas", "store", "net"},
    "receiver": {"base", "settings", "jose", "events", "schemas", "net"},
    "tools": {"base", "jose", "events", "schemas", "net"},
    "samples": set(),
}
PURE = ["transmitter/missions", "transmitter/streams", "receiver/verify", "receiver/freshness"]
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.M)
THIRD = {
    # Its home, and the header for hosts that have it too.
    "boost/asio": {"net", "receiver/include/mission_signals/asio.hpp", "tests/receiver/embed"},
    "boost/beast": {"net"},
    "sqlite3.h": {"store/sqlite", "receiver/state", "tests"},
    "jwt/": {"transmitter/auth", "tests", "bench"},
    "spdlog/": {"transmitter", "tools", "receiver/program"},
    "toml++": {"settings", "tools"},
    "prometheus/": {"transmitter", "receiver/program"},
    "libpq": {"receiver/presets", "samples/pam_broker"},
    "hiredis": {"receiver/presets"},
    "CLI/": {"transmitter", "tools", "receiver/program", "samples", "tests", "bench"},
    "settings/": {"settings", "transmitter", "receiver/program", "tests", "fuzz"},
}


def sources(folder):
    base = ROOT / folder
    return sorted(p for p in base.rglob("*") if p.suffix in {".cpp", ".hpp", ".h", ".c"} and p.is_file())


def includes(path):
    return [m.group(2) for m in INCLUDE.finditer(path.read_text())]


class House(unittest.TestCase):
    def test_arrows_point_one_way_and_into_a_folders_own_headers_alone(self):
        wrong = []
        for folder, allowed in ARROWS.items():
            for path in sources(folder):
                for name in includes(path):
                    parts = name.split("/")
                    if parts[0] not in ARROWS or parts[0] == folder:
                        continue
                    if parts[0] not in allowed:
                        wrong.append(f"{path.relative_to(ROOT)} includes {name}")
                    elif len(parts) != 2:
                        wrong.append(f"{path.relative_to(ROOT)} includes {name}, which is private to {parts[0]}")
        self.assertEqual(wrong, [])

    def test_heavy_and_foreign_libraries_stay_where_they_belong(self):
        wrong = []
        for folder in [*ARROWS, "tests", "bench", "fuzz"]:
            for path in sources(folder):
                rel = str(path.relative_to(ROOT))
                for name in includes(path):
                    for prefix, homes in THIRD.items():
                        if name.startswith(prefix) and not any(rel == h or rel.startswith(h + "/") for h in homes):
                            wrong.append(f"{rel} includes {name}")
        self.assertEqual(wrong, [])

    def test_the_core_knows_no_shell(self):
        wrong = []
        for folder in PURE:
            for path in sources(folder):
                for name in includes(path):
                    if name.startswith(("boost/asio", "boost/beast", "sqlite3", "net/runtime", "net/client", "net/server", "fstream", "filesystem", "thread")):
                        wrong.append(f"{path.relative_to(ROOT)} includes {name}")
        self.assertEqual(wrong, [])

    def test_installed_headers_include_the_standard_library_alone(self):
        wrong = []
        c_headers = {"stddef.h", "stdint.h"}
        for path in sources("receiver/include"):
            for name in includes(path):
                if path.suffix == ".h" and name in c_headers:
                    continue  # ms.h, for C
                if path.name == "asio.hpp" and name.startswith("boost/asio/"):
                    continue  # for hosts that have it: nothing else includes this header
                if "/" in name and not name.startswith("mission_signals/") or name.endswith(".h"):
                    wrong.append(f"{path.relative_to(ROOT)} includes {name}")
        self.assertEqual(wrong, [])

    def test_samples_use_installed_headers_alone(self):
        wrong = []
        for path in sources("samples"):
            for name in includes(path):
                if name.split("/")[0] in ARROWS and name.split("/")[0] != "samples":
                    wrong.append(f"{path.relative_to(ROOT)} includes {name}")
        self.assertEqual(wrong, [])

    def test_no_file_is_longer_than_600_lines(self):
        long = [f"{p.relative_to(ROOT)}: {n}" for f in [*ARROWS, "tests", "bench", "fuzz"] for p in sources(f)
                if (n := len(p.read_text().splitlines())) > 600]
        self.assertEqual(long, [])

    def test_every_header_is_guarded(self):
        bare = [str(p.relative_to(ROOT)) for f in ARROWS for p in sources(f)
                if p.suffix == ".hpp" and "#pragma once" not in p.read_text()]
        self.assertEqual(bare, [])

    def test_nothing_is_detached_and_no_test_sleeps(self):
        wrong = []
        for folder in [*ARROWS, "tests"]:
            for path in sources(folder):
                text = path.read_text()
                if re.search(r"\b(asio|net)::detached\b", text):
                    wrong.append(f"{path.relative_to(ROOT)} detaches a coroutine")
                if folder == "tests" and re.search(r"\b(sleep_for|usleep)\b", text):
                    wrong.append(f"{path.relative_to(ROOT)} sleeps")
        self.assertEqual(wrong, [])

    def test_the_readme_names_the_two_commands_and_its_links_exist(self):
        readme = (ROOT / "README.md").read_text()
        for command in ("./dev run", "./dev test"):
            self.assertIn(command, readme)
        for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
            for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
                self.assertTrue((page.parent / target).exists(), f"{page.name} links to {target}")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
