"""The commit boundary: payments that ask Mission Status for themselves, against revocations.

Wall times are compared across processes of one host: one clock. Every time that is compared here was
taken so that a wrong order would be seen: the acknowledgement's when its octets were here, the
sending's before its octets left."""

import argparse
import datetime
import json
import os
import pathlib
import queue
import random
import secrets
import shutil
import signal
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse

import harness as h

BUILD_DIR = pathlib.Path("build/test")
RACES = 1000
WORKERS = 8
PAY = "https://pay.example"
HASTY_MS = 15  # about what an answer takes here: some come in time
TOKEN = secrets.token_hex(16)


def utc_us(text):
    """Microseconds since 1970 of an RFC 3339 text."""
    moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return round((moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)) / datetime.timedelta(microseconds=1))


def now_us():
    return time.time_ns() // 1000


class Shop:
    """One commit_boundary process, restartable on its port."""

    def __init__(self, transmitter, client, name, max_age_ms):
        self.transmitter, self.name, self.max_age_ms = transmitter, name, max_age_ms
        self.folder, self.port = transmitter.folder, h.free_port()
        self.ledger_file = self.folder / f"{name}.jsonl"
        token_file = self.folder / "shop.token"
        token_file.write_text(TOKEN + "\n")
        self.command = [
            BUILD_DIR / "samples" / "commit_boundary", "--port", self.port, "--certificate", self.folder / "cert.pem",
            "--certificate-key", self.folder / "key.pem", "--token-file", token_file, "--issuer", transmitter.url,
            "--ca-file", transmitter.ca, "--client-id", client.id, "--private-key", client.key_file, "--audience", PAY,
            "--state", self.folder / f"{name}.db", "--ledger", self.ledger_file, "--max-age-ms", max_age_ms]
        self.process = None

    def start(self):
        self.process = h.Process(self.command, self.folder / f"{self.name}.log")
        http = h.Http(self.port, self.transmitter.ca)

        def lives():
            if not self.process.alive():
                raise AssertionError("ended: " + (self.folder / f"{self.name}.log").read_text()[-1500:])
            try:
                return http("GET", "/healthz")[0] == 200
            except OSError:
                return False
        h.wait_for(lives, 20, why=f"{self.name} lives")
        http.close()
        return self

    def pay(self, http, mission, key=None, amount="12.00"):
        status, _, body = http(
            "POST", "/payments", {"amount": amount, "currency": "EUR", "to": "DE02120300000000202051"},
            {"Authorization": f"Bearer {TOKEN}", "Mission-Id": mission,
             "Idempotency-Key": key or secrets.token_hex(8)})
        return status, json.loads(body)

    def ledger(self):
        """(payments by id, ids that a later line has marked)"""
        payments, marked = {}, {}
        for line in self.ledger_file.read_text().splitlines():
            entry = json.loads(line)
            if entry["payment"] in payments:
                marked[entry["payment"]] = entry
            else:
                payments[entry["payment"]] = entry
        return payments, marked


class CommitBoundary(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="mission-commit-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.operator = h.Client("operator", cls.folder, audience="operator", missions="all", lifecycle=[
            "revoke", "suspend", "resume", "complete"], scopes=[
                "mission.write", "mission.read", "mission_lifecycle", "mission_status", "ssf.admin"])
        # Two programs, two clients: each has its stream.
        shops = [h.Client(f"shop-{n}", cls.folder, audience=PAY,
                          scopes=["ssf.read", "ssf.manage", "mission_status"]) for n in range(2)]
        cls.transmitter = h.Transmitter(BUILD_DIR / "transmitter" / "mission-transmitter", cls.folder,
                                        [cls.operator, *shops])
        cls.transmitter.start()
        cls.addClassCleanup(lambda: cls.transmitter.process.stop())
        cls.transmitter.token("operator", "mission.write")
        cls.shop = Shop(cls.transmitter, shops[0], "shop", 2000).start()
        cls.addClassCleanup(lambda: cls.shop.process.stop())
        cls.hasty = Shop(cls.transmitter, shops[1], "hasty", HASTY_MS).start()
        cls.addClassCleanup(lambda: cls.hasty.process.stop())
        cls.addClassCleanup(cls.hang_up)

    @classmethod
    def hang_up(cls):
        cls.transmitter.http.close()

    def http(self, shop=None):
        http = h.Http((shop or self.shop).port, self.transmitter.ca)
        self.addCleanup(http.close)
        return http

    def caller(self):
        caller = Caller(self.transmitter)
        self.addCleanup(caller.http.close)
        return caller

    def mission(self, actions=("payments.execute",)):
        return self.caller().create(actions)

    def revoke(self, mission):
        return self.caller().lifecycle(mission, "revoke")

    # ------------------------------------------------------------------------------- one by one

    def test_a_payment_is_made_once_and_says_on_which_answer(self):
        http, mission = self.http(), self.mission()
        key = secrets.token_hex(8)
        before = now_us()
        status, paid = self.shop.pay(http, mission, key)
        self.assertEqual((status, paid["outcome"], paid["version"]), (201, "committed", 1), paid)
        self.assertLessEqual(before, utc_us(paid["sent_at"]))
        self.assertLessEqual(utc_us(paid["sent_at"]), utc_us(paid["received_at"]))
        self.assertLessEqual(utc_us(paid["received_at"]), utc_us(paid["committed_at"]) + 1000)
        self.assertLess(abs(paid["status_iat"] - before / 1e6), 5)
        self.assertLessEqual(paid["age_us"], 2_000_000)
        again = self.shop.pay(http, mission, key)
        self.assertEqual((again[0], again[1]["payment"], again[1]["repeated"]), (200, paid["payment"], True))
        self.assertEqual(self.shop.pay(http, mission, key, amount="99.00")[0], 409)
        self.assertEqual(len([p for p in self.shop.ledger()[0].values() if p["mission"] == mission]), 1)

    def test_what_the_mission_does_not_permit_is_not_paid_and_is_recorded(self):
        http = self.http()
        for mission, reason in ((self.mission(actions=("payments.read",)), "does not cover payments.execute"),
                                ("mis_nobody_has_ever_heard_of_it", "not_found"), ("", "not a mission id")):
            status, refused = self.shop.pay(http, mission)
            self.assertEqual((status, refused["outcome"]), (403, "refused"), refused)
            self.assertIn(reason, refused["reason"])
            self.assertNotIn("committed_at", refused)
        ended = self.mission()
        self.revoke(ended)
        status, refused = self.shop.pay(http, ended)
        self.assertEqual((status, refused["reason"]), (403, "mission revoked"))
        for bad in ({}, {"amount": "1"}, [], "x"):
            status, _, _ = http("POST", "/payments", json.dumps(bad), {
                "Authorization": f"Bearer {TOKEN}", "Mission-Id": ended, "Idempotency-Key": "k"})
            self.assertEqual(status, 400)
        status, _, _ = http("POST", "/payments", {"amount": "1", "to": "x"}, {"Authorization": f"Bearer {TOKEN}"})
        self.assertEqual(status, 400)
        self.assertEqual(http("POST", "/payments", {"amount": "1", "to": "x"})[0], 401)

    def test_a_mission_that_is_known_and_fresh_pays_nothing_without_an_answer_in_time(self):
        http, mission = self.http(), self.mission()
        self.assertEqual(self.shop.pay(http, mission)[0], 201)
        out = queue.Queue()
        self.transmitter.process.pause()
        try:
            asker = threading.Thread(target=lambda: out.put(self.shop.pay(http, mission)))
            asker.start()
            status, refused = out.get(timeout=10)
            asker.join()
        finally:
            self.transmitter.process.p.send_signal(signal.SIGCONT)
        self.assertEqual((status, refused["outcome"]), (403, "refused"), refused)
        self.assertIn("not confirmed", refused["reason"])

    def test_a_ledger_outlives_a_kill_and_a_torn_line(self):
        mission, key = self.mission(), secrets.token_hex(8)
        http = self.http()
        status, paid = self.shop.pay(http, mission, key)
        self.assertEqual(status, 201)
        self.shop.process.kill()
        with open(self.shop.ledger_file, "a") as f:
            f.write('{"payment":"pay-torn","key":"half of a li')
        self.revoke(mission)
        self.shop.start()
        http.close()
        status, again = self.shop.pay(http, mission, key)
        self.assertEqual((status, again["payment"]), (200, paid["payment"]))
        self.assertEqual(self.shop.pay(http, mission)[0], 403)
        self.assertNotIn("pay-torn", self.shop.ledger()[0])
        # It was paid before the mission ended, and the ledger does not claim otherwise.
        self.assertNotIn(paid["payment"], self.shop.ledger()[1])

    # ---------------------------------------------------------------------------------- the race

    def test_no_payment_asked_for_after_the_acknowledgement_is_made(self):
        races = Races(self)
        begun = time.monotonic()
        # Half of them while signals arrive: what the cache has heard refuses, too. The other half
        # without: the operator has paused the streams, and Mission Status is the only word there is.
        races.run(RACES // 2)
        self.set_streams("pause")
        races.run(RACES - RACES // 2)
        self.set_streams("enable")
        took = time.monotonic() - begun
        self.assertEqual(races.problems, [])
        self.assertEqual(len(races.acknowledged), RACES)
        counts = races.judge()
        print(f"\n{RACES} races in {took:.1f} s: {counts}", file=sys.stderr)
        # It was a race: payments fell on both sides of the revocation and into it, and Status had to
        # refuse what no signal had told of.
        self.assertGreaterEqual(counts["asked after the acknowledgement"], RACES // 4)
        self.assertGreaterEqual(counts["refused by Status alone"], RACES // 4)
        self.assertGreaterEqual(counts["committed"], RACES // 20)
        self.assertGreaterEqual(counts["overlapped"], RACES // 100)
        self.assertGreater(counts["made after the acknowledgement, asked for before"], 0)

    def set_streams(self, verb):
        streams = self.transmitter.call("operator", "GET", "/admin/streams", scope="ssf.admin")[1]
        for stream in streams:
            status, body = self.transmitter.call(
                "operator", "POST", f"/admin/streams/{stream['stream_id']}/{verb}", {}, scope="ssf.admin")
            self.assertEqual(status, 200, body)


class Caller:
    """One thread's connection to the transmitter."""

    def __init__(self, transmitter):
        self.transmitter = transmitter
        self.http = h.Http(transmitter.port, transmitter.ca)
        self.bearer = transmitter.token("operator", "mission.write")

    def create(self, actions=("payments.execute",)):
        body = h.mission_body(resource=PAY, actions=actions)
        status, _, answer = self.http("POST", "/missions", body, {"Authorization": f"Bearer {self.bearer}"})
        if status != 201:
            raise AssertionError(f"create: {status} {answer!r}")
        return json.loads(answer)["mission_id"]

    def lifecycle(self, mission, operation):
        """(claims of the answer, when it was here)"""
        t = self.transmitter
        fields = {"mission_id": mission, "operation": operation, "nonce": secrets.token_urlsafe(12),
                  "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                  "client_assertion": t.clients["operator"].assertion(t.lifecycle_url)}
        status, _, answer = self.http("POST", "/mission/lifecycle", urllib.parse.urlencode(fields),
                                      content_type="application/x-www-form-urlencoded")
        here = now_us()
        if status != 200:
            raise AssertionError(f"{operation}: {status} {answer!r}")
        return h.jwt_claims(answer.decode())["mission"], here


class Races:
    """Missions that are revoked while they are paid for: three payments each, of two shops, begun at
    random moments around the revocation, and one that is begun when it has been acknowledged."""

    def __init__(self, test):
        self.test, self.problems = test, []
        self.acknowledged = {}  # mission -> (when it was here, when it was committed, version)
        self.lock = threading.Lock()

    def run(self, count):
        jobs = queue.Queue()
        for n in range(count):
            jobs.put(n)
        threads = [threading.Thread(target=self.work, args=(jobs,)) for _ in range(WORKERS)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()

    def work(self, jobs):
        try:
            me = Caller(self.test.transmitter)
            shops = [(self.test.shop, h.Http(self.test.shop.port, self.test.transmitter.ca)),
                     (self.test.hasty, h.Http(self.test.hasty.port, self.test.transmitter.ca))]
            payer = Payer(shops)
            while True:
                try:
                    jobs.get_nowait()
                except queue.Empty:
                    break
                self.race(me, payer)
            payer.stop()
            for _, http in shops:
                http.close()
            me.http.close()
        except Exception as e:
            self.problems.append(f"{type(e).__name__}: {e}")

    def race(self, me, payer):
        mission = me.create()
        # The transmitter's answer takes a few milliseconds: so do the steps of the race.
        begun = payer.begin(mission, [random.uniform(0, 0.012) for _ in range(3)])
        time.sleep(random.uniform(0, 0.012))
        told, here = me.lifecycle(mission, "revoke")
        with self.lock:
            self.acknowledged[mission] = (here, utc_us(told["committed_at"]), told["version"])
        payer.pay_now(mission)
        begun.wait(20)

    def judge(self):
        counts = dict.fromkeys([
            "committed", "refused", "overlapped", "asked after the acknowledgement", "refused by Status alone",
            "made after the acknowledgement, asked for before", "too late"], 0)
        for shop in (self.test.shop, self.test.hasty):
            def settled(shop=shop):
                payments, marked = shop.ledger()
                due = {p["payment"] for p in payments.values() if self.must_be_marked(p)}
                return due <= set(marked)
            h.wait_for(settled, 20, why=f"{shop.name}: every overlap is recorded")
            payments, marked = shop.ledger()
            for p in payments.values():
                if p["mission"] in self.acknowledged:
                    self.judge_one(shop, p, marked.get(p["payment"]), counts)
        return counts

    def must_be_marked(self, p):
        known = self.acknowledged.get(p["mission"])
        return known and p["outcome"] == "committed" and known[1] <= p["committed_us"]

    def judge_one(self, shop, p, mark, counts):
        test, (here, ended, version) = self.test, self.acknowledged[p["mission"]]
        counts[p["outcome"]] += 1
        sent_after = "sent_at" in p and utc_us(p["sent_at"]) > here
        counts["asked after the acknowledgement"] += sent_after
        if p["outcome"] == "refused":
            test.assertIsNone(mark)
            counts["refused by Status alone"] += sent_after and p["reason"] == "mission revoked"
            counts["too late"] += "older than" in p["reason"] or "in time" in p["reason"]
            return
        test.assertFalse(sent_after, p)
        # Within the enforced age of an answer that was true when it was asked for.
        test.assertLessEqual(p["age_us"], shop.max_age_ms * 1000, p)
        test.assertLess(p["version"], version)
        test.assertLessEqual(p["committed_us"] - utc_us(p["sent_at"]), shop.max_age_ms * 1000 + 1000, p)
        if p["committed_us"] > here:
            counts["made after the acknowledgement, asked for before"] += 1
        if self.must_be_marked(p):
            counts["overlapped"] += 1
            test.assertEqual((mark["ended_version"], mark["ended_as"], mark["overlapped"]), (version, "revoked", True))
        else:
            test.assertIsNone(mark, f"{p} is marked, and was made before the mission ended at {ended}")


class Payer:
    """Pays from threads that wait: one per payment of a race."""

    def __init__(self, shops):
        self.shops = shops
        self.jobs = [queue.Queue() for _ in range(3)]
        self.threads = []
        for n, jobs in enumerate(self.jobs):
            shop = shops[n % 2][0]
            http = h.Http(shop.port, shop.transmitter.ca)
            self.threads.append(threading.Thread(target=self.work, args=(jobs, shop, http), daemon=True))
            self.threads[-1].start()

    @staticmethod
    def work(jobs, shop, http):
        while (job := jobs.get()) is not None:
            mission, delay, done = job
            time.sleep(delay)
            try:
                shop.pay(http, mission)
            finally:
                done.release()
        http.close()

    class Begun:
        def __init__(self, count):
            self.count, self.done = count, threading.Semaphore(0)

        def wait(self, seconds):
            for _ in range(self.count):
                if not self.done.acquire(timeout=seconds):
                    raise AssertionError("a payment was not answered")

    def begin(self, mission, delays):
        begun = self.Begun(len(delays))
        for jobs, delay in zip(self.jobs, delays):
            jobs.put((mission, delay, begun.done))
        return begun

    def pay_now(self, mission):
        for shop, http in self.shops:
            status, body = shop.pay(http, mission)
            if status != 403:
                raise AssertionError(f"paid after the acknowledgement: {body}")

    def stop(self):
        for jobs in self.jobs:
            jobs.put(None)
        for t in self.threads:
            t.join()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--build-dir", type=pathlib.Path, default=BUILD_DIR)
    parser.add_argument("--races", type=int, default=RACES)
    options, rest = parser.parse_known_args()
    BUILD_DIR, RACES = options.build_dir.resolve(), options.races
    sys.setswitchinterval(0.0005)
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)
