"""mission-receiver's sidecar behind a real nginx and beside a real policy engine.

    sidecar_test.py --build-dir DIR [unittest arguments]

nginx runs samples/sidecar/nginx.conf, mission-receiver samples/sidecar/receiver.toml, with the paths
and ports of the test put in; nginx as another user, over a Unix socket of a folder that it shares.
"""
import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness as h  # noqa: E402
import jsonschema  # noqa: E402
import openapi_document as d  # noqa: E402
import sidecar_world  # noqa: E402
from sidecar_world import ISSUER, RESOURCE, ROOT, SAMPLE, World, as_other, ask  # noqa: E402


class Sidecar(World):
    # ---------------------------------------------------------------------------------- nginx

    def test_a_token_of_an_active_mission_passes_nginx(self):
        mission = self.mission()
        status, _, body = self.through("/invoices/7?x=1", self.token(mission))
        self.assertEqual(status, 200, body)
        seen = json.loads(body)
        self.assertEqual(seen["path"], "/invoices/7?x=1")
        self.assertEqual(seen["headers"]["x-mission-id"], mission)
        self.assertEqual(seen["headers"]["x-mission-version"], "1")

    def test_what_a_client_says_of_its_mission_is_not_believed(self):
        mission = self.mission()
        status, fields, _ = self.through("/invoices/7", X_Mission_Id=mission, X_Original_URI="/profile",
                                         X_Original_Method="GET")
        self.assertEqual(status, 401)
        self.assertIn("Bearer", fields["www-authenticate"])
        other = self.mission()
        status, _, body = self.through("/invoices/7", self.token(mission), X_Mission_Id=other,
                                       X_Mission_Version="99", X_Mission_State="active")
        self.assertEqual(status, 200)
        self.assertEqual(json.loads(body)["headers"]["x-mission-id"], mission)
        self.assertEqual(json.loads(body)["headers"]["x-mission-version"], "1")
        self.assertNotIn("x-mission-state", json.loads(body)["headers"])

    def test_bad_tokens_are_401(self):
        mission, now = self.mission(), int(time.time())
        forged = h.Key().jwt({"iss": ISSUER, "aud": RESOURCE, "exp": now + 60, "mission": {"id": mission}}, typ="at+jwt")
        for token in (forged, "x", self.token(mission, exp=now - 60), self.token(mission, aud="https://other.example"),
                      self.token(mission, iss="https://other.example"), self.token(mission, nbf=now + 600),
                      self.key.jwt({"iss": ISSUER, "aud": RESOURCE, "exp": now + 60, "mission": {"id": mission}}),
                      self.key.jwt({"iss": ISSUER, "aud": RESOURCE, "exp": now + 60, "mission": {"id": mission}},
                                   typ="at+jwt", header={"alg": "none"}),
                      self.key.jwt({"iss": ISSUER, "aud": RESOURCE, "exp": now + 60, "mission": {"id": mission}},
                                   typ="at+jwt", header={"alg": "HS256"}),
                      self.token(mission, cnf={"jkt": "x"})):
            status, fields, _ = self.through("/invoices/7", token)
            self.assertEqual(status, 401, token)
            self.assertIn("invalid_token", fields["www-authenticate"])

    def test_rules_hold_a_request_against_the_missions_authority(self):
        mission = self.mission()  # invoices.read alone
        token = self.token(mission)
        for method, path, reason in (("POST", "/invoices", "not_granted"), ("DELETE", "/invoices/7", "no_rule"),
                                     ("GET", "/admin", "no_rule"), ("GET", "/invoices/%2e%2e/admin", "unclear_path"),
                                     ("GET", "/invoices/..%2fadmin", "unclear_path"), ("GET", "//admin", "unclear_path")):
            status, fields, body = self.through(path, token, method=method)
            self.assertEqual((status, fields.get("x-mission-reason")), (403, reason), (method, path))
            self.assertEqual(json.loads(body), {"decision": "deny", "reason": reason})
        self.assertEqual(self.through("/profile", token, method="DELETE")[0], 200)
        wider = self.mission(actions=("invoices.read", "invoices.create"))
        self.assertEqual(self.through("/invoices", self.token(wider), method="POST")[0], 200)

    def test_a_revoked_mission_is_refused_within_a_moment(self):
        for _ in range(3):
            mission = self.mission()
            token = self.token(mission)
            self.assertEqual(self.through("/invoices/7", token)[0], 200)
            self.operate(mission, "revoke")
            start = time.monotonic()
            h.wait_for(lambda: self.through("/invoices/7", token)[0] == 403, 5, 0, "the revocation is here")
            self.assertLess(time.monotonic() - start, 2)
            status, fields, body = self.through("/invoices/7", token)
            self.assertEqual((status, fields["x-mission-reason"]), (403, "revoked"))
            self.assertEqual(json.loads(body)["reason"], "revoked")

    def test_suspension_denies_and_its_end_permits_again(self):
        mission = self.mission()
        token = self.token(mission)
        self.operate(mission, "suspend")
        h.wait_for(lambda: self.through("/invoices/7", token)[1].get("x-mission-reason") == "suspended", 5, 0.01)
        self.operate(mission, "resume")
        h.wait_for(lambda: self.through("/invoices/7", token)[0] == 200, 5, 0.01)

    def with_certificate(self, path, certificate, **headers):
        """Through nginx, as an agent that has a certificate."""
        context = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
        context.load_cert_chain(certificate)
        c = http.client.HTTPSConnection("localhost", self.tls_port, timeout=10, context=context)
        try:
            return ask(c, "GET", path, {k.replace("_", "-"): v for k, v in headers.items()})
        finally:
            c.close()

    def test_a_client_certificate_names_the_mission(self):
        mission, other = self.mission(), self.mission()
        mine = self.agents.file("spiffe://agents.example/7", f"urn:mission:{mission}")
        status, _, body = self.with_certificate("/invoices/7", mine)
        self.assertEqual(status, 200, body)
        self.assertEqual(json.loads(body)["headers"]["x-mission-id"], mission)
        self.assertNotIn("x-client-cert", json.loads(body)["headers"])
        # A token beside it has to say the same; a certificate in a field is nobody's.
        status, fields, _ = self.with_certificate("/invoices/7", mine, Authorization="Bearer " + self.token(other))
        self.assertEqual((status, fields["x-mission-reason"]), (403, "conflicting_references"))
        self.assertEqual(self.with_certificate("/invoices/7", mine, Authorization="Bearer " + self.token(mission))[0], 200)
        pem = urllib.parse.quote(self.agents.file(f"urn:mission:{other}").read_text().partition("-----BEGIN PRIV")[0])
        self.assertEqual(self.through("/invoices/7", X_Client_Cert=pem)[0], 401)
        self.assertEqual(json.loads(self.with_certificate("/invoices/7", mine, X_Client_Cert=pem)[2])["headers"]
                         ["x-mission-id"], mission)
        self.assertEqual(self.with_certificate("/invoices/7", self.agents.file("urn:other:x"))[0], 401)
        both = self.agents.file(f"urn:mission:{mission}", f"urn:mission:{other}")
        self.assertEqual(self.with_certificate("/invoices/7", both)[1]["x-mission-reason"], "conflicting_references")
        self.operate(mission, "complete")
        h.wait_for(lambda: self.with_certificate("/invoices/7", mine)[1].get("x-mission-reason") == "completed", 5, 0.01)

    # --------------------------------------------------------------------------------- reload

    def test_a_reload_drops_no_request_and_a_bad_one_changes_nothing(self):
        good = self.config.read_text()
        self.addCleanup(lambda: self.reload(good, self.TAKEN))
        mission = self.mission()
        token, over, failed, answered = self.token(mission), threading.Event(), [], [0]

        def hammer():
            while not over.is_set():
                try:
                    status = self.through("/invoices/7", token)[0]
                except OSError as e:
                    status = repr(e)
                answered[0] += 1
                if status != 200:
                    failed.append(status)
        threads = [threading.Thread(target=hammer) for _ in range(3)]
        for t in threads:
            t.start()
        try:
            for i in range(10):
                seen = answered[0]
                self.reload(good.replace('"/profile"', f'"/profile{i}"'), self.TAKEN)
                h.wait_for(lambda: answered[0] > seen + 10, 10, 0.001, "requests are answered meanwhile")
            self.reload(good + '\n[check.typo]\nx = 1\n', self.REFUSED)
            self.reload("not toml", self.REFUSED)
        finally:
            over.set()
            for t in threads:
                t.join()
        self.assertEqual(failed, [])
        self.assertIn("check.typo", self.log_lines(self.REFUSED)[-2]["error"])
        self.assertEqual(self.through("/profile9", token)[0], 200)  # the last good one
        self.assertEqual(self.through("/profile", token)[0], 403)
        # What only a restart can take is said, and the rest is taken.
        self.reload(good.replace('[stream]\n', '[stream]\nreplace = true\n'), self.TAKEN)
        self.assertTrue(self.log_lines("other sections than [check] have changed: they are taken at the next start"))
        self.assertEqual(self.through("/profile", token)[0], 200)

    def test_another_place_is_listened_on_after_a_reload(self):
        good = self.config.read_text()
        other = self.share / "other.sock"
        self.reload(good.replace(str(self.socket), str(other)), self.TAKEN)
        self.assertEqual(self.local("GET", "/healthz", at=other)[0], 200)
        h.wait_for(lambda: not self.socket.exists(), 5, why="the old socket is closed")
        # TLS on a port: a token is as good from there, a field of a proxy is not.
        mission, port = self.mission(at=other), h.free_port()
        self.reload(good.replace(f'listen = "unix:{self.socket}"', f'''listen = "127.0.0.1:{port}"
certificate = "{self.folder}/cert.pem"
private_key = "{self.folder}/key.pem"'''), self.TAKEN)
        https = h.Http(port, self.folder / "ca.pem")
        self.addCleanup(https.close)
        self.assertEqual(https("GET", "/healthz")[0], 200)
        self.assertEqual(https("GET", "/envoy/profile", headers={"Authorization": "Bearer " + self.token(mission)})[0], 200)
        status, fields, _ = https("GET", "/envoy/profile", headers={"X-Mission-Id": mission})
        self.assertEqual((status, fields["x-mission-reason"]), (403, "untrusted_proxy"))
        self.reload(good, self.TAKEN)
        self.assertEqual(self.local("GET", "/healthz")[0], 200)
        mission = self.mission()
        self.assertEqual(self.through("/invoices/7", self.token(mission))[0], 200)

    def test_a_second_instance_on_the_same_state_or_socket_is_refused(self):
        binary = sidecar_world.BUILD / "receiver/program/mission-receiver"
        second = subprocess.run([binary, "run", "--config", self.config], capture_output=True, text=True, timeout=30)
        self.assertEqual(second.returncode, 1, second.stderr)
        self.assertIn("receiver.db", second.stderr)
        self.assertEqual(self.local("GET", "/healthz")[0], 200)
        # The same socket, and a state of its own.
        folder = self.folder / "second"
        folder.mkdir()
        config = folder / "receiver.toml"
        config.write_text(self.config.read_text().replace(f"{self.folder}/state/receiver.db", f"{folder}/state/r.db")
                          .replace(f"{self.folder}/control", f"{folder}/control"))
        second = subprocess.run([binary, "run", "--config", config], capture_output=True, text=True, timeout=30)
        self.assertEqual(second.returncode, 1, second.stderr)
        self.assertIn("check.listen", second.stderr)
        self.assertEqual(self.local("GET", "/healthz")[0], 200)

    # -------------------------------------------------------------------------- other callers

    def test_envoys_questions_and_plain_ones(self):
        mission = self.mission()
        auth = {"Authorization": "Bearer " + self.token(mission)}
        status, fields, body = self.local("GET", "/envoy/invoices/7", auth)
        self.assertEqual((status, fields["x-mission-id"], fields["x-mission-state"]), (200, mission, "active"))
        self.assertEqual(self.local("POST", "/envoy/invoices", auth)[0], 403)
        status, _, body = self.local("GET", f"/missions/{mission}/permits?resource=https%3A%2F%2Ferp.example"
                                            "&action=invoices.read")
        self.assertEqual((status, json.loads(body)["permitted"]), (200, True))
        shown = json.loads(self.local("GET", f"/missions/{mission}")[2])
        self.assertEqual((shown["state"], shown["version"], shown["freshness"]), ("active", 1, "fresh"))

    def test_metrics_are_what_prometheus_reads(self):
        self.through("/invoices/7")
        status, fields, body = self.local("GET", "/metrics")
        self.assertEqual(status, 200)
        self.assertTrue(fields["content-type"].startswith("text/plain; version=0.0.4"))
        line = re.compile(r'^(#.*|[a-zA-Z_:][a-zA-Z0-9_:]*(\{[^{}]*\})? -?[0-9.e+-]+( [0-9]+)?)$')
        lines = body.decode().splitlines()
        self.assertEqual([x for x in lines if x and not line.match(x)], [])
        self.assertTrue([x for x in lines if x.startswith('mission_sidecar_decisions_total{door="auth_request",decision="deny"')])
        self.assertTrue([x for x in lines if not x.startswith(("#", "mission_sidecar"))], "the receiver's own are there")

    def test_a_policy_engine_takes_the_missions_state_as_input(self):
        engine = next((ROOT / "tests/services/node_modules/@cerbos").glob("cerbos-linux-*/cerbos-linux-*"), None)
        self.assertTrue(engine, "./dev setup --test brings it")
        place = self.folder / "cerbos"
        shutil.copytree(SAMPLE / "cerbos", place)
        http_port, grpc_port = h.free_port(), h.free_port()
        config = (place / "cerbos.yaml").read_text()
        (place / "cerbos.yaml").write_text(config.replace(":3592", f":{http_port}").replace(":3593", f":{grpc_port}")
                                           .replace("directory: policies", f"directory: {place}/policies"))
        process = h.Process(as_other([engine, "server", "--config", place / "cerbos.yaml"]), self.folder / "cerbos.log")
        self.addCleanup(process.stop)
        url = f"http://127.0.0.1:{http_port}"

        def up():
            self.assertTrue(process.alive(), (self.folder / "cerbos.log").read_text()[-2000:])
            with contextlib.suppress(OSError):
                c = http.client.HTTPConnection("127.0.0.1", http_port, timeout=2)
                return ask(c, "GET", "/_cerbos/health")[0] == 200
        h.wait_for(up, 30, 0.05, "the policy engine is up")

        def decide(mission, action, amount="0"):
            done = subprocess.run([sys.executable, SAMPLE / "cerbos/ask.py", "--sidecar", self.socket, "--engine", url,
                                   mission, action, "i-7", amount], capture_output=True, text=True, timeout=30)
            out = json.loads(done.stdout)
            self.assertEqual(done.returncode, 0 if out["permit"] else 1)
            return out
        mission = self.mission()
        self.assertEqual(decide(mission, "invoices.read"),
                         {"permit": True, "mission": True, "policy": True, "mission_state": "active", "mission_version": 1})
        self.assertTrue(decide(mission, "invoices.approve", "999")["permit"])
        too_much = decide(mission, "invoices.approve", "1000")
        self.assertEqual((too_much["mission"], too_much["policy"]), (True, False))
        # The same request, at both: the mission's end alone changes what the policy says.
        self.operate(mission, "revoke")
        h.wait_for(lambda: not decide(mission, "invoices.read")["mission"], 10, 0.01)
        ended = decide(mission, "invoices.read")
        self.assertEqual((ended["permit"], ended["policy"], ended["mission_state"]), (False, False, "revoked"))
        process.stop()
        self.assertFalse(decide(self.mission(), "invoices.read")["permit"])  # nobody to ask

    def test_the_document_is_one_of_openapi_and_every_answer_in_it_can_be_had(self):
        jsonschema.Draft202012Validator(d.RULES).validate(self.document.root)
        for where, schema in d.schemas_of(self.document.root):
            jsonschema.Draft202012Validator.check_schema(schema)
            for one in d.subschemas(schema):
                self.assertLessEqual(set(one) if isinstance(one, dict) else set(), d.KEYWORDS, where)
        for reference in set(d.references_of(self.document.root)):
            self.document.resolver.resolve(reference)
        mission = self.mission()
        token = {"Authorization": "Bearer " + self.token(mission), "X-Original-Method": "GET", "X-Original-URI": "/profile"}
        evaluation = json.dumps({"subject": {"type": "mission", "id": mission}, "action": {"name": "x"},
                                 "resource": {"type": "t", "id": "r"}})
        for method, path, headers, body, status in (
                ("GET", "/auth", token, None, 200), ("GET", "/auth", {**token, "Authorization": "Bearer x"}, None, 401),
                ("GET", "/auth", {**token, "X-Original-URI": "/no"}, None, 403), ("GET", "/envoy/profile", token, None, 200),
                ("GET", "/envoy/profile", {}, None, 401), ("GET", "/envoy/no", token, None, 403),
                ("POST", "/access/v1/evaluation", {}, evaluation, 200), ("POST", "/access/v1/evaluation", {}, "x", 400),
                ("GET", "/access/v1/evaluation", {}, None, 405), ("POST", "/access/v1/evaluations", {}, evaluation, 200),
                ("POST", "/access/v1/evaluations", {}, '{"evaluations":[{}]}', 200),
                ("POST", "/access/v1/evaluations", {}, '{"evaluations":{}}', 400),
                ("GET", "/access/v1/evaluations", {}, None, 405), ("GET", "/.well-known/authzen-configuration", {}, None, 404),
                ("GET", f"/missions/{mission}", {}, None, 200), ("GET", "/missions/x", {}, None, 400),
                ("GET", f"/missions/{mission}/permits?resource=a&action=b", {}, None, 200),
                ("GET", f"/missions/{mission}/permits", {}, None, 400), ("GET", "/healthz", {}, None, 200),
                ("GET", "/readyz", {}, None, 200), ("GET", "/metrics", {}, None, 200), ("GET", "/nothing", {}, None, 404)):
            self.assertEqual(self.local(method, path, headers, body)[0], status, (method, path))
        good = self.config.read_text()
        self.addCleanup(lambda: self.reload(good, self.TAKEN))
        # Nobody is trusted, and the metadata is there.
        self.reload(good.replace('trusted_proxies = ["unix"]', 'trusted_proxies = []\npublic_url = "https://pdp.example"'),
                    self.TAKEN)
        self.assertEqual(self.local("GET", "/.well-known/authzen-configuration")[0], 200)
        for method, path in (("POST", "/access/v1/evaluation"), ("POST", "/access/v1/evaluations"),
                             ("GET", f"/missions/{mission}"), ("GET", f"/missions/{mission}/permits")):
            self.assertEqual(self.local(method, path, {}, evaluation if method == "POST" else None)[0], 403, path)
        documented = {(path, status) for path, _, o in self.document.operations() for status in o["responses"]}
        # A stream that does not live has a test of its own.
        self.assertEqual(sorted(documented - self.document.seen - {("/readyz", "503")}), [])

    def test_batches_are_answered_as_authzen_has_it(self):
        alive, ended = self.mission(), self.mission()
        self.operate(ended, "complete")
        h.wait_for(lambda: not json.loads(self.local("GET", f"/missions/{ended}")[2])["permitted"], 10, 0.01)

        def batch(semantic, *missions):
            body = {"action": {"name": "read"}, "resource": {"type": "t", "id": "r"},
                    "options": {"evaluations_semantic": semantic},
                    "evaluations": [{"subject": {"type": "mission", "id": m}} for m in missions]}
            status, fields, data = self.local("POST", "/access/v1/evaluations",
                                              {"Content-Type": "application/json", "X-Request-ID": "r-1"}, json.dumps(body))
            self.assertEqual((status, fields["x-request-id"]), (200, "r-1"))
            return [e["decision"] for e in json.loads(data)["evaluations"]]
        self.assertEqual(batch("execute_all", alive, ended, alive), [True, False, True])
        self.assertEqual(batch("deny_on_first_deny", alive, ended, alive), [True, False])
        self.assertEqual(batch("permit_on_first_permit", ended, alive, alive), [False, True])


class Alone(unittest.TestCase):
    """No transmitter, no nginx."""

    def test_a_sidecar_may_come_with_a_reload_and_without_a_stream_it_denies(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="msa-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        config, log, place = folder / "receiver.toml", folder / "log", folder / "check.sock"
        # Port 9 is nobody's: what cannot be reached is tried again for ever.
        text = f"""issuer = "https://127.0.0.1:9"
[auth]
token = "x"
[state]
path = "{folder}/state/r.db"
"""
        config.write_text(text)
        process = h.Process([sidecar_world.BUILD / "receiver/program/mission-receiver", "run", "--config", config], log)
        self.addCleanup(process.stop)

        def told(message):
            return any(json.loads(line)["message"] == message for line in log.read_text().splitlines())
        h.wait_for(lambda: told("running"), 15, why="it runs")
        os.kill(process.pid, signal.SIGHUP)
        h.wait_for(lambda: told("configuration read again: there is no [check] to take"), 15, why=log.read_text())
        config.write_text(text + f'[check]\nlisten = "unix:{place}"\n')
        os.kill(process.pid, signal.SIGHUP)
        h.wait_for(lambda: told(World.TAKEN), 15, why=log.read_text())
        self.assertEqual(World.local("GET", "/healthz", at=place)[0], 200)
        status, _, body = World.local("GET", "/readyz", at=place)
        self.assertEqual((status, json.loads(body)["ready"]), (503, False))
        status, fields, _ = World.local("GET", "/envoy/x", {"X-Mission-Id": "m" * 24}, at=place)
        self.assertEqual((status, fields["x-mission-reason"]), (403, "unknown"))
        # One that is closed by a reload would leave its proxies with nobody to ask.
        config.write_text(text)
        os.kill(process.pid, signal.SIGHUP)
        h.wait_for(lambda: told(World.REFUSED), 15, why=log.read_text())
        self.assertEqual(World.local("GET", "/healthz", at=place)[0], 200)
        self.assertEqual(process.stop(), 0)
        self.assertFalse(place.exists())


class TransmitterGone(World):
    """In a world of its own: it takes the sidecar away, and the transmitter."""

    def test_a_sidecar_that_was_killed_lets_nothing_pass_until_it_is_back(self):
        token = self.token(self.mission())
        self.assertEqual(self.through("/invoices/7", token)[0], 200)
        self.receiver.kill()
        # Nobody answers nginx's auth_request: 500, and the service is not asked.
        for _ in range(5):
            self.assertEqual(self.through("/invoices/7", token)[0], 500)
        type(self).start_receiver()
        h.wait_for(lambda: self.through("/invoices/7", token)[0] == 200, 15, 0.05, "it is back")

    def test_without_a_word_of_the_transmitter_everything_is_denied_as_stale(self):
        mission = self.mission()
        token = self.token(mission)
        self.assertEqual(self.through("/invoices/7", token)[0], 200)
        self.transmitter.process.pause()
        self.addCleanup(lambda: os.kill(self.transmitter.process.pid, signal.SIGCONT))
        h.wait_for(lambda: self.through("/invoices/7", token)[1].get("x-mission-reason") == "stale", 15, 0.05)
        self.assertEqual(self.local("GET", "/healthz")[0], 200)
        h.wait_for(lambda: self.local("GET", "/readyz")[0] == 503, 15, 0.05, "not ready")


if __name__ == "__main__":
    if "--build-dir" in sys.argv:
        i = sys.argv.index("--build-dir")
        sidecar_world.BUILD = pathlib.Path(sys.argv[i + 1]).resolve()
        del sys.argv[i:i + 2]
    unittest.main(verbosity=2)
