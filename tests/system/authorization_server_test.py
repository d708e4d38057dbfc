"""The authorization server sample: no token is derived from a mission that is not active, and what it
gives is bound to the mission. Tokens are read and checked with `cryptography`, not with its code."""

import argparse
import base64
import datetime
import json
import pathlib
import secrets
import shutil
import signal
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

import harness as h

BUILD_DIR = pathlib.Path("build/test")
ERP, PAY = "https://erp.example", "https://pay.example"
MISSION_GRANT = "https://mission-signals.github.io/grant-type/mission"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
MAX_STALE = 3
NOT_YOURS = {"error": "invalid_grant", "error_description": "there is no such mission for this client"}


def details(*resources, actions=("read", "write")):
    return [{"type": "mission_resource_access", "resource": r, "actions": list(actions)} for r in resources]


class Server:
    """The authorization_server process, restartable on its port."""

    def __init__(self, transmitter, client):
        self.transmitter, self.folder, self.port = transmitter, transmitter.folder, h.free_port()
        self.url = f"https://localhost:{self.port}"
        self.secrets = {name: secrets.token_urlsafe(24) for name in ("agent-1", "agent-2")}
        clients = self.folder / "clients.json"
        clients.write_text(json.dumps({"clients": [
            {"client_id": n, "client_secret": s} for n, s in self.secrets.items()]}))
        self.log_file = self.folder / "authorization_server.log"
        self.command = [
            BUILD_DIR / "samples" / "authorization_server", "--port", self.port, "--certificate",
            self.folder / "cert.pem", "--certificate-key", self.folder / "key.pem", "--issuer", transmitter.url,
            "--ca-file", transmitter.ca, "--client-id", client.id, "--private-key", client.key_file, "--audience",
            "https://as.example", "--state", self.folder / "as.db", "--url", self.url, "--clients", clients,
            "--signing-key", self.folder / "as.key", "--refresh-tokens", self.folder / "refresh.jsonl"]
        self.http = h.Http(self.port, transmitter.ca)
        self.process = None

    def start(self, wait=True):
        self.process = h.Process(self.command, self.log_file)
        if wait:
            self.wait_live()
        return self

    def wait_live(self):
        def lives():
            if not self.process.alive():
                raise AssertionError("ended: " + self.log_file.read_text()[-1500:])
            try:
                return self.http("GET", "/healthz")[0] == 200
            except OSError:
                return False
        h.wait_for(lives, 20, why="the authorization server lives")

    def token(self, fields, client="agent-1", http=None, **auth):
        headers = auth.get("headers")
        if headers is None:
            pair = f"{client}:{self.secrets[client]}".encode()
            headers = {"Authorization": "Basic " + base64.b64encode(pair).decode()}
        status, fields_in, body = (http or self.http)(
            "POST", auth.get("path", "/token"), urllib.parse.urlencode(fields, doseq=True), headers,
            content_type="application/x-www-form-urlencoded")
        answer = json.loads(body)
        if status == 200 or "error" in answer:
            assert fields_in.get("cache-control") == "no-store", fields_in
        return status, answer

    def lines(self, event, mission=None):
        found = []
        for line in self.log_file.read_text().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if entry.get("event") == event and (mission is None or entry.get("mission") == mission):
                found.append(entry)
        return found


class AuthorizationServer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="mission-as-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        operator = h.Client("operator", cls.folder, audience="operator", missions="all", lifecycle=[
            "revoke", "suspend", "resume", "complete"], scopes=[
                "mission.write", "mission.read", "mission.scope", "mission_lifecycle", "mission_status"])
        client = h.Client("as", cls.folder, audience="https://as.example", missions="all",
                          scopes=["ssf.read", "ssf.manage", "mission_status", "mission.read"])
        cls.t = h.Transmitter(BUILD_DIR / "transmitter" / "mission-transmitter", cls.folder, [operator, client],
                              ssf=f"heartbeat_seconds = 1\nmax_stale_seconds = {MAX_STALE}\nredelivery_seconds = 1")
        cls.t.start()
        cls.addClassCleanup(lambda: cls.t.process.stop())
        cls.addClassCleanup(cls.t.http.close)
        cls.server = Server(cls.t, client).start()
        cls.addClassCleanup(lambda: cls.server.process.stop())
        cls.addClassCleanup(cls.server.http.close)

    def mission(self, seconds=3600, resources=(ERP, PAY), agent="agent-1"):
        status, m = self.t.create("operator", agent=agent, seconds=seconds,
                                  authorization_details=details(*resources))
        self.assertEqual(status, 201, m)
        return m["mission_id"]

    def operate(self, mission, operation, **members):
        status, claims = self.t.lifecycle("operator", mission, operation, **members)
        self.assertEqual(status, 200, claims)
        return claims["mission"]["version"]

    def begin(self, mission, client="agent-1", **more):
        return self.server.token({"grant_type": MISSION_GRANT, "mission_id": mission, **more}, client)

    def begun(self, mission, **more):
        status, answer = self.begin(mission, **more)
        self.assertEqual(status, 200, answer)
        return answer

    def refresh(self, token, client="agent-1", **more):
        return self.server.token({"grant_type": "refresh_token", "refresh_token": token, **more}, client)

    def exchange(self, token, client="agent-1", **more):
        return self.server.token({"grant_type": EXCHANGE, "subject_token": token,
                                  "subject_token_type": ACCESS_TOKEN, **more}, client)

    def claims(self, token):
        """Verified with the published key; header and claims."""
        keys = json.loads(self.server.http("GET", "/jwks.json")[2])["keys"]
        header = h.jwt_header(token)
        jwk = next(k for k in keys if k["kid"] == header["kid"])
        self.assertNotIn("d", jwk)
        public = ec.EllipticCurvePublicNumbers(
            int.from_bytes(h.unb64(jwk["x"]), "big"), int.from_bytes(h.unb64(jwk["y"]), "big"),
            ec.SECP256R1()).public_key()
        text, _, signature = token.rpartition(".")
        raw = h.unb64(signature)
        public.verify(utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")),
                      text.encode(), ec.ECDSA(hashes.SHA256()))
        return header, h.jwt_claims(token)

    def until_denied(self, token, why):
        """A refresh that is denied for this reason; until then the token at hand is the next one."""
        end = time.monotonic() + 15
        while time.monotonic() < end:
            status, answer = self.refresh(token)
            if status != 200:
                self.assertEqual((status, answer["error"], answer["error_description"]), (400, "invalid_grant", why))
                return answer, token
            token = answer["refresh_token"]
            time.sleep(0.01)
        self.fail(f"never denied as: {why}")

    # ------------------------------------------------------------------------------ what is given

    def test_tokens_are_bound_to_the_mission(self):
        mission = self.mission()
        answer = self.begun(mission)
        self.assertEqual(answer["token_type"], "Bearer")
        self.assertLessEqual(answer["expires_in"], 300)
        header, claims = self.claims(answer["access_token"])
        self.assertEqual((header["typ"], header["alg"]), ("at+jwt", "ES256"))
        self.assertEqual((claims["iss"], claims["sub"], claims["client_id"]), (self.server.url, "alice", "agent-1"))
        self.assertEqual(claims["aud"], [ERP, PAY])
        self.assertEqual(claims["authorization_details"], details(ERP, PAY))
        record = self.t.call("operator", "GET", f"/missions/{mission}", scope="mission.read")[1]
        self.assertEqual(claims["mission"], {
            "id": mission, "issuer": self.t.url, "authority_hash": record["authority_hash"], "version": 1,
            "expires_at": record["expires_at"]})
        self.assertEqual(claims["exp"], claims["iat"] + answer["expires_in"])
        one = self.begun(mission, resource=PAY)
        _, claims = self.claims(one["access_token"])
        self.assertEqual((claims["aud"], claims["authorization_details"]), (PAY, details(PAY)))
        self.assertEqual(self.begin(mission, resource="https://other.example")[1]["error"], "invalid_target")
        with self.assertRaises(InvalidSignature):
            self.claims(answer["access_token"].rpartition(".")[0] + "." + one["access_token"].rpartition(".")[2])

    def test_no_token_outlives_the_mission(self):
        mission = self.mission(seconds=4)
        answer = self.begun(mission)
        record = self.t.call("operator", "GET", f"/missions/{mission}", scope="mission.read")[1]
        ends = datetime.datetime.fromisoformat(record["expires_at"].replace("Z", "+00:00")).timestamp()
        self.assertLessEqual(self.claims(answer["access_token"])[1]["exp"], ends)
        answer, _ = self.until_denied(answer["refresh_token"], "mission expired")
        self.assertEqual(answer["mission_error"], "mission_expired")

    # ------------------------------------------------------------------------------ what is denied

    def test_an_ended_mission_gives_nothing_and_its_refresh_tokens_are_destroyed(self):
        for operation, state in (("revoke", "revoked"), ("complete", "completed")):
            with self.subTest(operation):
                mission = self.mission()
                answer = self.begun(mission)
                version = self.operate(mission, operation)
                denied, token = self.until_denied(answer["refresh_token"], f"mission {state}")
                self.assertEqual(denied.get("mission_error"), "mission_revoked" if state == "revoked" else None)
                self.assertEqual(set(denied) - {"mission_error"}, {"error", "error_description"})
                h.wait_for(lambda m=mission: self.server.lines("teardown", m), why="the teardown")
                torn = self.server.lines("teardown", mission)[-1]
                self.assertEqual((torn["version"], torn["outcome"]), (version, "destroyed"))
                self.assertEqual(self.begin(mission)[1]["error_description"], f"mission {state}")
                self.assertEqual(self.exchange(answer["access_token"])[1]["error_description"], f"mission {state}")
                last = self.server.lines("decision", mission)[-1]
                self.assertEqual((last["decision"], last["version"], last["reason"], last["action"]),
                                 ("refuse", version, f"mission {state}", "token.exchange"))
                self.assertTrue(last["time"])
                permits = [d for d in self.server.lines("decision", mission) if d["decision"] == "permit"]
                self.assertTrue(all(d["version"] == 1 and d["token"] for d in permits), permits)

    def test_a_successor_supersedes_what_the_predecessor_gave(self):
        mission = self.mission()
        answer = self.begun(mission)
        status, successor = self.t.create("operator", predecessor=mission, authorization_details=details(ERP))
        self.assertEqual(status, 201, successor)
        denied, _ = self.until_denied(answer["refresh_token"], "mission superseded by another one")
        self.assertEqual(denied["mission_error"], "mission_superseded")

    def test_a_suspended_mission_gives_nothing_until_it_is_resumed(self):
        mission = self.mission()
        answer = self.begun(mission)
        self.operate(mission, "suspend")
        _, token = self.until_denied(answer["refresh_token"], "mission suspended")
        self.operate(mission, "resume")
        # The denial has not used it up.
        self.assertEqual(h.wait_for(lambda: (lambda r: r if r[0] == 200 else None)(self.refresh(token)))[0], 200)

    def test_unknown_missions_and_those_of_others_are_one_answer(self):
        others = self.mission(agent="agent-2")
        ended = self.mission(agent="agent-2")
        self.operate(ended, "revoke")
        for mission in (others, ended, "mis_nobody_has_ever_heard_of_it", "short", "", "../../admin/streams\r\nX: y"):
            with self.subTest(mission):
                self.assertEqual(self.begin(mission), (400, NOT_YOURS))
        token = self.begin(others, client="agent-2")[1]
        not_good = {"error": "invalid_grant", "error_description": "the refresh token is not good"}
        self.assertEqual(self.refresh(token["refresh_token"]), (400, not_good))
        self.assertEqual(self.refresh("nonsense"), (400, not_good))
        self.assertEqual(self.exchange(token["access_token"])[1]["error"], "invalid_request")
        # A stranger's try has not used it up.
        self.assertEqual(self.refresh(token["refresh_token"], client="agent-2")[0], 200)

    def test_while_nobody_can_know_nothing_is_derived(self):
        mission = self.mission()
        answer = self.begun(mission)
        self.t.process.pause()
        try:
            denied, token = self.until_denied(answer["refresh_token"],
                                              "state is stale: no word from the transmitter in time")
            self.assertNotIn("mission_error", denied)
        finally:
            self.t.process.p.send_signal(signal.SIGCONT)
        h.wait_for(lambda: self.refresh(token)[0] == 200, why="the refresh after the silence")

    # ------------------------------------------------------------------------------ refresh tokens

    def test_a_refresh_token_is_good_once_and_its_copy_ends_the_grant(self):
        mission = self.mission()
        first = self.begun(mission)["refresh_token"]
        status, answer = self.refresh(first)
        self.assertEqual(status, 200, answer)
        self.assertNotEqual(answer["refresh_token"], first)
        self.claims(answer["access_token"])
        denied = (400, {"error": "invalid_grant", "error_description": "a refresh token was used twice"})
        self.assertEqual(self.refresh(first), denied)
        self.assertEqual(self.refresh(answer["refresh_token"]), denied)
        # The mission is as it was.
        self.begun(mission)

    def test_of_many_at_once_one_gets_the_next_token(self):
        token, out = self.begun(self.mission())["refresh_token"], []

        def ask():
            http = h.Http(self.server.port, self.t.ca)
            out.append(self.server.token({"grant_type": "refresh_token", "refresh_token": token}, http=http)[0])
            http.close()
        threads = [threading.Thread(target=ask) for _ in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(sorted(out), [200] + [400] * 7)

    def test_a_narrowing_is_in_the_next_token_and_in_what_is_exchanged(self):
        mission = self.mission()
        answer = self.begun(mission)
        narrowed = details(ERP, actions=("read",))
        status, body = self.t.call("operator", "POST", f"/missions/{mission}/scope", {
            "change": "narrowed", "authorization_details": narrowed, "reason": "test",
            "approver": {"iss": "https://idp.example", "sub": "alice"}}, scope="mission.scope")
        self.assertEqual(status, 200, body)

        def in_force():
            got = self.refresh(self.token_now)
            self.assertEqual(got[0], 200, got)
            self.token_now = got[1]["refresh_token"]
            claims = self.claims(got[1]["access_token"])[1]
            return claims if claims["mission"]["version"] == 2 else None
        self.token_now = answer["refresh_token"]
        claims = h.wait_for(in_force, why="the narrowed token")
        self.assertEqual((claims["aud"], claims["authorization_details"]), (ERP, narrowed))
        # The older token had more: what of it is still in force, and no more.
        status, exchanged = self.exchange(answer["access_token"])
        self.assertEqual(status, 200, exchanged)
        self.assertEqual(self.claims(exchanged["access_token"])[1]["authorization_details"], narrowed)
        self.assertEqual(self.exchange(answer["access_token"], resource=PAY)[1]["error"], "invalid_target")

    def test_an_exchange_narrows_and_never_lengthens(self):
        answer = self.begun(self.mission())
        subject = self.claims(answer["access_token"])[1]
        status, narrow = self.exchange(answer["access_token"], resource=PAY)
        self.assertEqual((status, narrow["issued_token_type"]), (200, ACCESS_TOKEN), narrow)
        claims = self.claims(narrow["access_token"])[1]
        self.assertEqual((claims["aud"], claims["authorization_details"]), (PAY, details(PAY)))
        self.assertLessEqual(claims["exp"], subject["exp"])
        self.assertEqual(claims["mission"], subject["mission"])
        self.assertNotIn("refresh_token", narrow)
        self.assertEqual(self.exchange(narrow["access_token"], resource=ERP)[1]["error"], "invalid_target")
        forged = h.Key().jwt({**subject, "mission": {**subject["mission"]}}, typ="at+jwt",
                             header={"kid": self.claims(answer["access_token"])[0]["kid"]})
        for token in (forged, "a.b.c", "", answer["refresh_token"]):
            self.assertEqual(self.exchange(token)[1]["error"], "invalid_request")
        for more in ({"actor_token": "x"}, {"requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"}):
            self.assertEqual(self.exchange(answer["access_token"], **more)[1]["error"], "invalid_request")

    def test_a_restart_forgets_neither_a_token_nor_an_end(self):
        alive, dead, used = self.mission(), self.mission(), self.mission()
        alive_token, dead_token = self.begun(alive)["refresh_token"], self.begun(dead)["refresh_token"]
        used_token = self.begun(used)["refresh_token"]
        self.assertEqual(self.refresh(used_token)[0], 200)
        self.assertNotIn(alive_token, (self.folder / "refresh.jsonl").read_text())
        self.server.process.kill()
        self.server.http.close()
        self.operate(dead, "revoke")
        self.server.start()
        h.wait_for(lambda: self.server.lines("teardown", dead), why="the end that was missed")
        self.assertEqual(self.refresh(dead_token)[1]["error_description"], "mission revoked")
        status, answer = h.wait_for(lambda: (lambda r: r if r[0] == 200 else None)(self.refresh(alive_token)))
        self.assertEqual(self.refresh(used_token)[1]["error_description"], "a refresh token was used twice")
        # And once more, on what the first restart has written.
        self.server.process.stop()
        self.server.http.close()
        self.server.start()
        self.assertEqual(self.refresh(dead_token)[1]["error_description"], "mission revoked")
        h.wait_for(lambda: self.refresh(answer["refresh_token"])[0] == 200, why="the next token")

    # ------------------------------------------------------------------------------------- doors

    def test_doors(self):
        mission = self.mission()
        good = {"grant_type": MISSION_GRANT, "mission_id": mission}
        for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Basic !!!"},
                        {"Authorization": "Basic " + base64.b64encode(b"agent-1:wrong").decode()},
                        {"Authorization": "Basic " + base64.b64encode(b"nobody:").decode()}):
            status, answer = self.server.token(good, headers=headers)
            self.assertEqual((status, answer["error"]), (401, "invalid_client"), headers)
        in_form = {**good, "client_id": "agent-1", "client_secret": self.server.secrets["agent-1"]}
        self.assertEqual(self.server.token(in_form, headers={})[0], 200)
        self.assertEqual(self.server.token(in_form)[0], 401)  # Basic and the form at once
        self.assertEqual(self.server.token({**good, "mission_id": [mission, "x" * 22]})[1]["error"], "invalid_request")
        self.assertEqual(self.server.token(good, path="/token?x=y")[1]["error"], "invalid_request")
        self.assertEqual(self.server.token({"mission_id": mission})[1]["error"], "invalid_request")
        for kind in ("client_credentials", "password", "x"):
            self.assertEqual(self.server.token({**good, "grant_type": kind})[1]["error"], "unsupported_grant_type")
        self.assertEqual(self.server.http("GET", "/token")[0], 404)
        metadata = json.loads(self.server.http("GET", "/.well-known/oauth-authorization-server")[2])
        self.assertEqual((metadata["issuer"], metadata["token_endpoint"]),
                         (self.server.url, self.server.url + "/token"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--build-dir", type=pathlib.Path, default=BUILD_DIR)
    options, rest = parser.parse_known_args()
    BUILD_DIR = options.build_dir.resolve()
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)
