"""mission-receiver against the real transmitter, over TLS: `run` in both deliveries, commands on missions and
events, its control socket, and every `stream` command.
"""
import json
import os
import pathlib
import secrets
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from harness import (MISSION_TYPES, Client, Process, Transmitter, free_port, jwt_claims, toml,  # noqa: E402
                     wait_for)

BUILD_DIR = pathlib.Path("build/test")
CAEP = "https://schemas.openid.net/secevent/caep/event-type/"
SESSION_REVOKED = CAEP + "session-revoked"
RESOURCE = "https://erp.example"


def receiver_binary():
    return BUILD_DIR / "receiver" / "program" / "mission-receiver"


class Receiver:
    """One `mission-receiver`: its folder, its configuration, its log as parsed lines."""

    def __init__(self, world, name, client, delivery="poll", extra="", issuer=None, auth=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=name + "-", dir=world.folder))
        self.world, self.process = world, None
        self.config = self.folder / "receiver.toml"
        self.ran = self.folder / "ran"
        push = f"""[push]
listen = "127.0.0.1:0"
certificate = "{world.folder}/cert.pem"
private_key = "{world.folder}/key.pem"
public_url = "https://localhost:{{port}}/events"
authorization_header = "Bearer pushed"
""" if delivery == "push" else ""
        auth = auth or f'client_id = "{client.id}"\nprivate_key = "{client.key_file}"'
        self.config.write_text(f"""
issuer = "{issuer or world.transmitter.url}"
[auth]
{auth}
[tls]
ca_file = "{world.folder}/ca.pem"
[stream]
delivery = "{delivery}"
description = "{name}"
events = {toml(MISSION_TYPES + [SESSION_REVOKED])}
{push}
[state]
path = "{self.folder}/state/receiver.db"
[control]
socket = "{self.folder}/s"
{extra}
""")

    def script(self, name, text):
        path = self.folder / name
        path.write_text("#!/bin/sh\n" + text)
        path.chmod(0o700)
        return path

    def start(self):
        self.process = Process([receiver_binary(), "run", "--config", self.config], self.folder / "log",
                               env={"MISSION_PORT_FILE": str(self.folder / "port")})
        return self

    def live(self):
        wait_for(lambda: self.cli("status")[0] == 0, 30, 0.1, "the stream is live: " + self.tail())
        return self

    def tail(self):
        path = self.folder / "log"
        return path.read_text(errors="replace")[-3000:] if path.exists() else ""

    def log(self, message=None):
        path = self.folder / "log"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [line for line in lines if message is None or line["message"] == message]

    def cli(self, *words, stdin=None, env=None):
        """-> (exit status, standard output, standard error)"""
        done = subprocess.run([receiver_binary(), *map(str, words), "--config", self.config], input=stdin,
                              capture_output=True, text=True, timeout=60, env={**os.environ, **(env or {})})
        return done.returncode, done.stdout, done.stderr

    def json(self, *words, **more):
        status, out, problem = self.cli(*words, **more)
        if status != 0:
            raise AssertionError(f"{words}: {status} {problem} {out}")
        return json.loads(out) if out.strip() else None

    def runs(self):
        return self.ran.read_text().splitlines() if self.ran.exists() else []

    def kill(self):
        self.process.kill()

    def stop(self):
        return self.process.stop()


class World(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="mrp-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        scopes = ["ssf.read", "ssf.manage", "mission_status"]
        events = MISSION_TYPES + [SESSION_REVOKED]
        names = ["poller", "pusher", "shell", "shell-two", "down"]
        cls.operator = Client("operator", cls.folder, audience="https://operator.example",
                              scopes=["mission.read", "mission.write", "signals.emit"], missions="all",
                              lifecycle=["revoke", "suspend", "resume", "complete"], signals_to="all")
        cls.clients = {n: Client(n, cls.folder, audience=RESOURCE, scopes=scopes, events=events) for n in names}
        binary = BUILD_DIR / "transmitter" / "mission-transmitter"
        cls.transmitter = Transmitter(binary, cls.folder, [cls.operator, *cls.clients.values()])
        cls.transmitter.start()
        cls.addClassCleanup(lambda: cls.transmitter.process.stop())

    def receiver(self, client, **more):
        made = Receiver(self, client, self.clients[client], **more)
        self.addCleanup(lambda: made.process and made.stop())
        return made

    def mission(self):
        status, body = self.transmitter.create("operator", resource=RESOURCE)
        self.assertEqual(status, 201, body)
        return body["mission_id"]

    def operate(self, mission, operation):
        status, body = self.transmitter.lifecycle("operator", mission, operation)
        self.assertEqual(status, 200, body)

    def emit(self, client, session="s-1"):
        body = {"type": SESSION_REVOKED, "subject": {"format": "opaque", "id": session},
                "event": {"event_timestamp": 1700000000, "reason_admin": {"en": "test"}},
                "audience": [client]}
        status, answer = self.transmitter.call("operator", "POST", "/signals", body)
        self.assertEqual(status, 202, answer)

    def permitted(self, receiver, mission):
        wait_for(lambda: receiver.cli("check", mission)[0] == 0, 20, 0.05,
                 f"{mission} is permitted: {receiver.tail()}")


class Run(World):
    TEARDOWN = """
[[teardown]]
name = "closer"
on = ["ended"]
type = "exec"
command = ["{script}", "{{mission_id}}", "{{effect}}", "{{name}}", "{{data}}"]
timeout_seconds = 20
retry_first_seconds = 0.05
retry_max_seconds = 0.2
"""

    def with_teardown(self, client, script, **more):
        r = self.receiver(client, **more)
        path = r.script("close", script.replace("RAN", str(r.ran)))
        r.config.write_text(r.config.read_text() + self.TEARDOWN.format(script=path))
        return r

    def ends_once(self, client, delivery):
        r = self.with_teardown(client, 'echo "$*" >> RAN\necho closed\n', delivery=delivery).start().live()
        mission = self.mission()
        self.permitted(r, mission)
        self.assertEqual(r.cli("hold", mission, "db", "secret data; $(id)")[0], 0)
        self.assertEqual(r.json("held")[0]["name"], "db")
        self.operate(mission, "revoke")
        wait_for(r.runs, 15, why="the command runs: " + r.tail())
        wait_for(lambda: not r.json("tasks", "list"), 15, 0.05, "the task is finished")
        self.assertEqual(r.runs(), [f"{mission} revoked db secret data; $(id)"])
        finished = r.json("tasks", "list", "--all")
        self.assertEqual([(t["handler"], t["state"], t["evidence"]) for t in finished],
                         [("closer", "finished", "exit 0: closed")])
        self.assertEqual(r.cli("check", mission)[0], 1)
        # Once: not again after a restart either.
        self.assertEqual(r.stop(), 0)
        self.assertEqual(json.loads(r.cli("tasks", "list")[1]), [])  # of the state at rest
        r.start().live()
        self.assertEqual(len(r.runs()), 1)
        changes = [c for c in r.log("change") if c["mission"] == mission]
        self.assertIn("revoked", [c["effect"] for c in changes])
        self.assertIn("closed", r.log("teardown")[-1]["evidence"])

    def test_a_command_runs_once_for_each_held_thing_by_poll(self):
        self.ends_once("poller", "poll")

    def test_a_command_runs_once_for_each_held_thing_by_push(self):
        self.ends_once("pusher", "push")

    def test_a_command_is_tried_again_until_it_succeeds_also_over_a_crash(self):
        r = self.with_teardown("poller", 'echo "$MISSION_IDEMPOTENCY_KEY" >> RAN\n[ -e RAN.allow ]\n').start().live()
        mission = self.mission()
        self.permitted(r, mission)
        self.assertEqual(r.cli("hold", mission, "db")[0], 0)
        self.operate(mission, "complete")
        wait_for(lambda: len(r.runs()) >= 2, 15, why="it is tried again")
        key = r.json("tasks", "list")[0]["key"]
        self.assertEqual(r.cli("tasks", "retry", key)[0], 0)
        self.assertEqual(r.cli("tasks", "retry", "no-such-key")[0], 1)
        r.kill()
        # Nobody runs: the file is read, and says what is open.
        self.assertEqual([t["key"] for t in r.json("tasks", "list")], [key])
        self.assertEqual(r.cli("tasks", "retry", key)[0], 0)
        self.assertEqual(r.cli("tasks", "retry", "no-such-key")[0], 1)
        before = len(r.runs())
        r.start()
        wait_for(lambda: len(r.runs()) > before, 15, why="it is tried again after a crash")
        pathlib.Path(str(r.ran) + ".allow").touch()
        wait_for(lambda: r.cli("tasks", "list")[1].strip() == "[]", 15, 0.05, "it has succeeded")
        self.assertEqual(set(r.runs()), {key})

    def test_a_command_that_hangs_is_killed_with_its_group_and_tried_again(self):
        r = self.with_teardown("poller", 'echo $$ >> RAN\n[ -e RAN.allow ] || sleep 300\n')
        r.config.write_text(r.config.read_text().replace("timeout_seconds = 20", "timeout_seconds = 0.3"))
        r.start().live()
        mission = self.mission()
        self.permitted(r, mission)
        self.assertEqual(r.cli("hold", mission, "x")[0], 0)
        self.operate(mission, "revoke")
        wait_for(lambda: len(r.runs()) >= 2, 15, why="it is tried again")
        self.assertIn("timed_out", [t.get("outcome") for t in r.log("teardown")])
        wait_for(lambda: not pathlib.Path("/proc", r.runs()[0]).exists(), 10, why="the first one is dead")
        pathlib.Path(str(r.ran) + ".allow").touch()
        wait_for(lambda: not r.json("tasks", "list"), 15, 0.05, "it has succeeded")

    def test_a_stop_does_not_wait_for_a_command_that_hangs(self):
        r = self.with_teardown("poller", 'echo $$ >> RAN\nsleep 300\n')
        r.config.write_text(r.config.read_text().replace("timeout_seconds = 20", "timeout_seconds = 300"))
        r.start().live()
        mission = self.mission()
        self.permitted(r, mission)
        self.assertEqual(r.cli("hold", mission, "x")[0], 0)
        self.operate(mission, "revoke")
        wait_for(r.runs, 15, why="it runs")
        self.assertEqual(r.stop(), 0, r.tail())
        wait_for(lambda: not pathlib.Path("/proc", r.runs()[0]).exists(), 10, why="it is dead")
        self.assertEqual(len(r.json("tasks", "list")), 1)  # and is done at the next start

    def test_a_process_group_is_ended_with_its_mission(self):
        r = self.receiver("poller", extra="""
[[teardown]]
name = "processes"
on = ["ended", "suspended", "resumed"]
type = "process_group"
grace_seconds = 0
""").start().live()
        mission = self.mission()
        self.permitted(r, mission)
        agent = subprocess.Popen(["/bin/sleep", "300"], start_new_session=True)
        self.addCleanup(lambda: agent.poll() is None and agent.kill())
        self.assertEqual(r.cli("hold", mission, "agent", "--pid", agent.pid)[0], 0)
        self.operate(mission, "suspend")
        state = pathlib.Path("/proc", str(agent.pid), "stat")
        wait_for(lambda: state.read_text().rsplit(")", 1)[1].split()[0] == "T", 15, why="it is stopped")
        self.operate(mission, "resume")
        wait_for(lambda: state.read_text().rsplit(")", 1)[1].split()[0] == "S", 15, why="it goes on")
        self.operate(mission, "revoke")
        self.assertEqual(agent.wait(15), -signal.SIGKILL)

    def test_a_caep_event_runs_its_command_once_and_again_until_it_succeeds(self):
        r = self.receiver("poller")
        script = r.script("event", f'cat >> {r.ran}\n[ -e {r.ran}.allow ]\n')
        r.config.write_text(r.config.read_text() + f"""
[[event]]
name = "sessions"
types = ["session-revoked"]
type = "exec"
command = ["{script}", "{{type}}"]
""")
        r.start().live()
        self.emit("poller", "s-77")
        wait_for(lambda: len(r.runs()) >= 2, 30, why="it is tried again: " + r.tail())
        pathlib.Path(str(r.ran) + ".allow").touch()
        wait_for(lambda: [e for e in r.log("event") if e["outcome"] == "acknowledged"], 40, why="it succeeds")
        seen = [json.loads(line) for line in r.runs()]
        self.assertEqual({(e["type"], e["sub_id"]["id"]) for e in seen}, {(SESSION_REVOKED, "s-77")})
        self.assertEqual(len({e["jti"] for e in seen}), 1)
        # One line for each try, which says who has tried, and what.
        told = [e for e in r.log("event") if e["jti"] == seen[0]["jti"]]
        self.assertEqual([int(e["attempt"]) for e in told], list(range(1, len(told) + 1)))
        self.assertEqual({(e["handler"], e["type"], e["iss"]) for e in told},
                         {("sessions", SESSION_REVOKED, self.transmitter.url)})
        # An event that nobody handles is logged, without its body, and acknowledged.
        done = len(r.runs())
        self.assertEqual(r.stop(), 0)
        r.start().live()
        self.assertEqual(len(r.runs()), done)

    def test_a_hold_on_a_mission_that_is_not_permitted_is_refused(self):
        r = self.receiver("poller").start().live()
        status, _, problem = r.cli("hold", "mis_nobody_has_ever_heard_of_it", "x")
        self.assertEqual(status, 1)
        self.assertIn("mission unknown", problem)
        self.assertEqual(r.json("held"), [])
        self.assertEqual(r.cli("hold", "x", "y", "--pid", "4194305")[0], 1)  # beyond pid_max

    def test_every_line_of_the_log_is_json_and_holds_no_secret(self):
        r = self.receiver("poller").start().live()
        r.stop()
        self.assertEqual([line["issuer"] for line in r.log("running")], [self.transmitter.url])
        self.assertTrue(r.log("stopped"))
        for line in r.log():
            self.assertTrue({"time", "level", "message"} <= set(line), line)
        self.assertNotIn("eyJ", r.tail())

    def test_two_instances_do_not_share_a_state(self):
        r = self.receiver("poller").start().live()
        second = subprocess.run([receiver_binary(), "run", "--config", r.config], capture_output=True, text=True,
                                timeout=60)
        self.assertEqual(second.returncode, 1)
        self.assertIn("state_path", second.stderr)
        self.assertEqual(r.cli("status")[0], 0)


class Stream(World):
    def setUp(self):
        self.r = self.receiver("shell")
        for stream in self.r.json("stream", "list"):
            self.r.cli("stream", "delete", "--stream-id", stream["stream_id"])

    def test_create_get_list_and_delete(self):
        made = self.r.json("stream", "create")
        self.assertEqual(made["aud"], RESOURCE)
        self.assertEqual(made["description"], "shell")
        self.assertEqual(set(made["events_delivered"]), set(MISSION_TYPES + [SESSION_REVOKED]))
        self.assertEqual(self.r.json("stream", "get")["stream_id"], made["stream_id"])
        self.assertEqual([s["stream_id"] for s in self.r.json("stream", "list")], [made["stream_id"]])
        status, out, problem = self.r.cli("stream", "delete")
        self.assertEqual((status, out), (0, ""), problem)
        self.assertIn("HTTP 204", problem)
        status, _, problem = self.r.cli("stream", "get", "--stream-id", made["stream_id"])
        self.assertEqual(status, 1)
        self.assertIn("HTTP 404", problem)
        self.assertEqual(self.r.cli("stream", "get")[0], 2)  # there is none, and none was named

    def test_update_and_replace(self):
        made = self.r.json("stream", "create")
        seen = self.r.json("stream", "update", "--description", "new", "--events", "session-revoked")
        self.assertEqual((seen["description"], seen["events_requested"]), ("new", [SESSION_REVOKED]))
        seen = self.r.json("stream", "replace", "--events", MISSION_TYPES[0])
        self.assertEqual((seen["description"], seen["events_requested"]), ("shell", [MISSION_TYPES[0]]))
        body = json.dumps({"stream_id": made["stream_id"], "description": "by hand"})
        self.assertEqual(self.r.json("stream", "update", "--json-body", "-", stdin=body)["description"], "by hand")
        status, out, problem = self.r.cli("stream", "update", "--json-body", "-", stdin="{broken")
        self.assertEqual(status, 1)
        self.assertIn("HTTP 400", problem)
        self.assertTrue(json.loads(out))
        self.assertEqual(self.r.cli("stream", "update", "--json-body", "-", "--description", "x", stdin="{}")[0], 2)

    def test_status_is_read_and_set(self):
        made = self.r.json("stream", "create")
        self.assertEqual(self.r.json("stream", "status")["status"], "enabled")
        seen = self.r.json("stream", "status", "--set", "paused", "--reason", "night")
        self.assertEqual((seen["status"], seen["reason"]), ("paused", "night"))
        self.assertEqual(self.r.json("stream", "status", "--stream-id", made["stream_id"])["status"], "paused")
        self.r.json("stream", "status", "--set", "enabled")

    def test_subjects_are_added_and_removed(self):
        self.r.json("stream", "create")
        for words in (["--mission", secrets.token_urlsafe(18)], ['{"format":"opaque","id":"x"}']):
            status, _, problem = self.r.cli("stream", "add-subject", *words)
            self.assertEqual((status, "HTTP 200" in problem), (0, True), problem)
            status, _, problem = self.r.cli("stream", "remove-subject", *words)
            self.assertEqual((status, "HTTP 204" in problem), (0, True), problem)
        status, _, problem = self.r.cli("stream", "add-subject", '{"format":"opaque"}')
        self.assertEqual((status, "HTTP 400" in problem), (1, True), problem)

    def test_verify_poll_and_acknowledge(self):
        self.r.json("stream", "create")
        status, out, problem = self.r.cli("stream", "verify", "--state", "shell-state")
        self.assertEqual((status, "HTTP 204" in problem), (0, True), problem)

        def verification():
            sets = self.r.json("stream", "poll", "--max-events", "10", "--verify")
            for jti, found in sets.items():
                body = next(iter(found["claims"]["events"].values()))
                if body.get("state") == "shell-state":
                    return jti
                self.r.cli("stream", "poll", "--max-events", "0", "--return-immediately", "--ack", jti)
            return None
        jti = wait_for(verification, 20, why="the verification comes")
        raw = self.r.json("stream", "poll", "--return-immediately", "--ack", jti)
        self.assertNotIn(jti, raw["sets"])
        for token in raw["sets"].values():
            self.assertEqual(jwt_claims(token)["iss"], self.transmitter.url)

    def test_a_second_client_sees_nothing_of_the_first(self):
        made = self.r.json("stream", "create")
        other = self.receiver("shell-two")
        self.assertEqual(other.json("stream", "list"), [])
        status, _, problem = other.cli("stream", "get", "--stream-id", made["stream_id"])
        self.assertEqual((status, "HTTP 404" in problem), (1, True), problem)

    def test_a_transmitter_that_is_not_there_is_one_clear_error(self):
        r = self.receiver("down", issuer=f"https://localhost:{free_port()}")
        status, out, problem = r.cli("stream", "list")
        self.assertEqual((status, out), (1, ""))
        self.assertRegex(problem, "(?i)connect")

    def test_wrong_credentials_are_one_clear_error(self):
        r = self.receiver("down", auth='token = "nobody-knows-this-token"')
        status, _, problem = r.cli("stream", "list")
        self.assertEqual(status, 1)
        self.assertRegex(problem, "401|unauthenticated|refused")
        self.assertNotIn("nobody-knows", problem)

    def test_a_peer_that_answers_html_is_one_clear_error(self):
        class Page(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(b"<html>\x1b[2J welcome</html>")

            def log_message(self, *_):
                pass
        server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "cert.pem", self.folder / "key.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        r = self.receiver("down", issuer=f"https://localhost:{server.server_port}")
        status, out, problem = r.cli("stream", "list")
        self.assertEqual((status, out), (1, ""))
        self.assertNotIn("\x1b", problem)
        self.assertTrue(problem.startswith("mission-receiver: "), problem)


class Configuration(World):
    def problem(self, text, *words):
        path = self.folder / (secrets.token_hex(4) + ".toml")
        path.write_text(text)
        done = subprocess.run([receiver_binary(), *(words or ("check-config",)), "--config", path],
                              capture_output=True, text=True, timeout=30)
        return done.returncode, done.stderr.replace(str(path), "FILE")

    def test_wrong_configuration_names_the_line_and_the_key(self):
        good = 'issuer = "https://t.example"\n[auth]\ntoken = "a"\n'
        self.assertEqual(self.problem(good), (0, ""))
        for text, part in ((good + "[strem]\n", 'FILE:4: unknown key "strem"'),
                           (good + "[stream]\ndelivery = 5\n", "FILE:5: stream.delivery must be a string"),
                           ("issuer = \n", "FILE:1: "),
                           (good + "[check]\nlisten = \"nowhere\"\n", "FILE:5: check.listen"),
                           (good + '[[teardown]]\nname = "x"\non = ["ended"]\ntype = "pigeon"\n',
                            'FILE:7: teardown.type = "pigeon" is unknown')):
            for command in ("check-config", "run"):
                status, problem = self.problem(text, command)
                self.assertEqual(status, 1)
                self.assertIn(part, problem)

    def test_usage_is_status_2(self):
        for words in ([], ["run"], ["stream"], ["fly"], ["stream", "status", "--set", "asleep"]):
            done = subprocess.run([receiver_binary(), *words], capture_output=True, text=True, timeout=30)
            self.assertEqual(done.returncode, 2, words)
        done = subprocess.run([receiver_binary(), "--version"], capture_output=True, text=True, timeout=30)
        self.assertEqual((done.returncode, done.stdout.startswith("mission-receiver ")), (0, True))


if __name__ == "__main__":
    if "--build-dir" in sys.argv:
        at = sys.argv.index("--build-dir")
        BUILD_DIR = pathlib.Path(sys.argv[at + 1]).resolve()
        del sys.argv[at:at + 2]
    unittest.main(verbosity=2)
