"""docs/recipes: the entries of each page, as they stand there, against doubles that answer as the systems' documentation
says. Every request is compared; each ending is run twice, for a task may be.
"""
import json
import os
import pathlib
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from harness import make_ca  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD_DIR = pathlib.Path("build/test")
MISSION = "mission-0123456789abcdef01"
HEADERS = ("authorization", "x-vault-token", "content-type", "x-reason")


class Double:
    """HTTPS on localhost; `answer(method, path, query, body)` -> (status, body). Keeps what it was asked."""

    def __init__(self, folder):
        self.asked, self.answer = [], None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version, disable_nagle_algorithm = "HTTP/1.1", True

            def handle_any(self):
                size = int(self.headers.get("content-length") or 0)
                text = self.rfile.read(size).decode()
                at = urlsplit(self.path)
                body = json.loads(text) if text else None
                outer.asked.append({"request": f"{self.command} {self.path}", "body": body,
                                    "key": self.headers.get("idempotency-key"),
                                    **{h: self.headers[h] for h in HEADERS if h in self.headers}})
                status, out = outer.answer(self.command, unquote(at.path), at.query, body)
                data = b"" if out is None else json.dumps(out).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

            def log_message(self, *_):
                pass
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://localhost:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Recipe(unittest.TestCase):
    page = ""

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="recipes-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        make_ca(cls.folder)
        cls.text = (ROOT / "docs" / "recipes" / cls.page).read_text()
        cls.double = Double(cls.folder)
        cls.addClassCleanup(cls.double.stop)
        (cls.folder / "bin").mkdir()
        cls.config = cls.folder / "receiver.toml"
        toml = re.sub(r"https://[a-z.]+\.(?:example|svc)(?::\d+)?", cls.double.url, cls.block("toml"))
        toml = re.sub(r'"(/(?:etc|run|var/run|usr/local/lib)/[^"]*)"', cls.local, toml)
        # A double settles at once: nobody has to wait for the pace that a real system needs.
        toml = re.sub(r"look_again_seconds = [0-9.]+", "look_again_seconds = 0.02", toml)
        cls.config.write_text('issuer = "https://t.example"\n[auth]\ntoken = "x"\n' + toml)

    @classmethod
    def block(cls, kind):
        blocks = re.findall(rf"^```{kind}\n(.*?)^```$", cls.text, re.S | re.M)
        assert len(blocks) == 1, (cls.page, kind, len(blocks))
        return blocks[0]

    @classmethod
    def local(cls, match):
        """A file of the page, made here: the CA, a secret, or the page's own script."""
        name = pathlib.Path(match[1]).name
        if name in ("ca.pem", "ca.crt"):
            return f'"{cls.folder}/ca.pem"'
        file = cls.folder / name
        if match[1].startswith("/usr/local/lib"):
            file.write_text(cls.block("sh"))
            file.chmod(0o700)
        else:
            file.write_text(f"the {name}\n" if "password" in name else f"the-{name}\n")
        return f'"{file}"'

    def run_it(self, handler, effect, name="agent-7", data=""):
        self.double.asked.clear()
        done = subprocess.run([BUILD_DIR / "receiver/program/mission-receiver", "teardown", "run", "--config", self.config,
                               "--handler", handler, "--mission", MISSION, "--name", name, "--effect", effect, "--key", "k-1",
                               *(["--data", data] if data else [])], capture_output=True, text=True, timeout=60,
                              env={**os.environ, "PATH": f"{self.folder}/bin:{os.environ['PATH']}"})
        self.assertTrue(done.stdout, done.stderr)
        said = json.loads(done.stdout)
        self.assertNotIn("the-", said["evidence"])
        return said["outcome"], said["evidence"]

    def done(self, *args, **more):
        outcome, evidence = self.run_it(*args, **more)
        self.assertEqual(outcome, "acknowledged", evidence)
        return evidence

    def asked(self, *expected):
        """Each: (request, body, headers); looks have no key, everything else has."""
        want = []
        for request, body, headers, *look in expected:
            typed = {"content-type": "application/json"} if body is not None else {}
            want.append({"request": request, "body": body, "key": None if look else "k-1", **typed, **headers})
        self.maxDiff = None
        self.assertEqual(self.double.asked, want)


LOOK = "look"


class Vault(Recipe):
    page = "vault.md"
    TOKEN = {"x-vault-token": "the-vault-token"}

    def setUp(self):
        self.leases, self.accessors = {"database/creds/agent/1", "database/creds/agent/2"}, {"acc-1"}
        self.double.answer = self.vault

    def vault(self, method, path, query, body):
        """Vault 1.x: /sys/leases and /auth/token."""
        if (method, path) == ("PUT", "/v1/sys/leases/revoke"):
            if body["lease_id"] not in self.leases:
                return 204, None  # revoking what is not there is no error
            self.leases.discard(body["lease_id"])
            return 204, None
        if (method, path) == ("PUT", "/v1/sys/leases/lookup"):
            if body["lease_id"] in self.leases:
                return 200, {"data": {"id": body["lease_id"], "ttl": 3558}}
            return 400, {"errors": ["invalid lease"]}
        if method == "PUT" and path.startswith("/v1/sys/leases/revoke-prefix/"):
            prefix = path.removeprefix("/v1/sys/leases/revoke-prefix/")
            self.leases = {x for x in self.leases if not x.startswith(prefix)}
            return 204, None
        if method == "GET" and path.startswith("/v1/sys/leases/lookup/") and query == "list=true":
            prefix = path.removeprefix("/v1/sys/leases/lookup/")
            keys = [x.removeprefix(prefix) for x in sorted(self.leases) if x.startswith(prefix)]
            return (200, {"data": {"keys": keys}}) if keys else (404, {"errors": []})
        if (method, path) == ("POST", "/v1/auth/token/revoke-accessor"):
            if body["accessor"] not in self.accessors:
                return 400, {"errors": ["invalid accessor"]}
            self.accessors.discard(body["accessor"])
            return 204, None
        if (method, path) == ("POST", "/v1/auth/token/lookup-accessor"):
            if body["accessor"] in self.accessors:
                return 200, {"data": {"accessor": body["accessor"]}}
            return 403, {"errors": ["invalid accessor"]}
        return 404, {"errors": []}

    def test_a_lease_is_revoked_and_looked_up(self):
        lease = "database/creds/agent/1"
        for _ in range(2):
            evidence = self.done("vault-lease", "revoked", data=lease)
            self.asked(("PUT /v1/sys/leases/revoke", {"lease_id": lease, "sync": True}, self.TOKEN),
                       ("PUT /v1/sys/leases/lookup", {"lease_id": lease}, self.TOKEN, LOOK))
            self.assertIn('400, /errors/0 = "invalid lease"', evidence)
        self.assertEqual(self.leases, {"database/creds/agent/2"})

    def test_everything_below_a_prefix_is_revoked(self):
        for _ in range(2):
            self.done("vault-prefix", "completed", data="database/creds/agent/")
            self.asked(("PUT /v1/sys/leases/revoke-prefix/database/creds/agent/", {"sync": True}, self.TOKEN),
                       ("GET /v1/sys/leases/lookup/database/creds/agent/?list=true", None, self.TOKEN, LOOK))
        self.assertEqual(self.leases, set())

    def test_a_prefix_stays_below_its_path(self):
        for hostile in ("../auth/token/create", "a//b", "a/../..", "/etc"):
            self.assertEqual(self.run_it("vault-prefix", "completed", data=hostile)[0], "failed")
            self.asked()

    def test_a_token_is_revoked_by_its_accessor(self):
        for _ in range(2):
            evidence = self.done("vault-token", "revoked", data="acc-1")
            self.asked(("POST /v1/auth/token/revoke-accessor", {"accessor": "acc-1"}, self.TOKEN),
                       ("POST /v1/auth/token/lookup-accessor", {"accessor": "acc-1"}, self.TOKEN, LOOK))
            self.assertIn('403, /errors/0 = "invalid accessor"', evidence)


class Kubernetes(Recipe):
    page = "kubernetes.md"
    JOB = "/apis/batch/v1/namespaces/agents/jobs/agent-7"
    PODS = ("/api/v1/namespaces/agents/pods?labelSelector=batch.kubernetes.io/job-name%3Dagent-7"
            "&fieldSelector=status.phase%21%3DSucceeded,status.phase%21%3DFailed")
    TOKEN = {"authorization": "Bearer the-token"}

    def setUp(self):
        self.job, self.pods, self.deleted = {"spec": {"suspend": False}}, 2, False
        self.double.answer = self.kubernetes

    def kubernetes(self, method, path, query, body):
        """Jobs of batch/v1: pods go one by one, and the job after the last."""
        if path == "/api/v1/namespaces/agents/pods" and method == "GET":
            if self.job["spec"]["suspend"]:
                self.pods = max(self.pods - 1, 0)
            return 200, {"kind": "PodList", "items": [{"kind": "Pod"}] * self.pods}
        if path != self.JOB:
            return 404, {"kind": "Status", "reason": "NotFound"}
        if self.deleted:
            self.pods = max(self.pods - 1, 0)
            if self.pods == 0:
                return 404, {"kind": "Status", "reason": "NotFound"}
        if method == "PATCH":
            self.job["spec"].update(body["spec"])
        if method == "DELETE":
            self.deleted = body["propagationPolicy"] == "Foreground"
        return 200, self.job

    def patch(self, suspend):
        return (f"PATCH {self.JOB}", {"spec": {"suspend": suspend}},
                {**self.TOKEN, "content-type": "application/merge-patch+json"})

    def test_a_job_is_suspended_until_no_pod_is_left(self):
        evidence = self.done("job", "suspended")
        look = (f"GET {self.PODS}", None, self.TOKEN, LOOK)
        self.asked(self.patch(True), look, look)
        self.assertIn("/items = [], at look 2", evidence)
        self.done("job", "resumed")
        self.asked(self.patch(False))
        self.assertFalse(self.job["spec"]["suspend"])

    def test_a_job_is_deleted_with_its_pods(self):
        options = {"apiVersion": "meta.k8s.io/v1", "kind": "DeleteOptions", "propagationPolicy": "Foreground"}
        look = (f"GET {self.JOB}", None, self.TOKEN, LOOK)
        evidence = self.done("job", "revoked")
        self.asked((f"DELETE {self.JOB}", options, self.TOKEN), look, look)
        self.assertIn("404, at look 2", evidence)
        self.done("job", "revoked")
        self.asked((f"DELETE {self.JOB}", options, self.TOKEN), look)


class Temporal(Recipe):
    page = "temporal.md"
    FLOW = "/api/v1/namespaces/agents/workflows/agent-7"
    TOKEN = {"authorization": "Bearer the-temporal-token"}

    def setUp(self):
        self.state, self.signals = "RUNNING", []
        self.double.answer = self.temporal

    def temporal(self, method, path, query, body):
        """WorkflowService over HTTP: what has closed cannot be terminated."""
        if method == "GET" and path == self.FLOW:
            return 200, {"workflowExecutionInfo": {"status": "WORKFLOW_EXECUTION_STATUS_" + self.state}}
        if method != "POST" or self.state != "RUNNING":
            return 404, {"code": 5, "message": "workflow execution already completed"}
        if path == self.FLOW + "/terminate":
            self.state = "TERMINATED"
        elif path.startswith(self.FLOW + "/signal/"):
            self.signals.append(path.rsplit("/", 1)[1])
        return 200, {}

    def test_a_workflow_is_signalled_and_terminated(self):
        self.done("workflow", "suspended")
        self.asked((f"POST {self.FLOW}/signal/mission-suspended", {"requestId": "k-1"}, self.TOKEN))
        self.done("workflow", "resumed")
        self.assertEqual(self.signals, ["mission-suspended", "mission-resumed"])
        for _ in range(2):
            evidence = self.done("workflow", "expired")
            self.asked((f"POST {self.FLOW}/terminate", {"reason": f"mission {MISSION} expired", "identity": "mission-receiver"},
                        self.TOKEN), (f"GET {self.FLOW}", None, self.TOKEN, LOOK))
            self.assertIn('status is not "WORKFLOW_EXECUTION_STATUS_RUNNING"', evidence)

    def test_one_that_has_completed_by_itself_is_done(self):
        self.state = "COMPLETED"
        self.done("workflow", "revoked")


class Argo(Recipe):
    page = "argo-workflows.md"
    FLOW = "/api/v1/workflows/agents/agent-7"
    TOKEN = {"authorization": "Bearer the-argo-token"}

    def setUp(self):
        self.does, self.looks = [], 0
        self.double.answer = self.argo

    def argo(self, method, path, query, body):
        if method == "PUT" and path.startswith(self.FLOW + "/"):
            self.does.append(path.rsplit("/", 1)[1])
            return 200, {"metadata": {"name": "agent-7"}}
        if method == "GET" and path == self.FLOW:
            self.looks += 1
            labels = {"workflows.argoproj.io/phase": "Running" if self.looks < 3 else "Failed"}
            if self.looks >= 3:
                labels["workflows.argoproj.io/completed"] = "true"
            return 200, {"metadata": {"name": "agent-7", "labels": labels}}
        return 404, {"code": 5, "message": "not found"}

    def test_a_workflow_is_suspended_resumed_and_terminated(self):
        named = {"namespace": "agents", "name": "agent-7"}
        for effect, verb in (("suspended", "suspend"), ("resumed", "resume")):
            self.done("argo", effect)
            self.asked((f"PUT {self.FLOW}/{verb}", named, self.TOKEN))
        evidence = self.done("argo", "revoked")
        look = (f"GET {self.FLOW}", None, self.TOKEN, LOOK)
        self.asked((f"PUT {self.FLOW}/terminate", named, self.TOKEN), look, look, look)
        self.assertIn('completed = "true", at look 3', evidence)
        self.done("argo", "revoked")
        self.assertEqual(self.does, ["suspend", "resume", "terminate", "terminate"])


class Restate(Recipe):
    page = "restate.md"
    TOKEN = {"authorization": "Bearer the-restate-token"}

    def setUp(self):
        self.running = {"inv_1": 2}
        self.double.answer = self.restate

    def restate(self, method, path, query, body):
        _, _, invocation, verb = path.split("/")
        if invocation not in self.running:
            return 404, {"message": "not found"}
        if self.running[invocation] == 0:
            return 409, {"message": "The invocation was already completed", "restate_code": "META0010"}
        if verb == "kill":
            self.running[invocation] -= 1
            return 200, None
        return 202, None

    def test_an_invocation_is_cancelled_and_killed_until_there_is_none(self):
        self.done("restate", "suspended", data="inv_1")
        self.asked(("PATCH /invocations/inv_1/cancel", None, self.TOKEN))
        kill = ("PATCH /invocations/inv_1/kill", None, self.TOKEN, LOOK)
        evidence = self.done("restate", "revoked", data="inv_1")
        self.asked(kill, kill, kill)
        self.assertIn("409, at look 3", evidence)
        self.done("restate", "revoked", data="inv_unknown")
        self.assertEqual(self.run_it("restate", "revoked", data="inv_1/../../x")[0], "failed")
        self.asked()


class RabbitMq(Recipe):
    page = "rabbitmq.md"
    # RFC 7617: warden:the rabbitmq-password
    WHO = {"authorization": "Basic d2FyZGVuOnRoZSByYWJiaXRtcS1wYXNzd29yZA=="}

    def setUp(self):
        self.users, self.permissions, self.connections = {"agent-7"}, {"agent-7"}, 2
        self.double.answer = self.rabbit

    def rabbit(self, method, path, query, body):
        """The management API; its list of connections lags."""
        what, user = path.removeprefix("/api/").rsplit("/", 1)
        kept = {"users": self.users, "permissions/agents": self.permissions}.get(what)
        if kept is not None and method == "PUT":
            kept.add(user)
            return 201, None
        if kept is not None and method == "DELETE":
            if user not in kept:
                return 404, {"error": "Object Not Found", "reason": "Not Found"}
            kept.discard(user)
            return 204, None
        if what == "connections/username" and method == "DELETE":
            return 204, None
        if what == "connections/username" and method == "GET":
            self.connections -= 1
            return 200, [{"user": user}] * max(self.connections, 0)
        return 404, None

    def closed(self, effect, looks):
        path = "/api/connections/username/agent-7"
        return [(f"DELETE {path}", None, {**self.WHO, "x-reason": f"mission {MISSION} {effect}"}),
                *[(f"GET {path}", None, self.WHO, LOOK)] * looks]

    def test_a_user_loses_permissions_gets_them_again_and_is_deleted(self):
        self.done("rabbitmq", "suspended", data="agent-7")
        self.asked(("DELETE /api/permissions/agents/agent-7", None, self.WHO), *self.closed("suspended", 2))
        self.assertEqual(self.permissions, set())
        self.done("rabbitmq", "resumed", data="agent-7")
        self.asked(("PUT /api/permissions/agents/agent-7",
                    {"configure": "^agent-7\\.", "write": "^tasks$", "read": "^agent-7\\."}, self.WHO))
        for _ in range(2):
            evidence = self.done("rabbitmq", "revoked", data="agent-7")
            self.asked(("DELETE /api/users/agent-7", None, self.WHO), *self.closed("revoked", 1))
            self.assertIn("the answer = []", evidence)
        self.assertEqual(self.users, set())


class Etcd(Recipe):
    page = "etcd.md"
    TOKEN = {"authorization": "the-etcd-token"}
    LEASE = "7587862094803434251"

    def setUp(self):
        self.leases, self.users = {self.LEASE}, {"agent-7"}
        self.double.answer = self.etcd

    def etcd(self, method, path, query, body):
        """The gRPC gateway: 64-bit numbers are strings; gRPC's codes become statuses."""
        header = {"header": {"revision": "7"}}
        if path == "/v3/lease/revoke":
            if body["ID"] not in self.leases:
                return 404, {"error": "etcdserver: requested lease not found", "code": 5}
            self.leases.discard(body["ID"])
            return 200, header
        if path == "/v3/lease/timetolive":
            return 200, {**header, "ID": body["ID"], "TTL": "30" if body["ID"] in self.leases else "-1"}
        if path in ("/v3/auth/user/delete", "/v3/auth/user/get"):
            if body["name"] not in self.users:
                said = "etcdserver: user name not found"
                return 400, {"error": said, "message": said, "code": 9}
            if path.endswith("delete"):
                self.users.discard(body["name"])
            return 200, header
        return 404, {"code": 5}

    def test_a_lease_is_revoked_and_a_user_deleted(self):
        for _ in range(2):
            evidence = self.done("etcd-lease", "revoked", data=self.LEASE)
            self.asked(("POST /v3/lease/revoke", {"ID": self.LEASE}, self.TOKEN),
                       ("POST /v3/lease/timetolive", {"ID": self.LEASE}, self.TOKEN, LOOK))
            self.assertIn('/TTL = "-1"', evidence)
            evidence = self.done("etcd-user", "revoked", data="agent-7")
            self.asked(("POST /v3/auth/user/delete", {"name": "agent-7"}, self.TOKEN),
                       ("POST /v3/auth/user/get", {"name": "agent-7"}, self.TOKEN, LOOK))
            self.assertIn("user name not found", evidence)
        self.assertEqual((self.leases, self.users), (set(), set()))


class Script(Recipe):
    """Pages with a script: the commands that it calls are doubles, found by PATH."""
    command, double_text = "", ""

    def setUp(self):
        self.calls = self.folder / "calls"
        self.calls.write_text("")
        file = self.folder / "bin" / self.command
        file.write_text(self.double_text.replace("DIR", str(self.folder)))
        file.chmod(0o700)

    def called(self, *expected):
        self.assertEqual(self.calls.read_text().splitlines(), list(expected))
        self.calls.write_text("")


class Systemd(Script):
    page, command = "systemd.md", "systemctl"
    double_text = """#!/bin/sh
echo "$*" >>DIR/calls
case $1 in
show) [ "$3$4" = "--value--" ] && cat "DIR/${2#--property=}" ;;
freeze) echo frozen >DIR/FreezerState ;;
thaw) echo running >DIR/FreezerState ;;
stop) [ ! -e DIR/none ] || { echo "Unit $3 not loaded." >&2; exit 5; }; echo inactive >DIR/ActiveState ;;
esac
"""

    def setUp(self):
        super().setUp()
        self.property("ActiveState", "active")
        self.property("FreezerState", "running")
        (self.folder / "none").unlink(missing_ok=True)

    def property(self, name, value):
        (self.folder / name).write_text(value + "\n")

    UNIT = "-- agent-agent-7.service"
    ACTIVE, FREEZER = f"show --property=ActiveState --value {UNIT}", f"show --property=FreezerState --value {UNIT}"

    def test_a_unit_is_frozen_thawed_and_stopped(self):
        self.assertIn("FreezerState frozen", self.done("unit", "suspended"))
        self.called(self.ACTIVE, f"freeze {self.UNIT}", self.FREEZER)
        self.done("unit", "fresh")
        self.called(self.ACTIVE, f"thaw {self.UNIT}", self.FREEZER)
        self.done("unit", "stale")
        self.calls.write_text("")
        self.assertIn("agent-agent-7.service: ActiveState inactive", self.done("unit", "revoked"))
        self.called(self.FREEZER, f"thaw {self.UNIT}", f"stop {self.UNIT}", self.ACTIVE)
        # A transient unit is not known any more.
        (self.folder / "none").touch()
        self.done("unit", "revoked")
        self.assertIn("is not active", self.done("unit", "suspended"))

    def test_what_does_not_stop_is_not_acknowledged(self):
        file = self.folder / "bin" / self.command
        file.write_text(file.read_text().replace("echo inactive", "echo deactivating"))
        self.assertEqual(self.run_it("unit", "revoked")[0], "failed")

    def test_a_name_is_one_word(self):
        for name in ("a b", "*", "../x", "a.service", "a@b", "x;y", "a\nb"):
            outcome, evidence = self.run_it("unit", "revoked", name=name)
            self.assertEqual((outcome, "refused" in evidence), ("failed", True), name)
        self.called()


class Teleport(Script):
    page, command = "teleport.md", "tctl"
    double_text = """#!/bin/sh
echo "$*" >>DIR/calls
shift 2
case $1 in
create) cat >DIR/lock ;;
get) [ -e DIR/lock ] ;;
rm) [ -e DIR/lock ] || { echo "ERROR: lock \\"x\\" is not found" >&2; exit 1; }; rm DIR/lock ;;
esac
"""
    OPTIONS = "--auth-server=teleport.example:443 --identity=/etc/mission/teleport-identity"
    LOCK = f"mission-{MISSION}-agent-7"

    def test_a_lock_is_made_looked_at_and_removed(self):
        for effect in ("revoked", "suspended"):
            evidence = self.done("teleport", effect, data="bot-agent-7")
            self.called(f"{self.OPTIONS} create -f", f"{self.OPTIONS} get lock/{self.LOCK} --format=text")
            self.assertIn(f"lock {self.LOCK} on bot-agent-7: in force", evidence)
            self.assertEqual((self.folder / "lock").read_text(), f"""kind: lock
version: v2
metadata:
  name: {self.LOCK}
spec:
  target:
    user: "bot-agent-7"
  message: "mission {MISSION} {effect}"
""")
        for _ in range(2):
            self.done("teleport", "resumed", data="bot-agent-7")
            self.called(f"{self.OPTIONS} rm lock/{self.LOCK}")
        self.assertFalse((self.folder / "lock").exists())

    def test_a_user_is_one_word(self):
        for data in ('a"\n  role: "admin', "a b", "$(id)"):
            self.assertEqual(self.run_it("teleport", "revoked", data=data)[0], "failed")
        self.called()


class Pages(unittest.TestCase):
    def test_every_page_has_its_test(self):
        pages = {p.name for p in (ROOT / "docs" / "recipes").glob("*.md")} - {"README.md"}
        tested = {c.page for c in (Vault, Kubernetes, Temporal, Argo, Restate, RabbitMq, Etcd, Systemd, Teleport)}
        self.assertEqual(pages, tested)


if __name__ == "__main__":
    if "--build-dir" in sys.argv:
        i = sys.argv.index("--build-dir")
        BUILD_DIR = pathlib.Path(sys.argv[i + 1]).resolve()
        del sys.argv[i:i + 2]
    unittest.main(verbosity=2)
