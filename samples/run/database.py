"""A PostgreSQL of the run's own, where one is installed: unprivileged, on a Unix socket in the run's
folder and nowhere else. And what is seen of it from outside: its catalog, and a session of a role."""

import glob
import os
import pathlib
import pwd
import secrets
import shutil
import signal
import subprocess
import time

NAME = "ledger"
GROUP = "ledger_reader"
TABLES = f"""
CREATE TABLE invoices (id text PRIMARY KEY, amount numeric, currency text);
INSERT INTO invoices VALUES ('INV-2041', 1280.00, 'EUR'), ('INV-2042', 310.50, 'EUR');
GRANT SELECT ON invoices TO {GROUP};
"""


class NoDatabase(RuntimeError):
    pass


def programs() -> pathlib.Path:
    """The folder of the newest PostgreSQL that is installed."""
    def release(path):
        digits = path.parent.name
        return int(digits) if digits.isdigit() else 0
    found = [pathlib.Path(p) for p in glob.glob("/usr/lib/postgresql/*/bin")]
    if on_path := shutil.which("initdb"):
        found.append(pathlib.Path(on_path).resolve().parent)
    for folder in sorted(found, key=release, reverse=True):
        if all((folder / name).exists() for name in ("initdb", "postgres", "psql")):
            return folder
    raise NoDatabase("PostgreSQL is not installed")


def unprivileged() -> list[str]:
    """What makes a command run as somebody else where we are root: PostgreSQL refuses to be."""
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    for name in ("postgres", "nobody"):
        try:
            who = pwd.getpwnam(name)
        except KeyError:
            continue
        if setpriv:
            return [setpriv, f"--reuid={who.pw_uid}", f"--regid={who.pw_gid}", "--clear-groups"]
    raise NoDatabase("PostgreSQL does not run as root, and there is nobody else to run it as")


class Database:
    PORT = 5432  # of the socket's name: nothing listens on TCP

    def __init__(self, directory: pathlib.Path):
        self.bin, self.other = programs(), unprivileged()
        self.folder = directory / "postgres"
        self.passwords = {name: secrets.token_urlsafe(24) for name in ("super", "warden")}
        self.process, self.log = None, directory / "postgres.log"
        self.folder.mkdir(mode=0o700)
        password_file = self.folder / "super"
        password_file.write_text(self.passwords["super"])
        if self.other:
            user = int(self.other[1].partition("=")[2])
            for path in (self.folder, password_file):
                os.chown(path, user, -1)
            directory.chmod(0o711)  # to be passed through; what is in it is closed for others
        # Takes a second or two: begun here, waited for in start().
        self.making = self._popen(self._as_other(
            self.bin / "initdb", "-D", self.folder / "data", "-U", "super", "-N", "-A",
            "scram-sha-256", f"--pwfile={password_file}", "-E", "UTF8", "--locale=C"))

    def _as_other(self, *command):
        return [*self.other, *map(str, command)]

    def _popen(self, command) -> subprocess.Popen:
        with open(self.log, "ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                    cwd="/", start_new_session=True)

    def _why(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return lines[-1] if lines else "it does not say why"

    def start(self, seconds: float = 30):
        deadline = time.monotonic() + seconds
        try:
            status = self.making.wait(seconds)
        except subprocess.TimeoutExpired:
            raise NoDatabase("initdb does not end") from None
        if status != 0:
            raise NoDatabase(f"initdb: {self._why()}")
        command = [str(self.bin / "postgres"), "-D", str(self.folder / "data"), "-k", str(self.folder)]
        for setting in (f"port={self.PORT}", "listen_addresses=", "fsync=off", "max_connections=40",
                        "shared_buffers=16MB", "log_min_messages=warning"):
            command += ["-c", setting]
        if setpriv := shutil.which("setpriv"):
            # As the other programs: should the driver be killed, it goes as well.
            command = [*(self.other or [setpriv]), "--pdeathsig=QUIT", *command]
        self.process = self._popen(command)
        while self._psql("super", "postgres", ["-c", "SELECT 1"]).returncode != 0:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise NoDatabase(f"PostgreSQL does not answer: {self._why()}")
            time.sleep(0.02)
        self._script("postgres", f"""
CREATE ROLE warden LOGIN CREATEROLE PASSWORD '{self.passwords["warden"]}';
GRANT pg_signal_backend TO warden;
CREATE ROLE {GROUP} NOLOGIN;
GRANT {GROUP} TO warden WITH ADMIN OPTION;
CREATE DATABASE {NAME};
""")
        self._script(NAME, TABLES)

    def stop(self):
        """Each process by its id. SIGINT: SIGTERM would wait for every client."""
        for process, number in ((self.making, signal.SIGTERM), (self.process, signal.SIGINT)):
            if process is None or process.poll() is not None:
                continue
            process.send_signal(number)
            try:
                process.wait(8)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGQUIT)
                process.wait(8)

    # -- as anybody with a password -------------------------------------------------------------

    def psql_command(self, user: str, database: str, arguments: list[str]) -> list[str]:
        return [str(self.bin / "psql"), "-X", "-q", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=1",
                "-h", str(self.folder), "-p", str(self.PORT), "-U", user, "-d", database, *arguments]

    def environment(self, password: str) -> dict:
        return {**os.environ, "PGPASSWORD": password, "PGCONNECT_TIMEOUT": "10", "LC_ALL": "C"}

    def _psql(self, user, database, arguments, **more) -> subprocess.CompletedProcess:
        return subprocess.run(self.psql_command(user, database, arguments), capture_output=True,
                              text=True, timeout=30, env=self.environment(self.passwords[user]), **more)

    def _script(self, database: str, text: str):
        done = self._psql("super", database, ["-f", "-"], input=text)
        if done.returncode != 0:
            raise NoDatabase(done.stderr.strip())

    def connection(self) -> str:
        return f"host={self.folder} port={self.PORT} dbname={NAME} user=warden"

    def log_in(self, role: str, password: str, sql: str) -> subprocess.CompletedProcess:
        """One statement as the role."""
        return subprocess.run(self.psql_command(role, NAME, ["-c", sql]), capture_output=True, text=True,
                              timeout=30, env=self.environment(password))


class Catalog:
    """One open connection of the superuser, to look at roles and sessions with."""

    def __init__(self, database: Database):
        self.psql = subprocess.Popen(
            database.psql_command("super", NAME, []), env=database.environment(
                database.passwords["super"]),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            start_new_session=True)

    def number(self, sql: str) -> int:
        """OSError when there is no answer."""
        try:
            self.psql.stdin.write(sql + ";\n")
            self.psql.stdin.flush()
            return int(self.psql.stdout.readline())
        except ValueError as e:
            raise OSError(f"no answer from the database: {e}") from None

    def roles(self, role: str, can_log_in=False) -> int:
        more = " AND rolcanlogin" if can_log_in else ""
        return self.number(f"SELECT count(*) FROM pg_roles WHERE rolname = $x${role}$x${more}")

    def sessions(self, role: str) -> int:
        return self.number(f"SELECT count(*) FROM pg_stat_activity WHERE usename = $x${role}$x$")

    def close(self):
        self.psql.stdin.close()
        self.psql.wait(10)
        self.psql.stdout.close()


class Session:
    """Somebody who is logged in as a role, and stays so; `said` is what the server said at the end."""

    def __init__(self, database: Database, role: str, password: str):
        self.said = ""
        self.psql = subprocess.Popen(
            database.psql_command(role, NAME, ["-c", "SELECT count(*) FROM invoices",
                                               "-c", "SELECT pg_sleep(3600)"]),
            env=database.environment(password), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, start_new_session=True)
        # psql prints in blocks: what it has read it shows by being asleep.
        self.read = 0

    def ended(self) -> bool:
        return self.psql.poll() is not None

    def finish(self) -> str:
        """What the server said; ends it where it has not been ended."""
        if self.psql.poll() is None:
            self.psql.terminate()
        out, error = self.psql.communicate(timeout=10)
        self.read = int(out.split()[0]) if out.split() else 0
        # The server's own words; psql adds what it makes of them.
        self.said = error.splitlines()[0] if error else ""
        return self.said
