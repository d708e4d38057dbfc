"""Real services for tests, each started by the test itself: unprivileged, in a directory of its own, on loopback.

A service that is not installed fails the test: `./dev setup --test` installs all of them.
"""
import glob
import json
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import tempfile
import urllib.request

from harness import Process, free_port, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]


def as_user(name, *command):
    """The command as that user where we are root: some servers refuse to be."""
    if os.geteuid() != 0:
        return [*command]
    u = pwd.getpwnam(name)
    return ["/usr/bin/setpriv", f"--reuid={u.pw_uid}", f"--regid={u.pw_gid}", "--clear-groups", *command]


def hand_over(folder, name):
    """The folder to that user; those above it, as far as they are a test's own, may be passed through."""
    if os.geteuid() == 0:
        shutil.chown(folder, name)
        for above in pathlib.Path(folder).parents:
            if pathlib.Path(tempfile.gettempdir()) in above.parents:
                os.chmod(above, os.stat(above).st_mode | 0o001)


class Postgres:
    """A cluster of its own: a socket in its folder, a port on 127.0.0.1. `super` is its superuser, `warden` may
    make roles and end sessions; both have passwords, and everybody needs one."""
    USER = "postgres"

    def __init__(self, folder):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        if not found:
            raise AssertionError("PostgreSQL is not installed: ./dev setup --test")
        self.bin, self.folder, self.port = pathlib.Path(found[-1]), pathlib.Path(folder), free_port()
        self.password = {"super": "super secret", "warden": "warden's secret"}
        self.folder.mkdir(parents=True)
        (self.folder / "pw").write_text(self.password["super"])
        (self.folder / "warden").write_text(self.password["warden"] + "\n")
        hand_over(self.folder, self.USER)
        shutil.chown(self.folder / "pw", self.USER) if os.geteuid() == 0 else None
        subprocess.run(as_user(self.USER, self.bin / "initdb", "-D", self.folder / "data", "-U", "super", "-N",
                               "-A", "scram-sha-256", f"--pwfile={self.folder}/pw", "-E", "UTF8", "--locale=C"),
                       check=True, capture_output=True, cwd="/")
        self.process = None
        self.start()
        self.sql("CREATE ROLE warden LOGIN CREATEROLE PASSWORD 'warden''s secret';"
                 "GRANT pg_signal_backend TO warden; GRANT CREATE ON DATABASE postgres TO warden;"
                 "GRANT CREATE ON SCHEMA public TO public")

    def start(self):
        self.process = Process(as_user(self.USER, self.bin / "postgres", "-D", self.folder / "data", "-k", self.folder,
                                       "-c", f"port={self.port}", "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off",
                                       "-c", "max_connections=40", "-c", "shared_buffers=16MB"),
                               self.folder / "log", cwd="/")
        wait_for(lambda: self.psql("SELECT 1", check=False).returncode == 0, 20, 0.05, "PostgreSQL answers")

    def stop(self):
        # SIGINT, fast shutdown: SIGTERM would wait for every client.
        if self.process.alive():
            self.process.p.send_signal(2)
            self.process.p.wait(20)
        return self.process.stop()

    def psql(self, sql, user="super", check=True, password=None):
        done = subprocess.run(self.psql_words(sql, user), env=self.psql_env(user, password), capture_output=True,
                              text=True, timeout=60)
        if check and done.returncode != 0:
            raise AssertionError(f"{sql}: {done.stderr}")
        return done

    def sql(self, text, user="super"):
        """The rows' text, columns by '|'."""
        return self.psql(text, user).stdout.strip()

    def psql_words(self, sql, user):
        return [self.bin / "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port),
                "-U", user, "-d", "postgres", "-c", sql]

    def psql_env(self, user, password=None):
        return {**os.environ, "PGPASSWORD": password or self.password.get(user, "agent"), "PGCONNECT_TIMEOUT": "10"}

    def role(self, name, password="agent"):
        quoted = '"' + name.replace('"', '""') + '"'
        self.sql(f"CREATE ROLE {quoted} LOGIN PASSWORD '{password}'; GRANT {quoted} TO warden", "warden")

    def session(self, role):
        """A connection that waits; its process."""
        p = subprocess.Popen(self.psql_words("SELECT pg_sleep(600)", role), env=self.psql_env(role),
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: self.sessions(role) > 0, 15, 0.02, "the session is there")
        return p

    def sessions(self, role):
        return int(self.sql(f"SELECT count(*) FROM pg_stat_activity WHERE usename = $x${role}$x$"))

    def can_log_in(self, role):
        return self.psql("SELECT 1", role, check=False).returncode == 0

    @property
    def connection(self):
        return f"host={self.folder} port={self.port} dbname=postgres user=warden"


class Redis:
    """A server with an ACL file; user "warden" may administer it, "default" may nothing."""

    def __init__(self, folder):
        binary = shutil.which("redis-server")
        if not binary:
            raise AssertionError("Redis is not installed: ./dev setup --test")
        self.binary, self.folder, self.port = binary, pathlib.Path(folder), free_port()
        self.folder.mkdir(parents=True)
        self.password = "warden secret"
        (self.folder / "warden").write_text(self.password + "\n")
        self.acl = self.folder / "users.acl"
        self.acl.write_text("user default off\n" f"user warden on #{self.sha(self.password)} ~* &* +@all\n")
        hand_over(self.folder, "nobody")
        if os.geteuid() == 0:
            shutil.chown(self.acl, "nobody")
        self.socket = self.folder / "s"
        self.process = None
        self.start()

    @staticmethod
    def sha(text):
        import hashlib
        return hashlib.sha256(text.encode()).hexdigest()

    def start(self):
        self.process = Process(as_user("nobody", self.binary, "--port", self.port, "--bind", "127.0.0.1", "--unixsocket",
                                       self.socket, "--save", "", "--dir", self.folder, "--aclfile", self.acl),
                               self.folder / "log", cwd="/")
        wait_for(lambda: self.log_in("warden", self.password), 10, 0.02, "Redis answers").close()

    def stop(self):
        return self.process.stop()

    def log_in(self, user, password):
        """A connection, or None."""
        try:
            c = RedisConnection(self.port)
        except OSError:
            return None
        if c("AUTH", user, password) == "OK":
            return c
        c.close()
        return None

    def admin(self, *words):
        with self.log_in("warden", self.password) as c:
            return c(*words)

    def user(self, name, password="agent"):
        assert self.admin("ACL", "SETUSER", name, "on", ">" + password, "~*", "+@all", "-@admin") == "OK"

    def connections(self, user):
        return self.admin("CLIENT", "LIST").split().count("user=" + user)


class RedisConnection:
    """RESP2, as much of it as a test needs. An error is an Exception value."""

    def __init__(self, port):
        self.s = socket.create_connection(("127.0.0.1", port), 10)
        self.f = self.s.makefile("rb")

    def __call__(self, *words):
        out = [f"*{len(words)}\r\n".encode()]
        for w in words:
            w = w if isinstance(w, bytes) else str(w).encode()
            out.append(b"$%d\r\n%s\r\n" % (len(w), w))
        self.s.sendall(b"".join(out))
        return self.read()

    def read(self):
        line = self.f.readline()
        if not line:
            raise ConnectionError("closed")
        kind, rest = line[:1], line[1:-2].decode()
        if kind == b"+":
            return rest
        if kind == b"-":
            return Exception(rest)
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == "-1" else self.f.read(int(rest) + 2)[:-2].decode()
        return None if rest == "-1" else [self.read() for _ in range(int(rest))]

    def alive(self):
        try:
            return self("PING") == "PONG"
        except (ConnectionError, OSError):
            return False

    def close(self):
        self.f.close()
        self.s.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class AuthorizationServer:
    """oidc-provider, from tests/services: clients `basic`, `post` and `key` with the client-credentials grant."""
    SECRETS = {"basic": "a basic+secret", "post": "a-post-secret"}

    def __init__(self, folder, key):
        self.folder, self.port, self.key = pathlib.Path(folder), free_port(), key
        services = ROOT / "tests" / "services"
        if not (services / "node_modules" / "oidc-provider").exists() or not shutil.which("node"):
            raise AssertionError("oidc-provider is not installed: ./dev setup --test")
        self.folder.mkdir(parents=True)
        (self.folder / "key.pem").write_bytes(key.pem())
        (self.folder / "jwk.json").write_text(json.dumps(key.jwk()))
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = Process([shutil.which("node"), services / "authorization_server.mjs", self.port,
                                self.folder / "jwk.json"], self.folder / "log")
        wait_for(lambda: "ready" in (self.folder / "log").read_text(), 20, 0.02, "the authorization server is ready")

    def stop(self):
        return self.process.stop()

    def post(self, path, client, **fields):
        import base64
        import urllib.parse
        auth = urllib.parse.quote(client) + ":" + urllib.parse.quote(self.SECRETS[client], safe="")
        request = urllib.request.Request(self.url + path, urllib.parse.urlencode(fields).encode(), {
            "Authorization": "Basic " + base64.b64encode(auth.encode()).decode()})
        with urllib.request.urlopen(request, timeout=10) as r:
            return json.loads(r.read() or b"null")

    def token(self, client="basic"):
        if client == "basic":
            return self.post("/token", client, grant_type="client_credentials")["access_token"]
        import urllib.parse
        fields = {"grant_type": "client_credentials", "client_id": client}
        if client == "post":
            fields["client_secret"] = self.SECRETS[client]
        else:
            fields |= {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                       "client_assertion": self.assertion(client)}
        request = urllib.request.Request(self.url + "/token", urllib.parse.urlencode(fields).encode())
        with urllib.request.urlopen(request, timeout=10) as r:
            return json.loads(r.read())["access_token"]

    def assertion(self, client):
        import secrets
        import time
        now = int(time.time())
        return self.key.jwt({"iss": client, "sub": client, "aud": self.url, "iat": now, "exp": now + 60,
                             "jti": secrets.token_urlsafe(16)})

    def active(self, token):
        return self.post("/token/introspection", "basic", token=token)["active"]
