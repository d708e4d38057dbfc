"""missionctl against the real transmitter, over TLS: streams and their dead letters, emitted events, the tail; as
tables and as JSON; its exit codes; and `/admin/tail` as any reader of server-sent events would use it.
"""
import contextlib
import json
import pathlib
import secrets
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from harness import (LIFECYCLE_CHANGE, Client, Http, Process, Transmitter, free_port, jwt_claims,  # noqa: E402
                     wait_for)

BUILD_DIR = pathlib.Path("build/test")
RESOURCE = "https://erp.example"
SESSION_REVOKED = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
POLL = "urn:ietf:rfc:8936"
OPERATOR = {"scopes": ["mission.read", "mission.write", "mission.scope", "signals.emit", "ssf.admin"],
            "lifecycle": ["revoke", "suspend", "resume", "complete"], "missions": "all", "signals_to": "all"}
EVENT = {"event_timestamp": 1700000000, "reason_admin": {"en": "the session was ended by hand"}}
PERSON = '{"format":"email","email":"alice@idp.example"}'


class World(unittest.TestCase):
    """One transmitter with two issuers; the second one's URL ends with a slash."""

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="missionctl-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        clients = [Client("operator", cls.folder, issuer="@URL@", audience="https://operator.example", **OPERATOR),
                   Client("clerk", cls.folder, issuer="@URL@", audience=RESOURCE, scopes=["mission.read"]),
                   Client("erp", cls.folder, issuer="@URL@", audience=RESOURCE, scopes=["ssf.read", "ssf.manage"],
                          events=[LIFECYCLE_CHANGE, SESSION_REVOKED]),
                   Client("tenant", cls.folder, issuer="@URL@/t/", audience="https://tenant.example", **OPERATOR)]
        cls.t = Transmitter(BUILD_DIR / "transmitter" / "mission-transmitter", cls.folder, clients,
                            extra='[[issuer]]\nurl = "@URL@/t/"\n',
                            ssf="heartbeat_seconds = 1\nmax_stale_seconds = 10\nredelivery_seconds = 0.05")
        cls.t.config_file.write_text(cls.t.config_file.read_text().replace("@URL@", cls.t.url))
        cls.t.start()
        cls.addClassCleanup(lambda: cls.t.process.stop())
        cls.addClassCleanup(cls.t.http.close)

    def setUp(self):
        status, self.stream = self.t.call("erp", "POST", "/ssf/streams",
                                          {"delivery": {"method": POLL}, "description": "the ledger",
                                           "events_requested": [LIFECYCLE_CHANGE, SESSION_REVOKED]})
        self.assertEqual(status, 201, self.stream)
        self.id = self.stream["stream_id"]
        self.addCleanup(self.t.call, "erp", "DELETE", "/ssf/streams?stream_id=" + self.id)

    def arguments(self, *words, who="operator", server=None):
        client = self.t.clients[who]
        return [BUILD_DIR / "tools" / "missionctl", "--server", server or self.t.url,
                "--ca-file", self.t.ca, "--client-id", who, "--private-key", client.key_file, *words]

    def run_tool(self, *words, stdin=None, **more):
        """-> (exit status, what it printed, what it complained of)."""
        done = subprocess.run(self.arguments(*words, **more), input=stdin, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, done.stderr

    def done(self, *words, **more):
        status, out, problem = self.run_tool(*words, **more)
        self.assertEqual((status, problem), (0, ""), words)
        return out

    def json(self, *words, **more):
        return json.loads(self.done("--json", *words, **more))

    def poll(self, **members):
        status, answer = self.t.call("erp", "POST", "/ssf/poll/" + self.id, {"returnImmediately": True, **members})
        self.assertEqual(status, 200, answer)
        return {jti: jwt_claims(token) for jti, token in answer["sets"].items()}

    def emit(self, **members):
        body = {"type": SESSION_REVOKED, "subject": json.loads(PERSON), "event": EVENT,
                "audience": ["erp"], **members}
        status, answer = self.t.call("operator", "POST", "/signals", body)
        self.assertEqual(status, 202, answer)
        return answer["signal_id"]

    def events(self):
        """What is there for the stream, verifications aside; acknowledged."""
        found = {j: c for j, c in self.poll().items() if list(c["events"])[0] in (LIFECYCLE_CHANGE, SESSION_REVOKED)}
        if found:
            self.poll(ack=list(found), maxEvents=0)
        return list(found.values())

    def wait_events(self, count=1):
        found = []
        wait_for(lambda: found.extend(self.events()) or len(found) >= count, 20, 0.02, "the events come")
        return found

    def report(self):
        return self.json("stream", "show", self.id)


class Streams(World):
    def test_list_and_show_as_tables_and_as_json(self):
        lines = self.done("stream", "list").splitlines()
        self.assertEqual(lines[0].split(), ["STREAM", "CLIENT", "DELIVERY", "STATUS", "LAG", "SECONDS", "HELD"])
        row = [line.split() for line in lines[1:] if line.startswith(self.id)]
        self.assertEqual([r[:4] for r in row], [[self.id, "erp", "poll", "enabled"]])
        listed = [s for s in self.json("stream", "list") if s["stream_id"] == self.id]
        self.assertEqual(len(listed), 1)
        shown = dict(line.split(maxsplit=1) for line in self.done("stream", "show", self.id).splitlines())
        self.assertEqual((shown["stream_id"], shown["client_id"], shown["description"], shown["status"]),
                         (self.id, "erp", "the ledger", "enabled"))
        one = self.report()
        self.assertEqual((one["stream_id"], one["client_id"], one["method"], one["status"]),
                         (self.id, "erp", POLL, "enabled"))

    def test_the_lag_counts_what_is_not_acknowledged(self):
        self.emit()
        self.emit()
        wait_for(lambda: self.report()["lag_signals"] >= 2, why="the lag is told")
        self.wait_events(2)
        wait_for(lambda: self.report()["lag_signals"] == 0, why="the lag is gone")

    def test_pause_holds_and_enable_goes_on_where_it_stopped(self):
        self.assertEqual(self.json("stream", "pause", self.id, "--reason", "an audit")["status"], "paused")
        one = self.report()
        self.assertEqual((one["status"], one["reason"]), ("paused", "an audit"))
        status, told = self.t.call("erp", "GET", "/ssf/status?stream_id=" + self.id)
        self.assertEqual((status, told["status"], told["reason"]), (200, "paused", "an audit"))
        signal = self.emit(txn="while-paused")
        self.assertEqual(self.events(), [])
        self.assertIn("enabled", self.done("stream", "enable", self.id))
        self.assertEqual([c["txn"] for c in self.wait_events()], ["while-paused"])
        self.assertTrue(signal)

    def test_replay_sends_again_what_was_settled(self):
        first = self.emit(txn="one")
        self.emit(txn="two")
        self.wait_events(2)
        self.assertEqual(self.json("stream", "replay", self.id, "--signal-id", first), {"replayed": 1})
        self.assertEqual([c["txn"] for c in self.wait_events()], ["one"])
        self.assertGreaterEqual(self.json("stream", "replay", self.id, "--since", "1h")["replayed"], 2)
        self.assertGreaterEqual({c["txn"] for c in self.wait_events(2)}, {"one", "two"})
        seq = self.report()["acked_seq"]
        self.assertIn("replayed", self.done("stream", "replay", self.id, "--from-seq", str(seq)))
        self.wait_events()

        status, mission = self.t.create("operator")
        self.assertEqual(status, 201, mission)
        wait_for(lambda: self.events(), why="the mission is told")
        out = self.json("stream", "replay", self.id, "--mission-id", mission["mission_id"])
        self.assertEqual(out, {"replayed": 1})
        told = self.wait_events()[0]["events"][LIFECYCLE_CHANGE]
        self.assertEqual(told["mission"]["id"], mission["mission_id"])

        for words in (("--signal-id", "none-such"), ("--mission-id", "msn_" + "x" * 24)):
            status, out, problem = self.run_tool("stream", "replay", self.id, *words)
            self.assertEqual((status, out), (1, ""))
            self.assertIn("refused with 404", problem)

    def test_dead_letters_are_shown_with_the_receivers_words_and_forgotten(self):
        self.assertEqual(self.done("stream", "dead", self.id), "no dead letters\n")
        bad = self.emit(txn="the bad one")

        def refuse():
            self.emit(txn="a good one")
            sets = self.poll()
            errors = {j: {"err": "invalid_request", "description": "what is\x1b[2J this"}
                      for j, c in sets.items() if c.get("txn") == "the bad one"}
            self.poll(ack=[j for j in sets if j not in errors], setErrs=errors, maxEvents=0)
            return self.json("stream", "dead", self.id)
        dead = wait_for(refuse, 20, 0.05, "it is given up")
        self.assertEqual([(d["signal_id"], d["err"], d["type"]) for d in dead],
                         [(bad, "invalid_request", SESSION_REVOKED)])
        self.assertGreaterEqual(dead[0]["attempts"], 5)
        table = self.done("stream", "dead", self.id)
        self.assertEqual(table.split("\n")[0].split(), ["SEQ", "SIGNAL", "TRIES", "LAST", "ERROR", "THE", "RECEIVER",
                                                        "SAID"])
        self.assertIn(bad, table)
        self.assertNotIn("\x1b", table)  # nobody's terminal is another's to write to
        self.assertEqual(self.report()["dead"], 1)
        self.assertEqual(self.json("stream", "dead", self.id, "--forget"), {"deleted": 1})
        self.assertEqual(self.json("stream", "dead", self.id), [])

    def test_an_unknown_stream_is_refused_by_every_command(self):
        for words in (("show",), ("pause",), ("enable",), ("replay", "--from-seq", "1"), ("dead",),
                      ("dead", "--forget")):
            for unknown in ("none-such", "../../x", ""):
                status, out, problem = self.run_tool("stream", words[0], unknown, *words[1:])
                self.assertIn(status, (1, 2) if not unknown else (1,), (words, unknown))
                self.assertEqual(out, "", (words, unknown))
                self.assertTrue(problem, (words, unknown))


class Signals(World):
    def test_an_event_is_emitted_from_flags_a_file_and_standard_input(self):
        accepted = self.json("signal", "emit", "--type", SESSION_REVOKED, "--subject", PERSON, "--event",
                             json.dumps(EVENT), "--audience", "erp", "--txn", "from flags")
        self.assertEqual(accepted["txn"], "from flags")
        got = self.wait_events()
        self.assertEqual((got[0]["txn"], got[0]["sub_id"]), ("from flags", json.loads(PERSON)))
        self.assertEqual(got[0]["events"], {SESSION_REVOKED: EVENT})

        request = json.dumps({"type": SESSION_REVOKED, "subject": json.loads(PERSON), "audience": ["erp"],
                              "event": EVENT, "txn": "of the file"})
        path = self.folder / "signal.json"
        path.write_text(request)
        self.assertIn("of the file", self.done("signal", "emit", path))
        self.assertEqual(self.wait_events()[0]["txn"], "of the file")
        # A flag goes before the file; "all" is everybody.
        self.done("signal", "emit", "-", "--txn", "typed", "--audience", "all", stdin=request)
        self.assertEqual(self.wait_events()[0]["txn"], "typed")

    def test_asked_again_with_one_key_one_event_is_emitted(self):
        words = ["signal", "emit", "--type", SESSION_REVOKED, "--subject", PERSON, "--audience", "erp",
                 "--event", json.dumps(EVENT), "--idempotency-key", secrets.token_urlsafe(8)]
        first, second = self.json(*words), self.json(*words)
        self.assertEqual(first, second)
        self.emit(txn="last")
        self.assertEqual([c["txn"] for c in self.wait_events(2)], [first["txn"], "last"])

    def test_what_is_no_event_is_refused_with_the_reason(self):
        for words, part in ((("--type", LIFECYCLE_CHANGE), "refused with 400"),
                            (("--type", SESSION_REVOKED, "--event", '{"event_timestamp":"yesterday"}'),
                             "refused with 400"),
                            (("--type", SESSION_REVOKED, "--subject", "{"), "subject: ")):
            status, out, problem = self.run_tool("signal", "emit", "--subject", PERSON, "--audience", "erp", *words)
            if "--subject" in words:  # given twice: CLI usage
                self.assertEqual(status, 2)
                status, out, problem = self.run_tool("signal", "emit", "--audience", "erp", *words)
            self.assertEqual((status, out), (1, ""), words)
            self.assertIn(part, problem)


class Problems(World):
    def test_usage_is_status_2(self):
        for words in ((), ("stream",), ("stream", "show"), ("fly",), ("stream", "replay", self.id),
                      ("stream", "replay", self.id, "--since", "1h", "--from-seq", "1"),
                      ("stream", "replay", self.id, "--since", "yesterday"), ("signal", "emit"),
                      ("signal", "emit", "--type", SESSION_REVOKED), ("tail", "--count", "0"), ("stream", "list", "-x")):
            status, out, problem = self.run_tool(*words)
            self.assertEqual((status, out), (2, ""), words)
            self.assertTrue(problem, words)
        tool = BUILD_DIR / "tools" / "missionctl"
        for words in (("stream", "list"), ("--server", "http://localhost:1", "stream", "list"),
                      ("--server", self.t.url, "stream", "list"),
                      ("--server", self.t.url, "--token-file", self.folder / "none", "stream", "list")):
            done = subprocess.run([tool, *words], capture_output=True, text=True, timeout=30)
            self.assertEqual((done.returncode, done.stdout), (2, ""), words)

    def test_a_server_that_is_not_there_is_status_1(self):
        status, out, problem = self.run_tool("stream", "list", server=f"https://localhost:{free_port()}")
        self.assertEqual((status, out), (1, ""))
        self.assertTrue(problem.startswith("missionctl: "), problem)
        self.assertEqual(problem.count("\n"), 1)

    def test_a_token_that_is_none_a_client_without_the_scope_and_a_foreign_certificate(self):
        token = self.folder / "token"
        token.write_text("wrong\n")
        tool = [BUILD_DIR / "tools" / "missionctl", "--server", self.t.url]
        done = subprocess.run([*tool, "--ca-file", self.t.ca, "--token-file", token, "stream", "list"],
                              capture_output=True, text=True, timeout=30)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("refused with 401", done.stderr)
        # A token with the scope serves as well as a key.
        token.write_text(self.t.token("operator", "ssf.admin") + "\n")
        done = subprocess.run([*tool, "--ca-file", self.t.ca, "--token-file", token, "stream", "list"],
                              capture_output=True, text=True, timeout=30)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        status, out, problem = self.run_tool("stream", "list", who="clerk")
        self.assertEqual((status, out), (1, ""))
        self.assertRegex(problem, "refused with (400 invalid_scope|403 insufficient_scope)")
        done = subprocess.run([*tool, "--token-file", token, "stream", "list"], capture_output=True, text=True,
                              timeout=60)
        self.assertEqual((done.returncode, done.stdout), (1, ""))

    def test_an_issuer_that_ends_with_a_slash_is_found_with_and_without_it(self):
        for server in (self.t.url + "/t", self.t.url + "/t/"):
            self.assertEqual(self.json("stream", "list", who="tenant", server=server), [])
            out = self.json("mission", "list", who="tenant", server=server)
            self.assertIn("missions", out)
        metadata = self.t.http("GET", "/.well-known/ssf-configuration/t")
        self.assertEqual((metadata[0], json.loads(metadata[2])["issuer"]), (200, self.t.url + "/t/"))
        # The streams of another issuer are nobody's here.
        status, _, problem = self.run_tool("stream", "show", self.id, who="tenant", server=self.t.url + "/t")
        self.assertEqual(status, 1)
        self.assertIn("404", problem)
        status, _, problem = self.run_tool("stream", "list", server=self.t.url + "/none")
        self.assertEqual(status, 1)


class Tail(World):
    def tail(self, after=None, client="operator", path="/admin/tail", http_client=None):
        """One answer of the tail -> [(id, type, data)]."""
        headers = {"Authorization": "Bearer " + self.t.token(client, "ssf.admin"), "Accept": "text/event-stream"}
        if after is not None:
            headers["Last-Event-ID"] = str(after)
        status, fields, body = (http_client or self.t.http)("GET", path, headers=headers)
        self.assertEqual(status, 200, body)
        self.assertEqual(fields["content-type"], "text/event-stream")
        self.assertEqual(fields["cache-control"], "no-store")
        out = []
        for block in body.decode().split("\n\n"):
            members = dict(line.split(": ", 1) for line in block.splitlines() if line)
            if "data" in members:
                out.append((int(members["id"]), members["event"], json.loads(members["data"])))
        return out

    def test_a_reader_learns_its_position_and_then_every_signal_once(self):
        (position, kind, data), = self.tail()
        self.assertEqual((kind, data), ("position", {"seq": position}))
        ids = [self.emit() for _ in range(3)]
        seen = []
        while len(seen) < 3:
            found = self.tail(position)
            self.assertEqual([k for _, k, _ in found], ["signal"] * len(found))
            seen += found
            position = found[-1][0]
        self.assertEqual([d["signal_id"] for _, _, d in seen], ids)
        self.assertEqual(seen[0][2]["type"], SESSION_REVOKED)
        self.assertEqual(seen[0][2]["emitted_by"], "operator")
        self.assertNotIn("alice", json.dumps(seen))  # who it was about is not the log's to tell
        # Connected again with an older id it gets again what came after it.
        again = self.tail(seen[0][0])
        self.assertEqual([i for i, _, _ in again], [i for i, _, _ in seen[1:]])

    def test_a_wait_without_events_ends_by_itself(self):
        (position, _, _), = self.tail()
        start = time.monotonic()
        self.assertEqual(self.tail(position), [])
        self.assertGreater(time.monotonic() - start, 3)

    def reader(self, *words):
        """missionctl tail in the background -> its process and the file it writes."""
        out = self.folder / (secrets.token_hex(4) + ".out")
        with open(out, "wb") as file:
            reader = Process(self.arguments("tail", *words), out.with_suffix(".err"), stdout=file)
        self.addCleanup(reader.kill)
        return reader, out

    def test_an_event_ends_the_wait_of_a_reader(self):
        reader, out = self.reader("--json", "--count", "2")
        wait_for(lambda: self.emit() and out.read_text().count("\n") >= 1, 20, 0.2, "the first line")
        self.emit()
        self.assertEqual(reader.p.wait(20), 0)
        lines = [json.loads(line) for line in out.read_text().splitlines()]
        self.assertEqual(len(lines), 2)
        self.assertEqual(lines[1]["seq"], lines[0]["seq"] + 1)

    def test_people_read_missions_and_emitted_events_in_lines(self):
        _, out = self.reader()
        wait_for(lambda: self.emit() and out.read_text().count("\n") >= 1, 20, 0.2, "the first line")
        first = out.read_text().splitlines()[0].split()
        self.assertEqual(first[3:], [SESSION_REVOKED, "by", "operator"])
        _, out = self.reader("--count", "1")
        made = []

        def create():
            status, mission = self.t.create("operator", agent="agent-7")
            self.assertEqual(status, 201)
            made.append(mission["mission_id"])
            return out.read_text()
        line = wait_for(create, 20, 0.3, "a line").split()
        self.assertIn(line[2], made)
        self.assertEqual(line[3:], ["v1", "active", "agent-7"])

    def test_a_reader_that_stops_reading_delays_nobody(self):
        (position, _, _), = self.tail()
        token = self.t.token("operator", "ssf.admin")
        context = ssl.create_default_context(cafile=str(self.t.ca))
        # Each takes a place and reads nothing, ever.
        lazy = []
        for _ in range(31):
            s = context.wrap_socket(socket.create_connection(("127.0.0.1", self.t.port)), server_hostname="localhost")
            self.addCleanup(s.close)
            s.sendall(f"GET /admin/tail HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
                      f"Last-Event-ID: {position}\r\n\r\n".encode())
            lazy.append(s)
        start = time.monotonic()
        signal = self.emit()
        self.assertIn(signal, [d.get("signal_id") for _, _, d in self.tail(position)])
        self.assertEqual(len(self.wait_events()), 1)
        self.assertLess(time.monotonic() - start, 4)
        for s in lazy:  # they were answered all the same, and their places are free
            self.assertTrue(s.recv(100).startswith(b"HTTP/1.1 200"))

    def test_there_are_so_many_places_and_those_who_have_gone_give_theirs_back(self):
        (position, _, _), = self.tail()
        token = self.t.token("operator", "ssf.admin")
        headers = {"Authorization": "Bearer " + token, "Last-Event-ID": str(position)}
        context = ssl.create_default_context(cafile=str(self.t.ca))
        readers, refused = [], []
        for _ in range(40):
            s = context.wrap_socket(socket.create_connection(("127.0.0.1", self.t.port)), server_hostname="localhost")
            self.addCleanup(s.close)
            s.sendall(f"GET /admin/tail HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
                      f"Last-Event-ID: {position}\r\n\r\n".encode())
            s.setblocking(False)
            readers.append(s)

        def count_refused():
            for s in readers:
                with contextlib.suppress(ssl.SSLWantReadError):
                    refused.append(s.recv(1000))
            return len(refused) >= 8
        wait_for(count_refused, 4, 0.01, "eight are refused at once")
        self.assertEqual({r[:12] for r in refused}, {b"HTTP/1.1 429"})
        self.assertLessEqual(len(refused), 12)  # readers of the tests before may still be waited for
        for s in readers:
            s.close()

        def served():
            one = Http(self.t.port, self.t.ca, timeout=10)
            try:
                return one("GET", "/admin/tail", headers=headers)[0] == 200
            finally:
                one.close()
        wait_for(served, 10, 0.1, "the places are free")

    def test_an_id_that_is_none_and_a_token_without_the_scope_are_refused(self):
        headers = {"Authorization": "Bearer " + self.t.token("operator", "ssf.admin")}
        for odd in ("x", "-1", "1x", "99999999999999999999999", " "):
            status, _, body = self.t.http("GET", "/admin/tail", headers={**headers, "Last-Event-ID": odd})
            self.assertEqual((status, json.loads(body)["error" if b'"error"' in body else "err"]),
                             (400, "invalid_request"), odd)
        self.assertEqual(self.t.http("GET", "/admin/tail")[0], 401)
        clerk = {"Authorization": "Bearer " + self.t.token("clerk", "mission.read")}
        self.assertEqual(self.t.http("GET", "/admin/tail", headers={**clerk, "Last-Event-ID": "x"})[0], 403)

    def test_another_issuers_signals_are_passed_over_and_not_told(self):
        status, _, body = self.t.http("POST", "/t/oauth/token", "grant_type=client_credentials&scope=ssf.admin"
                                      "&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3A"
                                      "jwt-bearer&client_assertion="
                                      + self.t.clients["tenant"].assertion(self.t.url + "/t/oauth/token"),
                                      content_type="application/x-www-form-urlencoded")
        self.assertEqual(status, 200, body)
        self.t.clients["tenant"].tokens["ssf.admin"] = (json.loads(body)["access_token"], time.time() + 600)
        (position, _, _), = self.tail(client="tenant", path="/t/admin/tail")
        self.emit()
        self.emit()
        found = self.tail(position, client="tenant", path="/t/admin/tail")
        self.assertEqual([(k, d) for _, k, d in found], [("position", {"seq": position + 2})])
        # From there it goes on.
        self.assertEqual(self.tail(found[0][0], client="tenant", path="/t/admin/tail"), [])


if __name__ == "__main__":
    if "--build-dir" in sys.argv:
        at = sys.argv.index("--build-dir")
        BUILD_DIR = pathlib.Path(sys.argv[at + 1]).resolve()
        del sys.argv[at:at + 2]
    unittest.main(verbosity=2)
