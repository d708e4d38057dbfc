"""Hosts in C, C++ and Python over what is installed: symbols, pkg-config, a real transmitter, fork, the interpreter."""

import argparse
import asyncio
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.request

import harness as h

BUILD_DIR = pathlib.Path("build/test")
SOURCE_DIR = pathlib.Path(__file__).resolve().parents[2]
RESOURCE = "https://erp.example"
NOTES = "https://notes.example"
# Code of ours that calls these is in the library; a host that has them too must not be called.
CONFLICTS = ("_ZN5boost4asio6detail9scheduler3runERNS_6system10error_codeE",
             "_ZN5boost4asio6detail9scheduler4stopEv")


def run(*command, **more):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=120, **more)
    if done.returncode != 0:
        raise AssertionError(f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def install(prefix, *components):
    for component in components:
        run("cmake", "--install", BUILD_DIR, "--prefix", prefix, "--component", component)
    return next(pathlib.Path(prefix).glob("lib*/**/pkgconfig")).parent


def flags(libdir, *arguments):
    return shlex.split(run("pkg-config", *arguments, env={**os.environ, "PKG_CONFIG_PATH": str(libdir / "pkgconfig")}))


def symbols(library, *arguments):
    """[(type, name)] of nm."""
    return re.findall(r"^[0-9a-f ]{16} (\w) (.+)$", run("nm", *arguments, library), re.M)


class Host:
    """The host in C: a question a line, and what it prints, by its first word."""

    def __init__(self, command, log):
        self.log = open(log, "wb")
        self.p = subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=self.log, text=True, bufsize=1)
        self.lines, self.news = [], threading.Condition()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.p.stdout:
            with self.news:
                self.lines.append(line.rstrip("\n"))
                self.news.notify_all()

    def wait(self, word, seen=0, seconds=20):
        """The line with this first word that comes after `seen` of them."""
        def found():
            return [line.partition(" ")[2] for line in self.lines if line.split(" ", 1)[0] == word]
        with self.news:
            if not self.news.wait_for(lambda: len(found()) > seen, seconds):
                raise AssertionError(f"no {word!r}: {self.lines} {open(self.log.name).read()[-1500:]}")
            return found()[seen]

    def count(self, word):
        with self.news:
            return sum(1 for line in self.lines if line.split(" ", 1)[0] == word)

    def ask(self, question, word):
        seen = self.count(word)
        self.p.stdin.write(question + "\n")
        return self.wait(word, seen)

    def end(self):
        self.p.stdin.close()
        code = self.p.wait(30)
        self.reader.join(10)
        self.log.close()
        return code

    def kill(self):
        if self.p.poll() is None:
            self.p.kill()
            self.p.wait()
        self.p.stdout.close()
        self.p.stdin.close()
        self.log.close()


class Embedding(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="mission-embedding-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.libdir = install(cls.folder / "all", "receiver", "receiver_shared", "capi")
        cls.c_library = cls.libdir / "libmission_signals_c.so.0"
        scopes = ["ssf.read", "ssf.manage", "mission_status"]
        cls.operator = h.Client("operator", cls.folder, audience="operator", missions="all",
                                lifecycle=["revoke", "suspend", "resume", "complete"],
                                scopes=["mission.write", "mission.read", "mission_lifecycle", "mission_status"])
        cls.hosts = {name: h.Client(name, cls.folder, audience=audience, scopes=scopes)
                     for name, audience in (("c-host", RESOURCE), ("py-host", RESOURCE), ("notes", NOTES))}
        cls.transmitter = h.Transmitter(BUILD_DIR / "transmitter" / "mission-transmitter", cls.folder,
                                        [cls.operator, *cls.hosts.values()])
        cls.transmitter.start()
        cls.addClassCleanup(lambda: cls.transmitter.process.stop())
        cls.addClassCleanup(lambda: cls.transmitter.http.close())

    def mission(self, resource=RESOURCE, actions=("invoices.read",)):
        status, made = self.transmitter.create("operator", resource=resource, actions=actions)
        self.assertEqual(status, 201, made)
        return made["mission_id"]

    def revoke(self, mission):
        status, body = self.transmitter.lifecycle("operator", mission, "revoke")
        self.assertEqual(status, 200, body)

    def options(self, name):
        client = self.hosts[name]
        return {"issuer": self.transmitter.url, "ca_file": self.transmitter.ca, "client_id": client.id,
                "private_key_file": client.key_file, "audience": client.entry["audience"]}

    # ------------------------------------------------------------------------------- symbols

    def test_the_c_library_shows_the_functions_of_its_header_with_their_version_and_nothing_else(self):
        header = (SOURCE_DIR / "receiver/include/mission_signals/ms.h").read_text()
        declared = set(re.findall(r"MS_API[^;]*?\b(ms_\w+)\(", header))
        self.assertGreater(len(declared), 40)
        shown = symbols(self.c_library, "-D", "--defined-only", "--with-symbol-versions")
        functions = {name for kind, name in shown if kind != "A"}
        self.assertEqual(functions, {f"{name}@@MISSION_SIGNALS_0" for name in declared})
        # No unique symbol ('u'), which the dynamic linker merges across libraries whatever their visibility.
        self.assertEqual({kind for kind, _ in shown} - {"A"}, {"T"})

    def test_nothing_is_left_to_be_found_in_another_copy_of_a_library_that_is_inside(self):
        for library in (self.c_library, self.libdir / "libmission_signals_receiver.so"):
            wanted = [name for kind, name in symbols(library, "-D", "-C", "--undefined-only")]
            self.assertTrue(any("SSL_" in name for name in wanted), "OpenSSL is found at run time")
            foreign = [name for name in wanted
                       if re.search(r"boost|rapidjson|asio|mission::|mission_signals::", name)]
            self.assertEqual(foreign, [])

    def test_the_cpp_library_shows_the_namespace_of_its_headers_alone(self):
        shown = symbols(self.libdir / "libmission_signals_receiver.so", "-D", "-C", "--defined-only")
        odd = [name for kind, name in shown if kind != "A" and not re.match(
            r"((typeinfo|typeinfo name|vtable) for )?mission_signals::", name)]
        self.assertEqual(odd, [])
        for name in ("make_receiver", "receiver", "events::read"):
            self.assertTrue(any(f"mission_signals::{name}" in shown_name for _, shown_name in shown), name)

    # ------------------------------------------------------------------------------ compilers

    def test_the_header_is_c99_and_cpp_for_a_strict_compiler(self):
        include = flags(self.libdir, "--cflags", "mission-signals-c")
        strict = ["-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only", "-include", "mission_signals/ms.h"]
        run("gcc", "-std=c99", "-Wstrict-prototypes", *strict, *include, "-x", "c", "/dev/null")
        run("g++", "-std=c++11", *strict, *include, "-x", "c++", "/dev/null")

    def test_the_static_library_needs_what_its_pc_file_says(self):
        libdir = install(self.folder / "static", "receiver")
        program = self.folder / "static-host"
        source = SOURCE_DIR / "tests/receiver/embed/main.cpp"
        run("g++", "-std=c++20", "-o", program, source, *flags(libdir, "--static", "--cflags", "--libs",
                                                               "mission-signals"))
        self.assertIn("check() = unknown", run(program))
        self.assertNotIn("mission_signals", run("ldd", program))

    # ------------------------------------------------------------------------------ the host in C

    def c_host(self):
        program = self.folder / "c-host"
        if not program.exists():
            shown = dict((name, kind) for kind, name in symbols(BUILD_DIR / "net" / "libmission_net.a"))
            for name in CONFLICTS:  # else this test would show nothing
                self.assertEqual(shown.get(name), "W")
            conflict = "".join(f'CONFLICTING({n}, "{name}")' for n, name in enumerate(CONFLICTS))
            run("gcc", "-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror", "-Wno-unused-parameter",
                f"-DCONFLICT={conflict}", "-rdynamic", "-pthread", "-o", program,
                SOURCE_DIR / "tests/system/embedding/host.c",
                *flags(self.libdir, "--cflags", "--libs", "mission-signals-c"), f"-Wl,-rpath,{self.libdir}")
            theirs = {name for _, name in symbols(program, "-D", "--defined-only")}
            self.assertLessEqual(set(CONFLICTS), theirs)
        host = Host([program, f"state_path={self.folder}/{self.id().rpartition('.')[2]}.db",
                     *(f"{k}={v}" for k, v in self.options("c-host").items())], self.folder / "c-host.log")
        self.addCleanup(host.kill)
        self.assertEqual(host.wait("live"), "yes")
        return host

    def test_a_host_in_c_asks_holds_and_tears_down_beside_another_copy_of_what_is_inside(self):
        host, mission = self.c_host(), self.mission()
        self.assertEqual(host.ask(f"resolve {mission}", "resolved"), "active")
        self.assertEqual(host.ask(f"check {mission}", "checked"), "1 active 1 active")
        self.assertEqual(host.ask(f"permits {mission} {RESOURCE} invoices.read", "permits"), "1 grant=1")
        self.assertEqual(host.ask(f"permits {mission} {RESOURCE} invoices.pay", "permits"), "0 grant=2")
        self.assertEqual(host.ask(f"resolve_async {mission}", "resolved"), "active")
        self.assertEqual(host.ask(f"confirm {mission} {RESOURCE}", "confirmed"),
                         "permitted=1 state=active version=1 read=1 error=")
        self.assertEqual(host.ask(f"view {mission}", "mission"), "active")
        self.assertEqual(host.ask(f"hold {mission} key-1 secret", "held"), "key-1")
        self.assertIn("mission unknown", host.ask(f"hold {'x' * 30} key-1", "failed"))
        self.assertRegex(host.ask("status", "status"), f"^streaming=1 aud={RESOURCE} received=[1-9]")
        self.revoke(mission)
        # The first try says nothing, which is no acknowledgement; ending the receiver from there is refused.
        self.assertEqual(host.wait("task", 0), f"revoked {mission} key-1 secret attempt=1 stop=3")
        self.assertEqual(host.wait("task", 1), f"revoked {mission} key-1 secret attempt=2 stop=3")
        self.assertEqual(host.ask(f"check {mission}", "checked"), "0 revoked 2 mission revoked")
        h.wait_for(lambda: host.ask("tasks", "task_view") ==
                   "destroy key-1 acknowledged finished=1 destroyed by a host in C", why="the task is recorded")
        self.assertEqual(host.end(), 0, (self.folder / "c-host.log").read_text()[-2000:])
        self.assertEqual(host.wait("freed"), "2")

    def test_a_forked_child_is_denied_everything_and_leaves_its_parent_alone(self):
        host, mission = self.c_host(), self.mission()
        self.assertEqual(host.ask(f"resolve {mission}", "resolved"), "active")
        for _ in range(5):
            self.assertEqual(host.ask(f"fork {mission}", "child"), "0")
            self.assertEqual(host.ask(f"check {mission}", "checked"), "1 active 1 active")
        self.assertEqual(host.ask(f"hold {mission} key-2 data", "held"), "key-2")
        self.revoke(mission)
        self.assertIn(mission, host.wait("task", 1))
        self.assertEqual(host.end(), 0)

    # -------------------------------------------------------------------------------- Python

    def python(self):
        os.environ["MISSION_SIGNALS_LIBRARY"] = str(self.c_library)
        sys.path.insert(0, str(SOURCE_DIR / "samples" / "python"))
        self.addCleanup(sys.path.pop, 0)
        import mission_signals  # pylint: disable=import-outside-toplevel
        return mission_signals

    def receiver(self):
        # No state file: the stream is adopted by its client, and every receiver of this test begins anew.
        receiver = self.python().Receiver(**self.options("py-host"))
        self.addCleanup(receiver.close)
        receiver.start()
        self.assertTrue(receiver.wait_live(20))
        return receiver

    def transmitter_pauses(self):
        self.transmitter.process.pause()
        self.addCleanup(self.transmitter.process.p.send_signal, signal.SIGCONT)

    def test_resolve_in_one_python_thread_lets_the_others_go_on(self):
        # Nobody has heard of this mission: only Status can tell, and Status waits.
        receiver, mission = self.receiver(), "x" * 30
        counted, ended = [0], threading.Event()

        def count():
            while not ended.is_set():
                counted[0] += 1
                time.sleep(0.001)
        self.transmitter_pauses()
        counter = threading.Thread(target=count)
        counter.start()
        before, began = counted[0], time.monotonic()
        answer = receiver.resolve(mission, timeout=1.0)
        waited, after = time.monotonic() - began, counted[0]
        ended.set()
        counter.join()
        self.assertFalse(answer)
        self.assertGreater(waited, 0.9)
        self.assertGreater(after - before, 50)  # nothing, were the interpreter's lock held

    def test_resolve_in_asyncio_lets_the_loop_go_on_and_is_answered_in_it(self):
        receiver, mission = self.receiver(), self.mission()

        async def story():
            loop_thread = threading.get_ident()
            asked = asyncio.create_task(receiver.resolve_async(mission, force=True))
            ticks = 0
            while ticks < 100:
                await asyncio.sleep(0.002)
                ticks += 1
            self.assertFalse(asked.done())
            self.transmitter.process.p.send_signal(signal.SIGCONT)
            answer = await asyncio.wait_for(asked, 20)
            self.assertEqual(threading.get_ident(), loop_thread)
            return answer
        self.transmitter_pauses()
        answer = asyncio.run(story())
        self.assertTrue(answer)
        self.assertEqual((answer.standing, answer.version), ("active", 1))

    def test_a_python_handler_that_raises_is_called_again_and_its_evidence_is_kept(self):
        module = self.python()
        receiver, calls = module.Receiver(**self.options("py-host")), []
        self.addCleanup(receiver.close)

        def destroy(task):
            calls.append(task)
            if len(calls) == 1:
                raise RuntimeError("the vault is away")
            return "destroyed in Python"
        receiver.on_effect("vault", ["revoked"], destroy)
        receiver.start()
        self.assertTrue(receiver.wait_live(20))
        mission = self.mission()
        self.assertTrue(receiver.resolve(mission))
        receiver.hold(mission, "key", b"\x00\xff")
        with self.assertRaises(module.Denied):
            receiver.hold("x" * 30, "key")
        self.revoke(mission)
        h.wait_for(lambda: [t["evidence"] for t in receiver.tasks(unfinished_only=False)] == ["destroyed in Python"],
                   why="the task is acknowledged")
        self.assertEqual([t.attempt for t in calls], [1, 2])
        self.assertEqual({(t.effect, t.mission_id, t.name, t.data) for t in calls},
                         {("revoked", mission, "key", b"\x00\xff")})
        self.assertEqual(len({t.idempotency_key for t in calls}), 1)

    def test_the_sample_serves_active_missions_alone_and_destroys_what_it_held(self):
        options = self.options("notes")
        log = self.folder / "notes.log"
        service = h.Process(
            [sys.executable, SOURCE_DIR / "samples/python/service.py", "--issuer", options["issuer"], "--ca-file",
             options["ca_file"], "--client-id", "notes", "--private-key", options["private_key_file"], "--audience",
             NOTES, "--state", self.folder / "notes.db"], log,
            env={"MISSION_SIGNALS_LIBRARY": str(self.c_library), "PYTHONDONTWRITEBYTECODE": "1"})
        self.addCleanup(service.stop)

        def events(name):
            lines = [line for line in log.read_text().splitlines() if line.startswith("{")]
            return [e for e in map(json.loads, lines) if e["event"] == name]
        port = h.wait_for(lambda: events("listening"), why="the sample listens")[0]["port"]

        def ask(path, mission=None, body=None):
            request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=body,
                                             headers={"Mission-Id": mission} if mission else {})
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    return answer.status, json.load(answer)
            except urllib.error.HTTPError as e:
                with e:
                    return e.code, json.load(e)
        h.wait_for(lambda: ask("/healthz")[1]["live"], why="its stream lives")
        mission, reader = self.mission(NOTES, ["notes.*"]), self.mission(NOTES, ["notes.read"])
        self.assertEqual(ask("/notes", mission, b"remember"), (201, {"name": "note-1"}))
        self.assertEqual(ask("/notes", mission), (200, {"notes": {"note-1": "remember"}}))
        self.assertEqual(ask("/notes", reader)[0], 200)
        refused = ask("/notes", reader, b"no")
        self.assertEqual((refused[0], refused[1]["error"]), (403, "insufficient_authority"))
        refused = ask("/notes", "x" * 30)
        self.assertEqual((refused[0], refused[1]["state"]), (403, "unknown"))
        self.assertEqual(ask("/nowhere")[0], 404)
        self.revoke(mission)
        h.wait_for(lambda: events("destroyed"), why="the note is destroyed")
        self.assertEqual(events("destroyed")[0]["evidence"], "note note-1 destroyed")
        self.assertEqual(ask(f"/notes/{mission}"), (200, {"notes": []}))
        refused = ask("/notes", mission)
        self.assertEqual((refused[0], refused[1]["state"]), (403, "revoked"))
        service.p.send_signal(signal.SIGTERM)
        self.assertEqual(service.p.wait(20), 0)


if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("--build-dir", type=pathlib.Path, required=True)
    args, rest = p.parse_known_args()
    BUILD_DIR = args.build_dir.resolve()
    unittest.main(argv=[sys.argv[0], *rest])
