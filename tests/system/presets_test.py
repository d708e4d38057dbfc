"""The presets of [[teardown]] against what they are made for: a real PostgreSQL, a real Redis, a real authorization
server; by `mission-receiver teardown run`, and through a transmitter and `mission-receiver run`.
"""
import json
import os
import pathlib
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import receiver_program_test as program  # noqa: E402
from harness import Key, toml, wait_for  # noqa: E402
from services import AuthorizationServer, Postgres, Redis  # noqa: E402

MISSION = "mission-0123456789abcdef01"
BUILD_DIR = pathlib.Path("build/test")


class ByHand(unittest.TestCase):
    """One handler, run by `teardown run`."""

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="presets-", dir="/tmp"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)

    def configured(self, kind, on, **keys):
        config = self.folder / f"{secrets.token_hex(4)}.toml"
        lines = [f"{k} = {toml(v)}" for k, v in keys.items()]
        config.write_text('issuer = "https://t.example"\n[auth]\ntoken = "x"\n[[teardown]]\nname = "it"\n'
                          f'on = {toml(on)}\ntype = "{kind}"\n' + "\n".join(lines) + "\n")
        return config

    def run_it(self, config, data, effect="revoked"):
        """-> (outcome, evidence)"""
        done = subprocess.run([program.receiver_binary(), "teardown", "run", "--config", config, "--handler", "it",
                               "--mission", MISSION, "--name", "n", "--effect", effect, *(["--data", data] if data else [])],
                              capture_output=True, text=True, timeout=60)
        self.assertTrue(done.stdout, done.stderr)
        said = json.loads(done.stdout)
        self.assertEqual(done.returncode, 0 if said["outcome"] == "acknowledged" else 1)
        for secret in self.secrets():
            self.assertNotIn(secret, done.stdout + done.stderr)
        return said["outcome"], said["evidence"]

    def secrets(self):
        return []

    def done(self, *args, **more):
        outcome, evidence = self.run_it(*args, **more)
        self.assertEqual(outcome, "acknowledged", evidence)
        return evidence

    def refused(self, *args, **more):
        outcome, evidence = self.run_it(*args, **more)
        self.assertEqual(outcome, "failed", evidence)
        return evidence


ALL = ["suspended", "resumed", "stale", "fresh", "ended"]


class PostgresRole(ByHand):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.db = Postgres(cls.folder / "pg")
        cls.addClassCleanup(cls.db.stop)

    def secrets(self):
        return self.db.password.values()

    def config(self, **more):
        keys = {"connection": self.db.connection, "password": {"file": str(self.db.folder / "warden")},
                "settle_seconds": 0.05}
        return self.configured("postgres_role", ALL, **{**keys, **more})

    def test_a_role_is_suspended_resumed_and_ended_with_its_sessions(self):
        config, role = self.config(), 'agent "1"; DROP ROLE warden; --'
        self.db.role(role)
        sessions = [self.db.session(role) for _ in range(2)]
        evidence = self.done(config, role, effect="suspended")
        self.assertIn("NOLOGIN, ", evidence)
        self.assertIn("none in pg_stat_activity on two looks 50 ms apart", evidence)
        self.assertIn("pg_roles says rolcanlogin false", evidence)
        for s in sessions:
            self.assertNotEqual(s.wait(10), 0)
        self.assertEqual(self.db.sessions(role), 0)
        self.assertFalse(self.db.can_log_in(role))
        self.assertIn("0 sessions", self.done(config, role, effect="stale"))
        self.assertIn("rolcanlogin true", self.done(config, role, effect="resumed"))
        self.assertTrue(self.db.can_log_in(role))
        self.done(config, role)
        self.assertFalse(self.db.can_log_in(role))
        self.done(config, role)
        self.assertEqual(self.db.sql("SELECT count(*) FROM pg_roles WHERE rolname IN ('warden', 'super')"), "2")

    def test_a_role_is_dropped_with_what_it_owns_or_without(self):
        for role, more in (("agent_drop", {}), ("agent_give", {"reassign_to": "warden"})):
            self.db.role(role)
            self.db.sql(f"CREATE TABLE {role}_t (x int)", role)
            config = self.config(drop=True, **more)
            evidence = self.done(config, role)
            self.assertTrue(evidence.endswith("dropped, not in pg_roles"), evidence)
            self.assertEqual(self.db.sql(f"SELECT count(*) FROM pg_roles WHERE rolname = '{role}'"), "0")
            owner = self.db.sql(f"SELECT tableowner FROM pg_tables WHERE tablename = '{role}_t'")
            self.assertEqual(owner, "warden" if more else "")
            self.assertIn("not in pg_roles", self.done(config, role))
            self.assertIn("not in pg_roles", self.done(config, role, effect="resumed"))

    def test_what_is_not_an_agents_role_is_refused(self):
        config = self.config(prefix="agent_")
        for role in ("super", "warden", "pg_monitor", "other", "", "x" * 64, "AGENT_1"):
            self.refused(config, role)
        config = self.config()
        self.assertIn("a superuser", self.refused(config, "super"))
        self.assertIn("connected as", self.refused(config, "warden"))
        self.assertIn("PostgreSQL's own", self.refused(config, "pg_monitor"))
        self.assertEqual(self.db.sql("SELECT count(*) FROM pg_roles WHERE rolname IN ('super', 'warden') AND rolcanlogin"), "2")

    def test_no_session_outlives_the_acknowledgement_however_often_one_begins(self):
        role, config = "agent_busy", self.config()
        self.db.role(role)
        stop = threading.Event()

        def hammer():
            while not stop.is_set():
                self.db.psql("SELECT pg_sleep(0.2)", role, check=False)
        threads = [threading.Thread(target=hammer) for _ in range(4)]
        for t in threads:
            t.start()
        try:
            wait_for(lambda: self.db.sessions(role) > 0, 10, 0.02, "sessions begin")
            self.done(config, role)
            for _ in range(10):
                self.assertEqual(self.db.sessions(role), 0)
        finally:
            stop.set()
            for t in threads:
                t.join()

    def test_what_the_server_refuses_is_told_with_its_code(self):
        role = "agent_owner"
        self.db.sql(f"CREATE ROLE {role} LOGIN PASSWORD 'agent'")
        self.db.sql(f"GRANT CREATE ON SCHEMA public TO {role}")
        self.db.sql(f"CREATE TABLE owned (x int)", role)
        # The admin is no member of it: its objects are not its to drop.
        self.db.sql("CREATE ROLE clerk LOGIN CREATEROLE PASSWORD 'warden''s secret'; GRANT pg_signal_backend TO clerk")
        config = self.config(drop=True, connection=self.db.connection.replace("user=warden", "user=clerk"))
        self.assertRegex(self.refused(config, role), r"NOLOGIN, .*\[\w{5}\]")
        self.assertFalse(self.db.can_log_in(role))  # as far as it could, it did
        wrong = self.config(password="wrong")
        self.assertIn("password authentication failed", self.refused(wrong, role))
        nobody = self.config(connection="host=127.0.0.1 port=1 user=warden")
        self.refused(nobody, role)

    def test_a_server_that_does_not_answer_is_told_in_time(self):
        listener = socket.create_server(("127.0.0.1", 0))
        config = self.config(connection=f"host=127.0.0.1 port={listener.getsockname()[1]} user=warden", timeout_seconds=0.3)
        begun = time.monotonic()
        outcome, evidence = self.run_it(config, "agent_1")
        self.assertEqual(outcome, "timed_out")
        self.assertIn("no connection in time", evidence)
        self.assertLess(time.monotonic() - begun, 5)
        listener.close()

    def test_a_connection_that_dies_within_leaves_it_unknown(self):
        """Between us and the server stands one who passes on until the role loses LOGIN, then closes."""
        role = "agent_cut"
        self.db.role(role)
        listener = socket.create_server(("127.0.0.1", 0))

        def pass_on():
            client, _ = listener.accept()
            server = socket.create_connection(("127.0.0.1", self.db.port))
            back = threading.Thread(target=self.copy, args=(server, client))
            back.start()
            while data := client.recv(65536):
                if b"NOLOGIN" in data:
                    break
                server.sendall(data)
            for s in (client, server):
                s.shutdown(socket.SHUT_RDWR)
            back.join()
            for s in (client, server):
                s.close()
        t = threading.Thread(target=pass_on)
        t.start()
        config = self.config(connection=f"host=127.0.0.1 port={listener.getsockname()[1]} dbname=postgres user=warden")
        outcome, evidence = self.run_it(config, role)
        t.join()
        listener.close()
        self.assertEqual(outcome, "unknown", evidence)

    @staticmethod
    def copy(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass


class RedisUser(ByHand):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.db = Redis(cls.folder / "redis")
        cls.addClassCleanup(cls.db.stop)

    def secrets(self):
        return [self.db.password]

    def config(self, **more):
        keys = {"address": f"127.0.0.1:{self.db.port}", "admin": "warden",
                "password": {"file": str(self.db.folder / "warden")}}
        return self.configured("redis_user", ALL, **{**keys, **more})

    def test_a_user_is_suspended_resumed_and_ended_with_its_connections(self):
        config = self.config(address=f"unix:{self.db.socket}")
        self.db.user("agent-1")
        self.db.user("agent-11")
        held = [self.db.log_in("agent-1", "agent") for _ in range(3)]
        other = self.db.log_in("agent-11", "agent")
        other("CLIENT", "SETNAME", "user=agent-1")  # is not one of its connections
        evidence = self.done(config, "agent-1", effect="suspended")
        self.assertIn("off, 3 connections killed, none in CLIENT LIST", evidence)
        self.assertEqual([c.alive() for c in held], [False] * 3)
        self.assertTrue(other.alive())
        self.assertIsNone(self.db.log_in("agent-1", "agent"))
        self.done(config, "agent-1", effect="stale")
        self.done(config, "agent-1", effect="fresh")
        again = self.db.log_in("agent-1", "agent")
        self.assertTrue(again.alive())
        evidence = self.done(config, "agent-1")
        self.assertIn("1 connection killed", evidence)
        self.assertIn("deleted", evidence)
        self.assertFalse(again.alive())
        self.assertIsNone(self.db.admin("ACL", "GETUSER", "agent-1"))
        self.assertIn("not known to ACL", self.done(config, "agent-1"))
        # Nobody is made by turning them on.
        self.done(config, "agent-1", effect="resumed")
        self.assertIsNone(self.db.admin("ACL", "GETUSER", "agent-1"))

    def test_what_is_saved_survives_a_restart_of_redis(self):
        self.db.user("agent-2")
        self.assertEqual(self.db.admin("ACL", "SAVE"), "OK")
        self.assertIn("ACL saved", self.done(self.config(acl_save=True), "agent-2"))
        self.db.stop()
        self.db.start()
        self.assertIsNone(self.db.admin("ACL", "GETUSER", "agent-2"))

    def test_what_is_not_an_agents_user_is_refused(self):
        config = self.config()
        for user in ("default", "warden", "", "a b", "a\nb"):
            self.refused(config, user)
        self.refused(self.config(prefix="agent-"), "other")
        self.assertTrue(self.db.log_in("warden", self.db.password).alive())
        self.assertIn("WRONGPASS", self.refused(self.config(password="wrong"), "agent-1"))
        self.refused(self.config(address="127.0.0.1:1"), "agent-1")

    def test_no_connection_outlives_the_acknowledgement_however_often_one_begins(self):
        self.db.user("agent-3")
        stop = threading.Event()

        def hammer():
            while not stop.is_set():
                c = self.db.log_in("agent-3", "agent")
                if c:
                    c.alive()
                    c.close()
                time.sleep(0.002)
        threads = [threading.Thread(target=hammer) for _ in range(4)]
        for t in threads:
            t.start()
        try:
            self.done(self.config(), "agent-3", effect="suspended")
            for _ in range(20):
                self.assertEqual(self.db.connections("agent-3"), 0)
        finally:
            stop.set()
            for t in threads:
                t.join()

    def test_a_server_that_does_not_answer_is_told_in_time(self):
        listener = socket.create_server(("127.0.0.1", 0))
        config = self.config(address=f"127.0.0.1:{listener.getsockname()[1]}", timeout_seconds=0.3)
        outcome, _ = self.run_it(config, "agent-1")
        self.assertEqual(outcome, "timed_out")
        listener.close()


class OauthRevocation(ByHand):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = AuthorizationServer(cls.folder / "as", Key())
        cls.addClassCleanup(cls.server.stop)

    def secrets(self):
        return AuthorizationServer.SECRETS.values()

    def config(self, client, **more):
        keys = {"revocation_endpoint": self.server.url + "/token/revocation",
                "introspection_endpoint": self.server.url + "/token/introspection", "client_id": client,
                "token_type_hint": "access_token"}
        how = {"basic": {"client_secret": AuthorizationServer.SECRETS["basic"]},
               "post": {"client_secret": AuthorizationServer.SECRETS["post"], "client_secret_post": True},
               "key": {"private_key": str(self.server.folder / "key.pem"), "private_key_id": self.server.key.kid,
                       "audience": self.server.url}}[client]
        return self.configured("oauth_revocation", ["suspended", "ended"], **{**keys, **how, **more})

    def test_a_token_is_revoked_and_introspection_says_so_for_each_way_to_authenticate(self):
        for client in ("basic", "post", "key"):
            with self.subTest(client):
                token = self.server.token(client)
                self.assertTrue(self.server.active(token))
                config = self.config(client)
                evidence = self.done(config, token)
                self.assertIn("access_token revoked (RFC 7009); introspection: active false", evidence)
                self.assertNotIn(token, evidence)
                self.assertFalse(self.server.active(token))
                self.done(config, token)

    def test_a_token_in_a_file_is_revoked(self):
        tokens = self.folder / "tokens"
        tokens.mkdir()
        (tokens / "a").write_text(self.server.token() + "\n")
        self.done(self.config("basic", token_directory=str(tokens)), "a")
        self.assertFalse(self.server.active((tokens / "a").read_text().strip()))

    def test_a_client_that_is_not_let_in_is_told(self):
        token = self.server.token()
        self.assertIn("401: invalid_client", self.refused(self.config("basic", client_secret="wrong"), token))
        self.assertTrue(self.server.active(token))


class ThroughAStream(program.World):
    """A mission ends at the transmitter; what was held for it ends here."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.pg = Postgres(cls.folder / "pg")
        cls.addClassCleanup(cls.pg.stop)
        cls.redis = Redis(cls.folder / "redis")
        cls.addClassCleanup(cls.redis.stop)

    def permitted(self, receiver, mission):
        # With --resolve: a SET from the second of a heartbeat is not relied upon before Status is asked.
        wait_for(lambda: receiver.cli("check", mission, "--resolve")[0] == 0, 20, 0.05,
                 f"{mission} is permitted: {receiver.tail()}")

    def test_roles_users_and_files_follow_their_mission(self):
        sockets = self.folder / "sockets"
        sockets.mkdir()
        extra = f"""
[[teardown]]
name = "database"
on = ["suspended", "resumed", "ended"]
type = "postgres_role"
connection = "{self.pg.connection}"
password = {{ file = "{self.pg.folder}/warden" }}
role = "{{data.role}}"
prefix = "agent_"
drop = true
settle_seconds = 0.05
[[teardown]]
name = "cache"
on = ["suspended", "resumed", "ended"]
type = "redis_user"
address = "127.0.0.1:{self.redis.port}"
admin = "warden"
password = {{ file = "{self.redis.folder}/warden" }}
user = "{{data.user}}"
[[teardown]]
name = "socket"
on = ["ended"]
type = "file"
directory = "{sockets}"
path = "{{name}}.sock"
"""
        r = self.receiver("poller", extra=extra).start().live()
        mission = self.mission()
        self.permitted(r, mission)
        self.pg.role("agent_7")
        self.redis.user("agent-7")
        (sockets / "db.sock").touch()
        self.assertEqual(r.cli("hold", mission, "db", '{"role": "agent_7", "user": "agent-7"}')[0], 0)
        session, connection = self.pg.session("agent_7"), self.redis.log_in("agent-7", "agent")

        self.operate(mission, "suspend")
        wait_for(lambda: not r.json("tasks", "list"), 15, 0.05, "suspended: " + r.tail())
        self.assertNotEqual(session.wait(10), 0)
        self.assertFalse(connection.alive())
        self.assertFalse(self.pg.can_log_in("agent_7"))
        self.operate(mission, "resume")
        wait_for(lambda: self.pg.can_log_in("agent_7") and self.redis.log_in("agent-7", "agent"), 15, 0.05, "resumed: " + r.tail())
        self.assertTrue((sockets / "db.sock").exists())

        connection = self.redis.log_in("agent-7", "agent")
        self.operate(mission, "revoke")
        wait_for(lambda: not r.json("tasks", "list"), 15, 0.05, "revoked: " + r.tail())
        self.assertFalse(connection.alive())
        self.assertEqual(self.pg.sql("SELECT count(*) FROM pg_roles WHERE rolname = 'agent_7'"), "0")
        self.assertIsNone(self.redis.admin("ACL", "GETUSER", "agent-7"))
        self.assertFalse((sockets / "db.sock").exists())
        evidence = {(t["handler"], t["effect"]): t["evidence"] for t in r.json("tasks", "list", "--all")}
        self.assertIn("dropped, not in pg_roles", evidence["database", "revoked"])
        self.assertIn("deleted", evidence["cache", "revoked"])
        self.assertIn("removed (inode", evidence["socket", "revoked"])
        log = (r.folder / "log").read_text()
        for secret in (*self.pg.password.values(), self.redis.password):
            self.assertNotIn(secret, log)

    def test_a_database_that_is_down_is_waited_for(self):
        extra = f"""
[[teardown]]
name = "database"
on = ["ended"]
type = "postgres_role"
connection = "{self.pg.connection}"
password = {{ file = "{self.pg.folder}/warden" }}
settle_seconds = 0.05
retry_first_seconds = 0.1
retry_max_seconds = 0.5
"""
        r = self.receiver("down", extra=extra).start().live()
        mission = self.mission()
        self.permitted(r, mission)
        self.pg.role("agent_8")
        self.assertEqual(r.cli("hold", mission, "db", "agent_8")[0], 0)
        self.pg.stop()
        self.operate(mission, "revoke")
        wait_for(lambda: [t for t in r.json("tasks", "list") if t["last"] == "failed"], 15, 0.05, "it fails: " + r.tail())
        self.pg.start()
        wait_for(lambda: not r.json("tasks", "list"), 20, 0.1, "it is done: " + r.tail())
        self.assertFalse(self.pg.can_log_in("agent_8"))


if __name__ == "__main__":
    if "--build-dir" in sys.argv:
        i = sys.argv.index("--build-dir")
        BUILD_DIR = program.BUILD_DIR = pathlib.Path(sys.argv[i + 1]).resolve()
        del sys.argv[i:i + 2]
    os.environ.pop("PGSERVICE", None)
    unittest.main(verbosity=2)
