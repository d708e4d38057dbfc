"""The programs of the run: configured in a directory of their own, started, restarted, stopped by
the ids they were started with."""

import contextlib
import ctypes
import json
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import time

from certificates import Authority, ClientKey
from database import GROUP, Database, NoDatabase
from probe import Https, children_of, process_state

PR_SET_CHILD_SUBREAPER = 36
MISSIONS = pathlib.Path(__file__).resolve().parent.parent / "missions"
PORTS = ("transmitter", "admin", "vault", "resource_server", "pam_broker", "push", "orchestrator",
         "authorization_server")
# client id -> audience, as the missions' authorization_details name it
SUBSCRIBERS = {
    "resource_server": "https://erp.example",
    "pam_broker": "https://pam.example",
    "orchestrator": "https://agents.example",
}


# Follows every mission, whatever its authority names: it gives tokens for all of them.
TOKENS = "authorization_server"
# Agents that ask it for tokens, as the missions name them.
AGENTS = ("finance-agent", "finance-sub-agent")


class StartFailed(RuntimeError):
    pass


def free_ports(names):
    """Ports that are free now, all different: the sockets are open at the same time."""
    with contextlib.ExitStack() as stack:
        ports = {}
        for name in names:
            s = stack.enter_context(socket.socket())
            s.bind(("127.0.0.1", 0))
            ports[name] = s.getsockname()[1]
        return ports


class World:
    def __init__(self, build_dir: pathlib.Path, directory: pathlib.Path):
        # Agents whose orchestrator was killed become ours, and are reaped at the end.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.build_dir, self.directory = build_dir, directory
        self.ports = free_ports(PORTS)
        self.issuer = f"https://localhost:{self.ports['transmitter']}"
        self.authority = Authority(directory)
        self.keys = {name: ClientKey(directory, name)
                     for name in ("operator", *SUBSCRIBERS, TOKENS)}
        self.tokens = {}
        for name in ("agent", "vault-admin", "push"):
            self.tokens[name] = secrets.token_hex(32)
            self._private(f"{name}.token", self.tokens[name])
        self.agent_secrets = {name: secrets.token_urlsafe(24) for name in AGENTS}
        self._private("clients.json", json.dumps({"clients": [
            {"client_id": n, "client_secret": s} for n, s in self.agent_secrets.items()]}))
        self.missionctl_config = directory / "missionctl.toml"
        self.processes = {}
        self.database, self.no_database = None, ""
        self._write_configurations()

    # -- files ------------------------------------------------------------------------------------

    def _private(self, name: str, text: str):
        path = self.directory / name
        path.touch(mode=0o600)
        path.write_text(text + "\n")

    def _write_configurations(self):
        d = self.directory
        text = f"""\
listen = "127.0.0.1:{self.ports['transmitter']}"
[[issuer]]
url = "{self.issuer}"
[tls]
certificate = "{self.authority.certificate_file}"
private_key = "{self.authority.key_file}"
[admin]
listen = "127.0.0.1:{self.ports['admin']}"
[store]
url = "sqlite:{d}/transmitter.db"
[signing]
directory = "{d}/signing"
[secrets]
key = {{ file = "{d}/secret.key" }}
[ssf]
heartbeat_seconds = 1
max_stale_seconds = 3
redelivery_seconds = 1
[push]
ca_file = "{self.authority.ca_file}"
allow = ["127.0.0.0/8", "::1/128"]
[[client]]
id = "operator"
audience = "operator"
jwks = {{ file = "{self.keys['operator'].jwks_file}" }}
scopes = ["mission.write", "mission.read", "mission.scope", "mission_lifecycle", "mission_status", "ssf.admin"]
lifecycle = ["revoke", "suspend", "resume", "complete"]
missions = "all"
"""
        for name, audience in SUBSCRIBERS.items():
            text += f"""\
[[client]]
id = "{name}"
audience = "{audience}"
jwks = {{ file = "{self.keys[name].jwks_file}" }}
scopes = ["ssf.read", "ssf.manage", "mission_status", "mission.read"]
disclose = ["reason"]
"""
        text += f"""\
[[client]]
id = "{TOKENS}"
audience = "https://as.example"
jwks = {{ file = "{self.keys[TOKENS].jwks_file}" }}
scopes = ["ssf.read", "ssf.manage", "mission_status", "mission.read"]
missions = "all"
[[report_rule]]
name = "work-done"
kind = "completed"
client = ["orchestrator"]
action = "complete"
"""
        (d / "transmitter.toml").write_text(text)
        self.missionctl_config.write_text(f"""\
server = "{self.issuer}"
client_id = "operator"
private_key = "{self.keys['operator'].pem_file}"
ca_file = "{self.authority.ca_file}"
""")

    def url(self, name: str) -> str:
        return f"https://localhost:{self.ports[name]}"

    def program(self, name: str) -> str:
        folder = {"mission-transmitter": "transmitter", "missionctl": "tools"}.get(name, "samples")
        path = self.build_dir / folder / name
        if not path.exists():
            raise StartFailed(f"{path} is not there: ./dev build")
        return str(path)

    # -- processes ----------------------------------------------------------------------------

    def _arguments(self, name: str) -> list[str]:
        d = self.directory
        if name == "transmitter":
            return [self.program("mission-transmitter"), "serve", "--config",
                    str(d / "transmitter.toml")]
        listen = ["--port", str(self.ports[name]),
                  "--certificate", str(self.authority.certificate_file),
                  "--certificate-key", str(self.authority.key_file)]
        if name == "vault":
            return [self.program(name), *listen,
                    "--admin-token-file", str(d / "vault-admin.token")]
        arguments = [self.program(name), *listen, "--token-file", str(d / "agent.token"),
                     *self._receiver_of(name, SUBSCRIBERS.get(name, ""))]
        if name == "pam_broker":
            arguments += ["--vault", self.url("vault"),
                          "--vault-token-file", str(d / "vault-admin.token"),
                          "--push-port", str(self.ports["push"]),
                          "--push-authorization-file", str(d / "push.token")]
            if self.database is not None:
                arguments += ["--postgres", self.database.connection(),
                              "--postgres-password-file", str(d / "warden.password"),
                              "--postgres-group", GROUP]
        if name == TOKENS:
            arguments = [self.program(name), *listen, *self._receiver_of(name, "https://as.example"),
                         "--url", self.url(name), "--clients", str(d / "clients.json"),
                         "--signing-key", str(d / "access-token.key"),
                         "--refresh-tokens", str(d / "refresh-tokens.jsonl")]
        if name == "orchestrator":
            arguments += ["--reports", "--queue", str(d / "work.jsonl"), "--agent-output", str(d), "--", self.program("agent"),
                          "--resource-server", self.url("resource_server"),
                          "--broker", self.url("pam_broker"), "--vault", self.url("vault"),
                          "--ca-file", str(self.authority.ca_file),
                          "--token-file", str(d / "agent.token")]
        return arguments

    def _receiver_of(self, name: str, audience: str) -> list[str]:
        return ["--issuer", self.issuer, "--ca-file", str(self.authority.ca_file),
                "--client-id", name, "--private-key", str(self.keys[name].pem_file),
                "--audience", audience, "--state", str(self.directory / f"{name}.db")]

    def start(self, name: str) -> subprocess.Popen:
        command = self._arguments(name)
        # Should this driver be killed, its children go as well. (The agents are the orchestrator's:
        # they outlive it by design.)
        if setpriv := shutil.which("setpriv"):
            command = [setpriv, "--pdeathsig", "KILL", *command]
        with open(self.directory / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self.directory, start_new_session=True,
            )
        return self.processes[name]

    def kill(self, name: str, number: int):
        self.processes[name].send_signal(number)
        if number == signal.SIGKILL:
            self.processes[name].wait()

    def wait_ready(self, name: str, path: str, seconds: float = 30, want=(200,)):
        http = Https(self.authority.ca_file, self.ports[name], timeout=5)
        deadline = time.monotonic() + seconds
        last = "no answer"
        while time.monotonic() < deadline:
            if (status := self.processes[name].poll()) is not None:
                raise StartFailed(f"{name} ended with {status}: {self.last_lines(name)}")
            try:
                status, body = http.json("GET", path)
                if status in want:
                    http.close()
                    return
                last = f"{status} {body}"
            except OSError as e:
                last = str(e)
            time.sleep(0.01)
        raise StartFailed(f"{name} is not ready ({last}): {self.last_lines(name)}")

    def last_lines(self, name: str, count: int = 5) -> str:
        with open(self.directory / f"{name}.log", errors="replace") as f:
            return " | ".join(f.read().splitlines()[-count:])

    def log_objects(self, file_name: str) -> list[dict]:
        found = []
        with contextlib.suppress(OSError), open(self.directory / file_name, errors="replace") as f:
            for line in f:
                with contextlib.suppress(ValueError):
                    found.append(json.loads(line))
        return found

    def _try_database(self, step):
        """Without PostgreSQL the run goes on, and says why."""
        try:
            return step()
        except (NoDatabase, OSError, subprocess.SubprocessError) as e:
            self.no_database = str(e)
            if self.database is not None:
                self.database.stop()
            self.database = None

    def start_all(self):
        self.database = self._try_database(lambda: Database(self.directory))
        self.start("transmitter")
        self.start("vault")
        self.wait_ready("transmitter", "/.well-known/ssf-configuration")
        if self.database is not None:
            self._try_database(self.database.start)
        if self.database is not None:
            self._private("warden.password", self.database.passwords["warden"])
        for name in SUBSCRIBERS:
            self.start(name)
        self.wait_ready("vault", "/healthz")
        for name in SUBSCRIBERS:
            self.wait_ready(name, "/healthz")

    def start_tokens(self):
        self.start(TOKENS)
        self.wait_ready(TOKENS, "/healthz")

    def stop_all(self):
        """Each program by its id, two steps; then whoever became ours when its parent ended."""
        running = [p for p in self.processes.values() if p.poll() is None]
        for p in running:
            p.send_signal(signal.SIGCONT)
        # The orchestrator before its agents: it would otherwise see them go, and say so.
        for p in running:
            p.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 8
        for p in running:
            try:
                p.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        if self.database is not None:
            self.database.stop()
        for _ in range(100):
            orphans = children_of(os.getpid())
            if not orphans:
                return
            for pid in orphans:
                if process_state(pid) != "Z":
                    os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
