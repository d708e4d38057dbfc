"""Rotation under load: no receiver ever meets a SET it cannot verify.

A transmitter is changed at a steady pace while its keys are rotated three times and revoked once
(by `keys ...` from outside, on the running one). An ES256 and an RS256 stream are polled, and each
SET is verified by an independent library (jwcrypto) twice: with the key set as it was fetched up to
--max-age seconds before it came, the oldest there is, and with the newest from before the poll. No
set is fetched for the sake of an unknown kid.

A next key is published for `lead_seconds` before its first use, so that much time passes between
two rotations, whatever else is done: with key sets of 30 seconds the whole takes 140. The lead
follows --max-age, and nothing else does; a shorter one makes the same claim about a shorter time.

    rotation_test.py --build-dir DIR [--signals N] [--max-age SECONDS] [--keep]
"""
import argparse
import collections
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from jwcrypto import jwk, jws

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import harness as h  # noqa: E402

SLACK = 2  # seconds: the pace of fetching key sets, and some
ALGS = ("ES256", "RS256")


class KeySets:
    """The JWKS, fetched every half second, remembered for a while: what a cache of any age may hold."""

    def __init__(self, transmitter, max_age):
        self.http, self.max_age = h.Http(transmitter.port, transmitter.ca), max_age
        self.lock = threading.Lock()
        self.sets = collections.deque()  # (when the request was begun, when answered, kid -> key)
        self.fetch()

    def fetch(self):
        begun = time.monotonic()
        status, _, body = self.http("GET", "/jwks.json")
        assert status == 200, status
        keys = {k["kid"]: jwk.JWK(**k) for k in json.loads(body)["keys"]}
        with self.lock:
            self.sets.append((begun, time.monotonic(), keys))
            while self.sets[0][0] < begun - 2 * self.max_age:
                self.sets.popleft()

    def oldest(self, now):
        """Fetched at most max_age seconds before `now`."""
        with self.lock:
            return next(keys for begun, _, keys in self.sets if begun >= now - self.max_age)

    def newest(self, before):
        """The last one that had been answered at `before`."""
        with self.lock:
            return next(keys for _, answered, keys in reversed(self.sets) if answered <= before)


class Reader:
    """Polls one stream; verifies and counts what comes."""

    def __init__(self, run, client, alg):
        self.run, self.client, self.alg = run, client, alg
        self.http = h.Http(run.t.port, run.t.ca)
        status, stream = run.t.call(client, "POST", "/ssf/streams", {"events_requested": h.MISSION_TYPES},
                                    http_client=self.http)
        assert status == 201, (status, stream)
        self.path = stream["delivery"]["endpoint_url"].removeprefix(run.t.url)
        self.jtis, self.signals, self.kids, self.failures = set(), set(), collections.Counter(), []
        self.withhold = False  # the next SET is not acknowledged
        self.withheld = None   # (jti, kid, claims)
        self.again = []        # (kid, claims) of its redeliveries

    def verify(self, token, oldest, newest):
        header = h.jwt_header(token)
        kid = header.get("kid")
        if header.get("alg") != self.alg or header.get("typ") != "secevent+jwt":
            return f"header {header}"
        for age, keys in (("oldest", oldest), ("newest", newest)):
            if kid not in keys:
                return f"{kid} is not in the {age} key set ({sorted(keys)})"
            signed = jws.JWS()
            signed.deserialize(token)
            try:
                signed.verify(keys[kid], alg=self.alg)
            except jws.InvalidJWSSignature as e:
                return f"{kid} of the {age} key set: {e}"
        return None

    def loop(self):
        acks = []
        while not self.run.over.is_set():
            begun = time.monotonic()
            status, answer = self.run.t.call(self.client, "POST", self.path,
                                             {"maxEvents": 100, "returnImmediately": True, "ack": acks},
                                             http_client=self.http)
            assert status == 200, (status, answer)
            came = time.monotonic()
            oldest, newest = self.run.keys.oldest(came), self.run.keys.newest(begun)
            acks = [jti for jti, token in answer["sets"].items() if self.take(jti, token, oldest, newest)]
            if not answer["sets"]:
                time.sleep(0.05)

    def take(self, jti, token, oldest, newest):
        """True: to be acknowledged."""
        why = self.verify(token, oldest, newest)
        if why:
            self.failures.append(f"{jti}: {why}")
        claims, kid = h.jwt_claims(token), h.jwt_header(token)["kid"]
        self.kids[kid] += 1
        self.jtis.add(jti)
        if any(e in h.MISSION_TYPES for e in claims["events"]):
            self.signals.add(claims["txn"])
        if self.withheld and jti == self.withheld[0]:
            self.again.append((kid, claims))
            return kid != self.withheld[1]  # once signed anew
        if self.withhold and not self.withheld and kid in newest:
            self.withheld = (jti, kid, claims)
            return False
        return True


class Run:
    def __init__(self, build, folder, signals, max_age):
        self.build, self.wanted, self.max_age, self.lead = build, signals, max_age, max_age + SLACK
        listener = dict(scopes=["ssf.read", "ssf.manage", "mission_status"], missions="all")
        clients = [h.Client("operator", folder, audience="https://operator.example", missions="all",
                            scopes=["mission.write", "mission.read", "mission_status"]),
                   h.Client("es", folder, audience="https://es.example", **listener),
                   h.Client("rs", folder, audience="https://rs.example", alg="RS256", **listener)]
        self.t = h.Transmitter(build / "transmitter/mission-transmitter", folder, clients)
        text = self.t.config_file.read_text()
        assert text.count("[signing]\n") == 1
        self.t.config_file.write_text(text.replace("[signing]\n", f"[signing]\nlead_seconds = {self.lead}\n"))
        self.over = threading.Event()
        self.problems, self.threads = [], []
        self.sent = 0

    # -- the command line, as an operator has it

    def keys_command(self, *args, expect=0):
        r = subprocess.run([self.t.binary, "keys", *args, "--config", self.t.config_file], capture_output=True,
                           text=True, timeout=60)
        assert r.returncode == expect, (args, r.returncode, r.stdout, r.stderr)
        return r.stdout

    def roles(self):
        """alg -> role -> [kid]."""
        out = {a: collections.defaultdict(list) for a in ALGS}
        for line in self.keys_command("list").splitlines():
            _, alg, role, kid = line.split("  ")[:4]
            out[alg][role].append(kid)
        return out

    def current(self):
        return {a: self.roles()[a]["current"][0] for a in ALGS}

    def wait_current_used(self, before, seconds=None):
        """Until both streams carry SETs of other keys than `before`."""
        def moved():
            self.check()
            return all(any(k not in before for k in r.kids) for r in self.readers)
        h.wait_for(moved, seconds or self.lead + 10, why="SETs of new keys")

    # -- what goes on meanwhile

    def spawn(self, fn):
        def guarded():
            try:
                fn()
            except Exception as e:  # noqa: BLE001: a thread that dies is a failure of the run
                self.problems.append(f"{fn.__qualname__}: {e!r}")
                self.over.set()
        thread = threading.Thread(target=guarded)
        thread.start()
        self.threads.append(thread)

    def fetch_keys(self):
        while not self.over.wait(0.5):
            self.keys.fetch()

    def change_missions(self):
        """A steady pace over all rotations, so that each finds SETs on their way."""
        connection = h.Http(self.t.port, self.t.ca)
        begun = time.monotonic()
        pace = self.wanted / (4 * self.lead + 12)
        while self.sent < self.wanted and not self.over.is_set():
            status, answer = self.t.call("operator", "POST", "/missions", h.mission_body(), http_client=connection)
            assert status == 201, (status, answer)
            self.sent += 1
            ahead = self.sent / pace - (time.monotonic() - begun)
            if ahead > 0:
                time.sleep(ahead)

    def check(self):
        assert self.t.process.alive(), "the transmitter has ended: " + self.t.tail()
        assert not self.problems, self.problems
        for r in self.readers:
            assert not r.failures, (r.alg, len(r.failures), r.failures[:3])

    # -- statuses are signed by the same keys

    def signed_status(self, mission_id):
        self.t.http.close()  # it may have been idle for longer than the server waits
        status, _, body = self.t.form("es", "/mission/status", {"mission_id": mission_id, "nonce": "n" * 12})
        assert status == 200, (status, body)
        return body.decode()

    def verify_status(self, token):
        kid = h.jwt_header(token)["kid"]
        keys = self.keys.newest(time.monotonic())
        assert kid in keys, f"status key {kid} is not published"
        signed = jws.JWS()
        signed.deserialize(token)
        signed.verify(keys[kid], alg="ES256")

    def __call__(self):
        self.t.start()
        self.keys = KeySets(self.t, self.max_age)
        self.readers = [Reader(self, "es", "ES256"), Reader(self, "rs", "RS256")]
        _, mission = self.t.create("operator")
        archived = self.signed_status(mission["mission_id"])
        self.verify_status(archived)
        for fn in (self.fetch_keys, self.change_missions, *[r.loop for r in self.readers]):
            self.spawn(fn)

        # 1: asked for too early, so it happens by itself when the lead is over.
        seen = set(self.current().values())
        said = self.keys_command("rotate")
        assert said.count("will sign from") == 2, said
        assert set(self.current().values()) == seen
        self.wait_current_used(seen)

        # 2: the next keys have been published long enough, so it happens at once.
        self.sleep_until_ready()
        before = self.current()
        said = self.keys_command("rotate")
        assert said.count("signs now") == 2, said
        seen |= set(before.values())
        self.wait_current_used(seen, 10)

        # A revocation, with one SET on its way that only the revoked key has signed so far.
        self.sleep_until_ready()
        for r in self.readers:
            r.withhold = True
        h.wait_for(lambda: all(r.withheld for r in self.readers), 10, why="a SET withheld")
        revoked = self.current()
        seen |= set(revoked.values())
        for kid in revoked.values():
            assert kid + " is revoked" in self.keys_command("revoke", kid)
            self.keys_command("revoke", kid, expect=1)
        gone = time.monotonic()
        h.wait_for(lambda: not set(revoked.values()) & set(self.keys.newest(time.monotonic())), 5,
                   why="revoked keys out of the JWKS")
        print(f"revoked keys were out of the JWKS after {time.monotonic() - gone:.1f} s")
        self.wait_current_used(seen, 10)
        h.wait_for(lambda: all(r.again and r.again[-1][0] != r.withheld[1] for r in self.readers), 10,
                   why="a redelivery signed anew")
        for r in self.readers:
            assert r.withheld[1] == revoked[r.alg], "the withheld SET was of the revoked key"
            assert all(claims == r.withheld[2] for _, claims in r.again), "the same claims under the same jti"

        # 3
        self.sleep_until_ready()
        seen |= set(self.current().values())
        assert self.keys_command("rotate").count("signs now") == 2
        self.wait_current_used(seen, 10)

        def all_there():
            self.check()
            # The first mission is older than the streams' first SETs, or not: it is not counted on.
            return self.sent == self.wanted and all(len(r.signals) >= self.wanted for r in self.readers)
        h.wait_for(all_there, 60, why="every signal on both streams")
        self.over.set()
        for thread in self.threads:
            thread.join()
        self.check()
        # Evidence stays verifiable: its key was retired, not revoked.
        self.keys.fetch()
        self.verify_status(archived)
        self.verify_status(self.signed_status(mission["mission_id"]))
        self.check_records(revoked)
        total = sum(len(r.jtis) for r in self.readers)
        for r in self.readers:
            assert len(r.kids) == 5, (r.alg, r.kids)
            print(f"{r.alg}: {len(r.jtis)} SETs by 5 keys {sorted(r.kids.values())}")
        assert total >= 2 * self.wanted, total
        print(f"{total} SETs, none failed, across three rotations and one revocation")

    def check_records(self, revoked):
        """The folder: modes, roles and the audit of all this."""
        folder, = (self.t.folder / "state/keys").iterdir()
        for f in folder.iterdir():
            assert f.stat().st_mode & 0o077 == 0, f
            assert not any(kid in f.name for kid in revoked.values()), f
        roles = self.roles()
        for a in ALGS:
            assert len(roles[a]["current"]) == len(roles[a]["next"]) == 1, roles
            assert len(roles[a]["retained"]) == 3 and roles[a]["revoked"] == [revoked[a]], roles
        lines = [json.loads(line) for line in (folder / "audit.jsonl").read_text().splitlines()]
        done = collections.Counter(o["operation"] for o in lines if o["outcome"] == "done")
        # Rotations put a key in its place three times, and so does a revocation.
        assert done["rotate"] == 8 and done["revoke"] == 2 and done["schedule"] == 2, done
        assert sum(o["outcome"].startswith("refused") for o in lines) == 2, lines
        assert all(isinstance(o["who"]["pid"], int) and o["who"]["uid"] >= 0 for o in lines)

    def sleep_until_ready(self):
        """Until every next key may be used: so long after a transmitter has published it."""
        def ready():
            self.check()
            return self.keys_command("list").count("  usable from ") == 2
        h.wait_for(ready, 10, pause=0.2, why="next keys published")
        latest = max(line.split("  usable from ")[1] for line in self.keys_command("list").splitlines()
                     if "usable from" in line)
        while time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 1)) < latest[:19] + "Z":
            self.check()
            time.sleep(0.1)

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join()
        if self.t.process:
            self.t.process.stop()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build-dir", required=True, type=pathlib.Path)
    parser.add_argument("--signals", type=int, default=5000)
    parser.add_argument("--max-age", type=int, default=30)
    parser.add_argument("--keep", action="store_true")
    args = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="rotation-"))
    h.make_ca(folder)
    run = Run(args.build_dir, folder, args.signals, args.max_age)
    begun = time.monotonic()
    try:
        run()
    finally:
        run.stop()
        if not args.keep:
            shutil.rmtree(folder)
    print(f"passed in {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
