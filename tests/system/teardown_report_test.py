"""Teardown reports end to end: two `mission-receiver`s, a listener that holds nothing, the real transmitter, and what
`missionctl mission get` makes of it for an operator who asks "has everybody stopped?". The receivers' tasks, as their
own command line and metrics show them, beside it.
"""
import argparse
import json
import os
import pathlib
import pty
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import receiver_program_test as program  # noqa: E402
from harness import (MISSION_TYPES, Client, Key, Transmitter, jwt_claims, jwt_header, wait_for)  # noqa: E402

RESOURCE = "https://erp.example"
SCOPES = ["ssf.read", "ssf.manage", "mission_status", "mission.read"]

TEARDOWN = """
[[teardown]]
name = "closer"
on = ["ended"]
type = "exec"
command = ["{script}", "{{name}}"]
timeout_seconds = 20
retry_first_seconds = 0.05
retry_max_seconds = 0.2
[reports]
interim_after_seconds = 0.4
"""


class Reports(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="trp-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        events = MISSION_TYPES
        cls.operator = Client("operator", cls.folder, audience="https://operator.example", missions="all",
                              scopes=["mission.read", "mission.write", "ssf.admin"], lifecycle=["revoke"])
        cls.clients = {n: Client(n, cls.folder, audience=RESOURCE, scopes=SCOPES, events=events)
                       for n in ["vault", "pam", "quiet"]}
        # An RSA key signs as well as an EC one; and a client that may not report.
        pam = cls.clients["pam"]
        pam.key = Key("RS256")
        pam.key_file.write_bytes(pam.key.pem())
        cls.clients["mute"] = Client("mute", cls.folder, audience=RESOURCE, events=events,
                                     scopes=["ssf.read", "ssf.manage", "mission_status"])
        binary = program.BUILD_DIR / "transmitter" / "mission-transmitter"
        cls.transmitter = Transmitter(binary, cls.folder, [cls.operator, *cls.clients.values()])
        cls.transmitter.start()
        cls.addClassCleanup(lambda: cls.transmitter.process.stop())

    def receiver(self, client, script):
        made = program.Receiver(self, client, self.clients[client])
        path = made.script("close", script.replace("ALLOW", str(made.folder / "allow")))
        made.config.write_text(made.config.read_text() + TEARDOWN.format(script=path))
        self.addCleanup(lambda: made.process and made.stop())
        return made.start().live()

    def mission(self):
        status, body = self.transmitter.create("operator", resource=RESOURCE)
        self.assertEqual(status, 201, body)
        return body["mission_id"]

    def revoke(self, mission):
        status, body = self.transmitter.lifecycle("operator", mission, "revoke")
        self.assertEqual(status, 200, body)

    def hold(self, receiver, mission, name):
        wait_for(lambda: receiver.cli("check", mission, "--resolve")[0] == 0, 20, 0.05, "it is permitted")
        receiver.json("hold", mission, name, "the data")

    def shown(self, mission, *more):
        done = subprocess.run(
            [program.BUILD_DIR / "tools" / "missionctl", "--server", self.transmitter.url, "--ca-file",
             self.transmitter.ca, "--client-id", "operator", "--private-key", self.operator.key_file, *more,
             "mission", "get", mission], capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def teardown(self, mission, client):
        body = json.loads(self.shown(mission, "--json"))
        told = {t["client_id"]: t for t in body["teardown"]}
        of_stream = {s["client_id"]: s["teardown"] for s in body["streams"]}
        return told.get(client), of_stream.get(client)

    def metrics(self, receiver):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(receiver.folder / "s"))
            s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            text = b""
            while block := s.recv(65536):
                text += block
        head, body = text.decode().split("\r\n\r\n", 1)
        self.assertIn("text/plain; version=0.0.4", head)
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1])
                for line in body.splitlines() if line and not line.startswith("#")}

    def test_an_operator_sees_who_has_stopped_who_has_not_and_who_says_nothing(self):
        vault = self.receiver("vault", 'echo "$1 destroyed"\n')
        pam = self.receiver("pam", 'echo "target away"; [ -e ALLOW ]\n')
        status, _ = self.transmitter.call("quiet", "POST", "/ssf/streams", {
            "delivery": {"method": "urn:ietf:rfc:8936"}, "events_requested": MISSION_TYPES})
        self.assertEqual(status, 201)
        mission = self.mission()
        self.hold(vault, mission, "lease-1")
        self.hold(vault, mission, "lease-2")
        self.hold(pam, mission, "role-7")
        self.assertNotIn("HAS TORN DOWN", self.shown(mission))
        self.revoke(mission)

        wait_for(lambda: self.teardown(mission, "vault")[1] == "complete", why="the vault reports")
        told = self.teardown(mission, "vault")[0]
        self.assertEqual((told["status"], told["verified"]), ("complete", True))
        detail = told["detail"]
        self.assertEqual((detail["effect"], detail["version"], detail["total"], detail["acknowledged"]),
                         ("revoked", 2, 2, 2))
        self.assertEqual({t["name"]: t["evidence"] for t in detail["tasks"]},
                         {n: f"exit 0: {n} destroyed" for n in ("lease-1", "lease-2")})

        wait_for(lambda: self.teardown(mission, "pam")[1] == "incomplete", why="the interim report")
        told = self.teardown(mission, "pam")[0]
        self.assertEqual((told["detail"]["unconfirmed"], told["detail"]["tasks"][0]["outcome"]), (1, "failed"))
        text = self.shown(mission)
        self.assertRegex(text, r"vault +\S+ +2 +yes +complete \(2 of 2 confirmed\)")
        self.assertRegex(text, r"pam +\S+ +2 +yes +incomplete \(0 of 1 confirmed\)")
        self.assertRegex(text, r"quiet +\S+ +- +not yet +not reported")
        self.assertIn("pam: closer role-7: failed after", text)
        # The client of another test may listen as well.
        self.assertRegex(text, r"stopped: 1 of \d; incomplete: pam; no word: (mute, )?quiet\n")
        self.tasks_of(pam, mission)

        (pam.folder / "allow").touch()
        wait_for(lambda: self.teardown(mission, "pam")[1] == "complete", why="the final report")
        self.assertRegex(self.shown(mission), r"stopped: 2 of \d; no word: (mute, )?quiet\n")
        self.assertEqual(pam.json("tasks", "list"), [])
        self.assertEqual(self.metrics(pam)["mission_receiver_reports_sent_total"], 2)

        # What was signed says what was told.
        status, body = self.transmitter.call("operator", "GET", f"/missions/{mission}/reports")
        self.assertEqual(status, 200)
        for report in body["reports"]:
            self.assertEqual(jwt_header(report["evidence"])["typ"], "mission-teardown-report+jwt")
            claims = jwt_claims(report["evidence"])
            self.assertEqual((claims["iss"], claims["aud"], claims["mission_id"], claims["detail"]),
                             (report["client_id"], self.transmitter.url, mission, report["detail"]))
        self.assertEqual({jwt_header(r["evidence"])["alg"] for r in body["reports"]}, {"ES256", "RS256"})

    def tasks_of(self, pam, mission):
        """The same task at the receiver: list, filters, retry, status, metrics."""
        task, = pam.json("tasks", "list", "--mission", mission)
        self.assertEqual((task["handler"], task["effect"], task["name"], task["last"], task["state"]),
                         ("closer", "revoked", "role-7", "failed", "open"))
        self.assertIn("target away", task["evidence"])
        self.assertGreaterEqual(task["attempt"], 1)
        self.assertEqual(pam.json("tasks", "list", "--handler", "other"), [])
        self.assertEqual(pam.json("tasks", "list", "--mission", "0123456789012345678901"), [])
        self.assertEqual(pam.json("--json", "tasks", "retry", "--all")["tasks"], 1)
        self.assertEqual(pam.json("--json", "tasks", "retry", "--handler", "other")["tasks"], 0)
        self.assertEqual(pam.cli("tasks", "retry", task["key"])[0], 0)
        self.assertEqual(pam.cli("tasks", "retry", "no-such-key")[0], 1)
        self.assertEqual(pam.cli("tasks", "retry")[0], 2)
        # On a terminal: a table, with how old it is.
        ours, theirs = pty.openpty()
        done = subprocess.run([program.receiver_binary(), "tasks", "list", "--config", pam.config], stdout=theirs,
                              stderr=subprocess.PIPE, timeout=60)
        os.close(theirs)
        with os.fdopen(ours, "rb", buffering=0) as terminal:
            heads, row = terminal.read(65536).decode().splitlines()
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertEqual(heads.split()[:8],
                         ["handler", "effect", "mission", "name", "attempt", "last", "state", "age"])
        self.assertRegex(row, rf"^closer +revoked +{mission} +role-7 +\d+ +failed +(open|running) +\d+s .*target away")
        closer, = pam.json("status")["handlers"]
        self.assertEqual((closer["name"], closer["open"]), ("closer", 1))
        values = self.metrics(pam)
        self.assertEqual(values['mission_receiver_tasks_open{handler="closer"}'], 1)
        self.assertGreaterEqual(values['mission_receiver_task_outcomes_total{handler="closer",outcome="failed"}'], 1)
        self.assertEqual(values["mission_receiver_streaming"], 1)

    def test_a_report_is_sent_once_the_transmitter_is_back(self):
        vault = self.receiver("vault", 'echo "$1 destroyed"\n')
        mission = self.mission()
        self.hold(vault, mission, "lease-1")
        self.revoke(mission)
        wait_for(lambda: self.teardown(mission, "vault")[1] == "complete", why="the first report")
        second = self.mission()
        self.hold(vault, second, "lease-2")
        self.revoke(second)
        wait_for(lambda: vault.log("teardown")[-1]["mission"] == second, why="the second teardown")
        self.transmitter.process.kill()
        vault.kill()  # both gone: what was done is known from the state alone
        self.transmitter.start()
        vault.start().live()
        wait_for(lambda: self.teardown(second, "vault")[1] == "complete", why="the second report")

    def test_a_client_that_may_not_report_tears_down_all_the_same(self):
        mute = self.receiver("mute", 'echo gone\n')
        mission = self.mission()
        self.hold(mute, mission, "x")
        self.revoke(mission)
        wait_for(lambda: mute.log("teardown reports are not allowed: the client needs scope mission.read or "
                                  "mission.write"), why="the log says so")
        self.assertEqual(mute.json("tasks", "list"), [])
        self.assertEqual(mute.json("status")["reports_pending"], 1)
        self.assertEqual(self.teardown(mission, "mute")[1], "not_reported")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--build-dir", required=True)
    arguments, rest = parser.parse_known_args()
    program.BUILD_DIR = pathlib.Path(arguments.build_dir).resolve()
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)
