"""The operator of the run: what the transmitter is asked, and what it has accepted."""

import base64
import json
import secrets
import subprocess
import time
import urllib.parse

from certificates import ClientKey
from probe import Https

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Refused(RuntimeError):
    pass


class Operator:
    def __init__(self, world, key: ClientKey):
        self.world, self.key = world, key
        self.http = Https(world.authority.ca_file, world.ports["transmitter"])
        self.accepted = []  # (mission, version) of every operation that was answered with success
        self.token = None

    # -- through missionctl, as a person would ------------------------------------------------

    def shown(self, *arguments) -> str:
        """What missionctl prints."""
        done = subprocess.run(
            [self.world.program("missionctl"), "--config", self.world.missionctl_config,
             *map(str, arguments)],
            capture_output=True, text=True, timeout=30,
        )
        if done.returncode != 0:
            raise Refused(f"missionctl {' '.join(map(str, arguments))}: {done.stderr.strip()}")
        return done.stdout

    def missionctl(self, *arguments) -> dict | list:
        return json.loads(self.shown("--json", *arguments))

    def create(self, file) -> str:
        mission = self.missionctl("mission", "create", file, "--expires-in", "8h")
        self.accepted.append((mission["mission_id"], mission["version"]))
        return mission["mission_id"]

    # -- directly, on a warm connection: the time runs from the octets of the request -------------

    def _assertion(self, audience: str) -> str:
        now = int(time.time())
        return self.key.sign({
            "iss": "operator", "sub": "operator", "aud": audience, "iat": now, "exp": now + 60,
            "jti": secrets.token_urlsafe(16),
        })

    def _form(self, path: str, fields: dict):
        """(status, octets, moment of sending)"""
        fields = fields | {
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self._assertion(self.world.issuer + path),
        }
        body = urllib.parse.urlencode(fields)
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        status, octets = self.http.request("POST", path, body, headers)
        return status, octets, self.http.sent_ns

    def warm_up(self):
        """A token and an open connection, so that no handshake is in the times."""
        self.token = self.token_for("mission.scope mission.write")

    def token_for(self, scope: str) -> str:
        status, octets, _ = self._form(
            "/oauth/token", {"grant_type": "client_credentials", "scope": scope}
        )
        if status != 200:
            raise Refused(f"token endpoint: {status} {octets[:200]!r}")
        return json.loads(octets)["access_token"]

    def lifecycle(self, mission: str, operation: str, reason: str):
        """(version, moment of sending)"""
        status, octets, sent = self._form("/mission/lifecycle", {
            "mission_id": mission, "operation": operation, "reason": reason,
            "nonce": secrets.token_urlsafe(24),
        })
        if status != 200:
            raise Refused(f"{operation}: {status} {octets[:200]!r}")
        part = octets.decode().split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        version = claims["mission"]["version"]
        self.accepted.append((mission, version))
        return version, sent

    def scope(self, mission: str, request: dict):
        status, body = self.http.json(
            "POST", f"/missions/{mission}/scope", request,
            {"Authorization": f"Bearer {self.token}"},
        )
        if status != 200:
            raise Refused(f"scope: {status} {body}")
        self.accepted.append((mission, body["version"]))
        return body["version"], self.http.sent_ns
