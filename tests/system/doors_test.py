"""Bad input at the real doors: a clear error, nothing lost, nobody else disturbed.

    doors_test.py --build-dir DIR [unittest arguments]
"""
import json
import os
import pathlib
import resource
import secrets
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import harness as h  # noqa: E402

BUILD = pathlib.Path("build/test")
FORM = "application/x-www-form-urlencoded"
ALL = ["mission.write", "mission.read", "mission.scope", "mission_lifecycle", "mission_status", "ssf.admin"]


def clients(folder):
    operator = h.Client("operator", folder, audience="https://operator.example", scopes=ALL, missions="all",
                        lifecycle=["revoke", "suspend", "resume", "complete"])
    listener = dict(audience="https://erp.example", scopes=["ssf.read", "ssf.manage", "mission_status"])
    return [operator, h.Client("erp", folder, **listener), h.Client("erp-push", folder, **listener),
            h.Client("other", folder, audience="https://other.example",
                     scopes=["ssf.read", "ssf.manage", "mission_status", "mission.read"]),
            h.Client("reader", folder, audience="https://erp.example", scopes=["ssf.read", "mission.read"])]


class Door(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="mission-doors-"))
        h.make_ca(cls.folder)
        cls.t = h.Transmitter(BUILD / "transmitter/mission-transmitter", cls.folder, clients(cls.folder))
        # Also when a later part of the set-up fails.
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.addClassCleanup(lambda: cls.t.process and cls.t.process.stop())
        cls.t.start()

    def raw(self, method, path, body=None, headers=None, content_type="application/json"):
        http = h.Http(self.t.port, self.t.ca)
        try:
            return http(method, path, body, headers, content_type)
        finally:
            http.close()

    def bearer(self, client="operator"):
        return {"Authorization": "Bearer " + self.t.token(client)}

    def check_error(self, answer, status, code=None):
        """An error answer: that status, a JSON object with a code and a description."""
        got, headers, body = answer
        self.assertEqual(got, status, body[:300])
        parsed = json.loads(body)
        self.assertTrue(parsed.get("error") or parsed.get("err"), body)
        self.assertTrue(parsed.get("error_description") or parsed.get("description"), body)
        self.assertEqual(headers.get("cache-control"), "no-store")
        if code:
            self.assertEqual(parsed.get("error") or parsed.get("err"), code)
        return parsed


class Json(Door):
    def test_what_is_no_json_is_400_and_changes_nothing(self):
        before = self.t.call("operator", "GET", "/missions")[1]
        for path in ("/missions", "/ssf/streams"):
            client = "operator" if path == "/missions" else "erp"
            for bad in (b"", b"{", b"nul", b"[]", b'"x"', b"\xff\xfe", b'{"a":1}}', b"\x00", b"{'a':1}"):
                if path == "/ssf/streams" and bad == b"":
                    continue  # an empty create is a create with defaults or a 400: the schema decides
                self.check_error(self.raw("POST", path, bad, self.bearer(client)), 400)
        self.assertEqual(self.t.call("operator", "GET", "/missions")[1], before)

    def test_duplicate_members_are_400(self):
        body = json.dumps(h.mission_body())[:-1] + ', "purpose": "another"}'
        self.check_error(self.raw("POST", "/missions", body, self.bearer()), 400)

    def test_nesting_beyond_the_limit_is_400(self):
        body = '{"purpose":' + "[" * 10000 + "]" * 10000 + "}"
        self.check_error(self.raw("POST", "/missions", body, self.bearer()), 400)

    def test_a_body_beyond_the_limit_is_413(self):
        body = json.dumps(h.mission_body(purpose="x" * (3 << 20)))
        try:
            status = self.raw("POST", "/missions", body, self.bearer())[0]
        except OSError:
            return  # closed before we had sent it all: as good an answer
        self.assertEqual(status, 413)

    def test_a_wrong_content_type_is_415_and_none_is_accepted(self):
        body = json.dumps(h.mission_body())
        self.check_error(self.raw("POST", "/missions", body, self.bearer(), content_type="text/plain"), 415)
        self.assertEqual(self.raw("POST", "/missions", body, self.bearer(), content_type=None)[0], 201)

    def test_members_of_a_wrong_type_are_400_and_named(self):
        for member, value in (("purpose", 5), ("agent", "x"), ("authorization_details", {}),
                              ("expires_at", "soon"), ("approver", {"iss": 1}), ("agent", {}),
                              ("authorization_details", []), ("expires_at", "2001-01-01T00:00:00Z")):
            body = h.mission_body(**({member: value} if member != "agent" else {}))
            body[member] = value
            error = self.check_error(self.raw("POST", "/missions", body, self.bearer()), 400)
            self.assertIn(member, error.get("description") or error.get("error_description"))
        body = h.mission_body()
        del body["purpose"]
        self.assertIn("purpose", self.check_error(self.raw("POST", "/missions", body, self.bearer()), 400)["description"])

    def test_mission_ids_with_wrong_characters_are_400(self):
        for bad in ("x" * 21, "x" * 129, "a/b" * 10, "mission id with spaces in it", "%00" * 22, "é" * 22):
            status, _, body = self.raw("GET", "/missions/" + urllib.parse.quote(bad, safe="%"), headers=self.bearer())
            self.assertIn(status, (400, 404), body)
            self.check_error(self.t.form("operator", "/mission/lifecycle",
                                         {"mission_id": bad, "operation": "revoke", "nonce": "n"}), 400,
                             "invalid_request")
        body = h.mission_body(mission_id="not valid!" * 3)
        self.check_error(self.raw("POST", "/missions", body, self.bearer()), 400)


class Tokens(Door):
    def test_every_kind_of_bad_bearer_token_is_401(self):
        good = self.t.token("operator")
        for token in ("", "x", good[:-1], good + "A", good[::-1], "a.b.c", "ü", "x" * 20000, "\"", "=" * 50):
            try:
                answer = self.raw("GET", "/missions", headers={"Authorization": b"Bearer " + token.encode()})
            except OSError:
                self.assertGreater(len(token), 15000)  # a head beyond the limit may be cut off
                continue
            if len(token) > 15000:
                self.assertIn(answer[0], (401, 431))
                continue
            self.assertEqual(answer[0], 401, token)
            offered = answer[1].get("www-authenticate", "")
            self.assertRegex(offered, r"(^|, )Bearer error=\"invalid_token\"")
            self.assertRegex(offered, r", DPoP algs=")
        self.assertEqual(self.raw("GET", "/missions")[0], 401)
        self.assertEqual(self.raw("GET", "/missions", headers={"Authorization": "Basic eDp5"})[0], 401)

    def test_a_token_in_the_query_is_refused(self):
        token = self.t.token("operator")
        self.assertIn(self.raw("GET", "/missions?access_token=" + token)[0], (400, 401))

    def test_the_token_comes_before_the_scope_and_both_before_the_body(self):
        self.check_error(self.raw("POST", "/missions", b"{", {"Authorization": "Bearer x"}), 401)
        answer = self.raw("POST", "/missions", b"{", self.bearer("reader"))
        self.check_error(answer, 403)
        self.assertIn("insufficient_scope", answer[1].get("www-authenticate", ""))

    def assertion_answer(self, assertion, **fields):
        body = {"grant_type": "client_credentials",
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                "client_assertion": assertion, **fields}
        return self.raw("POST", "/oauth/token", urllib.parse.urlencode(body), content_type=FORM)

    def test_every_kind_of_bad_client_assertion_is_refused(self):
        c, aud = self.t.clients["operator"], self.t.url + "/oauth/token"
        now = int(time.time())
        claims = {"iss": c.id, "sub": c.id, "aud": aud, "iat": now, "exp": now + 60}

        def jwt(header=None, key=c.key, **changes):
            return key.jwt({k: v for k, v in {**claims, "jti": secrets.token_urlsafe(8), **changes}.items()
                            if v is not None}, header=header)

        good = jwt()
        self.assertEqual(self.assertion_answer(good)[0], 200)
        head, body, signature = jwt().split(".")
        bad = {
            "replayed jti": good,
            "alg none": jwt({"alg": "none"}),
            "HS256 with the public key": jwt({"alg": "HS256"}),
            "alg is a number": h.b64('{"alg":5,"typ":"JWT"}') + "." + body + "." + signature,
            "alg of another family": jwt({"alg": "RS256"}),
            "wrong kid": jwt({"kid": "nobody"}),
            "another client's key": jwt(key=self.t.clients["erp"].key, header={"kid": c.key.kid}),
            "truncated": ".".join((head, body, signature[:-4])),
            "re-encoded": ".".join((head, body, signature + "=")),
            "four parts": jwt() + ".x",
            "crit": jwt({"crit": ["exp"]}),
            "wrong aud": jwt(aud="https://elsewhere.example"),
            "no aud": jwt(aud=None),
            "expired": jwt(exp=now - 120, iat=now - 180),
            "iat in the future": jwt(iat=now + 3600, exp=now + 3660),
            "exp years away": jwt(exp=now + 10**8),
            "no exp": jwt(exp=None),
            "no jti": jwt(jti=None),
            "sub of another": jwt(sub="erp"),
            "iss of another": jwt(iss="erp"),
            "claims of wrong types": jwt(exp="soon"),
            "not a token": "x",
            "empty": "",
        }
        for why, assertion in bad.items():
            status, headers, answer = self.assertion_answer(assertion)
            self.assertIn(status, (400, 401), f"{why}: {answer}")
            self.assertIn(json.loads(answer)["error"], ("invalid_client", "invalid_request"), why)
            self.assertEqual(headers.get("cache-control"), "no-store")
        self.assertEqual(self.assertion_answer(jwt(), grant_type="password")[0], 400)
        self.assertEqual(self.assertion_answer(jwt(), scope="everything")[0], 400)

    def test_the_form_endpoints_take_no_assertion_meant_for_another_endpoint(self):
        c = self.t.clients["operator"]
        fields = {"mission_id": "m" * 22, "operation": "revoke", "nonce": "n1",
                  "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                  "client_assertion": c.assertion(self.t.url + "/oauth/token")}
        self.check_error(self.raw("POST", "/mission/lifecycle", urllib.parse.urlencode(fields), content_type=FORM),
                         401, "unauthorized")
        self.check_error(self.raw("POST", "/mission/status", "mission_id=" + "m" * 22 + "&nonce=n",
                                  content_type=FORM), 401, "unauthorized")
        # Plain bearer is refused unless the configuration allows it.
        self.check_error(self.raw("POST", "/mission/status", "mission_id=" + "m" * 22 + "&nonce=n",
                                  self.bearer("erp"), content_type=FORM), 401, "unauthorized")

    def test_a_token_request_that_is_no_form_is_415(self):
        self.check_error(self.raw("POST", "/oauth/token", b"{}"), 415, "invalid_request")

    def test_nobody_learns_a_tenant_by_filtering_for_it(self):
        status, mission = self.t.create("operator", tenant="acme")
        self.assertEqual(status, 201)
        known = [m["mission_id"] for m in self.t.call("reader", "GET", "/missions?limit=1000")[1]["missions"]]
        self.assertIn(mission["mission_id"], known)
        self.assertEqual(self.t.call("reader", "GET", "/missions?tenant=acme")[1]["missions"], [])
        own = [m["mission_id"] for m in self.t.call("operator", "GET", "/missions?tenant=acme")[1]["missions"]]
        self.assertEqual(own, [mission["mission_id"]])

    def test_the_last_page_of_a_list_names_no_next_one(self):
        self.t.create("operator", agent="pager")
        status, page = self.t.call("operator", "GET", "/missions?agent=pager&limit=1")
        self.assertEqual((status, len(page["missions"])), (200, 1))
        self.assertNotIn("next_cursor", page)

    def test_unknown_and_hidden_missions_are_the_same_404(self):
        _, mission = self.t.create("operator")
        answers = []
        for mission_id in (mission["mission_id"], "m" * len(mission["mission_id"])):
            status, headers, body = self.t.form("other", "/mission/status", {"mission_id": mission_id, "nonce": "same"})
            self.assertEqual(status, 404)
            answers.append((body, {k: v for k, v in headers.items() if k != "date"}))
        self.assertEqual(answers[0], answers[1])
        self.assertEqual(self.t.call("other", "GET", "/missions/" + mission["mission_id"])[0], 404)


class Streams(Door):
    def test_a_push_stream_is_not_polled(self):
        body = {"delivery": {"method": "urn:ietf:rfc:8935", "endpoint_url": f"https://localhost:{h.free_port()}/"},
                "events_requested": h.MISSION_TYPES}
        status, stream = self.t.call("erp", "POST", "/ssf/streams", body)
        self.assertEqual(status, 201)
        self.check_error(self.raw("POST", "/ssf/poll/" + stream["stream_id"], b"{}", self.bearer("erp")), 404)
        self.t.call("erp", "DELETE", "/ssf/streams?stream_id=" + stream["stream_id"])

    def test_members_that_are_null_count_as_left_out(self):
        body = {"delivery": None, "events_requested": None, "description": None}
        status, stream = self.t.call("erp", "POST", "/ssf/streams", body)
        self.assertEqual((status, stream["events_delivered"]), (201, []))
        self.t.call("erp", "DELETE", "/ssf/streams?stream_id=" + stream["stream_id"])

    def test_push_urls_that_must_not_be_called_are_refused(self):
        for url in ("http://localhost/x", "https://10.0.0.1/x", "https://192.168.1.1/", "https://169.254.169.254/",
                    "https://[::ffff:10.0.0.1]/", "https://[fe80::1]/", "https://[fc00::1]/", "https://0.0.0.0/",
                    "https://user:pw@localhost/", "https://localhost/#f", "ftp://localhost/", "https://", "x", "",
                    "https://100.64.0.1/", "https://[64:ff9b::a00:1]/", "https://[2002:a00:1::]/",
                    "https://" + "a" * 5000 + ".example/"):
            body = {"delivery": {"method": "urn:ietf:rfc:8935", "endpoint_url": url},
                    "events_requested": h.MISSION_TYPES}
            self.check_error(self.raw("POST", "/ssf/streams", body, self.bearer("erp")), 400)
        self.assertEqual(self.t.call("erp", "GET", "/ssf/streams"), (200, []))

    def test_authorization_headers_that_no_field_can_carry_are_refused(self):
        for value in ("a\r\nX: y", "x\n", "x" * 5000, "\x00", 5, ""):
            body = {"delivery": {"method": "urn:ietf:rfc:8935", "endpoint_url": f"https://localhost:{self.t.port}/",
                                 "authorization_header": value}}
            self.check_error(self.raw("POST", "/ssf/streams", body, self.bearer("erp")), 400)

    def test_another_receivers_stream_is_404_as_none(self):
        status, stream = self.t.call("erp", "POST", "/ssf/streams", {"events_requested": h.MISSION_TYPES})
        self.assertEqual(status, 201)
        answers = set()
        for stream_id in (stream["stream_id"], "0" * len(stream["stream_id"])):
            s, _, body = self.raw("GET", "/ssf/streams?stream_id=" + stream_id, headers=self.bearer("other"))
            self.assertEqual(s, 404)
            answers.add(body)
            s, _, body = self.raw("POST", "/ssf/poll/" + stream_id, b"{}", self.bearer("other"))
            self.assertEqual(s, 404)
            self.assertEqual(self.raw("DELETE", "/ssf/streams?stream_id=" + stream_id,
                                      headers=self.bearer("other"))[0], 404)
        self.assertEqual(len(answers), 1)
        self.assertEqual(self.raw("DELETE", "/ssf/streams?stream_id=" + stream["stream_id"],
                                  headers=self.bearer("erp"))[0], 204)

    def test_poll_bodies_of_wrong_shape_are_400(self):
        _, stream = self.t.call("erp", "POST", "/ssf/streams", {"events_requested": h.MISSION_TYPES})
        path = "/ssf/poll/" + stream["stream_id"]
        for bad in ({"ack": "x"}, {"maxEvents": -1}, {"maxEvents": "1"}, {"setErrs": []}, {"setErrs": {"j": 1}},
                    {"returnImmediately": 1}, {"ack": [1]}, []):
            self.check_error(self.raw("POST", path, json.dumps(bad), self.bearer("erp")), 400)
        self.assertEqual(self.t.call("erp", "POST", path, {"returnImmediately": True, "ack": ["never-issued"]})[0], 200)
        self.t.call("erp", "DELETE", "/ssf/streams?stream_id=" + stream["stream_id"])


    def test_what_a_receiver_reports_neither_floods_nor_forges_the_log(self):
        _, stream = self.t.call("erp", "POST", "/ssf/streams", {"events_requested": h.MISSION_TYPES})
        path, log = "/ssf/poll/" + stream["stream_id"], self.folder / "transmitter.log"
        said = "\u001b[2J\r\n2026-01-01T00:00:00.000Z info forged\u009b2J\u0000"
        for errors in ({f"jti-{i}": {"err": "invalid_request"} for i in range(10_000)},
                       {said + "j" * 500_000: {"err": said, "description": said}}):
            before = log.stat().st_size
            self.assertEqual(self.t.call("erp", "POST", path, {"returnImmediately": True, "setErrs": errors})[0], 200)
            with log.open("rb") as f:
                f.seek(before)
                grown = f.read()
            self.assertIn(b"receiver reports", grown)
            self.assertLess(len(grown), 20_000)
            for control in (b"\x1b", b"\x9b", b"\r", b"\x00", b"\n2026-01-01"):
                self.assertNotIn(control, grown)
        self.t.call("erp", "DELETE", "/ssf/streams?stream_id=" + stream["stream_id"])


class Connections(Door):
    def tls(self):
        context = ssl.create_default_context(cafile=str(self.t.ca))
        return context.wrap_socket(socket.create_connection(("127.0.0.1", self.t.port), timeout=30),
                                   server_hostname="localhost")

    def test_slow_and_half_open_connections_delay_nobody_and_are_closed(self):
        idle = [socket.create_connection(("127.0.0.1", self.t.port), timeout=30) for _ in range(50)]
        slow = [self.tls() for _ in range(20)]
        for s in slow:
            s.sendall(b"GET /jwks.json HT")
        started = time.monotonic()
        for _ in range(20):
            self.assertEqual(self.raw("GET", "/jwks.json")[0], 200)
        self.assertLess(time.monotonic() - started, 5)
        for s in slow:  # cut off at the header deadline, with or without a 408
            s.settimeout(25)
            data = s.recv(4096)
            self.assertTrue(data == b"" or b" 408 " in data.split(b"\r\n")[0] or b" 400 " in data.split(b"\r\n")[0])
            s.close()
        for s in idle:
            s.settimeout(25)
            self.assertEqual(s.recv(1), b"")
            s.close()

    def test_what_is_no_http_is_refused_and_the_next_one_is_served(self):
        for junk in (b"\x16\x03\x01", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x00" * 100,
                     b"POST /missions HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                     b"POST /missions HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
                     b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100000 + b"\r\n\r\n"):
            s = self.tls()
            try:
                s.sendall(junk + b"\r\n\r\n")
                data = s.recv(65536)
                self.assertTrue(data == b"" or data.startswith(b"HTTP/1.") and data.split(b" ")[1][:1] in (b"4", b"5"), data)
            except OSError:
                pass  # reset: refused as well
            finally:
                s.close()
        self.assertEqual(self.raw("GET", "/jwks.json")[0], 200)

    def test_tls_1_1_is_refused(self):
        context = ssl.create_default_context(cafile=str(self.t.ca))
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        with self.assertRaises(OSError):
            context.wrap_socket(socket.create_connection(("127.0.0.1", self.t.port), timeout=10),
                                server_hostname="localhost")


class Start(unittest.TestCase):
    """What an operator sees when it cannot start: one clear line, exit 1 (2 for usage)."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="mission-start-"))
        h.make_ca(self.folder)
        self.binary = BUILD / "transmitter/mission-transmitter"
        self.t = h.Transmitter(self.binary, self.folder, clients(self.folder))
        (self.folder / "state").mkdir(mode=0o700)

    def tearDown(self):
        if self.t.process and self.t.process.alive():
            self.t.process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def fails(self, *words, args=None, preexec=None):
        r = subprocess.run([self.binary, *(args or ["serve", "--config", self.t.config_file])], capture_output=True,
                           timeout=30, preexec_fn=preexec)
        out = (r.stdout + r.stderr).decode(errors="replace")
        self.assertEqual(r.returncode, 1, out)
        for word in words:
            self.assertIn(word, out)
        return out

    def edit(self, old, new):
        text = self.t.config_file.read_text()
        self.assertIn(old, text)
        self.t.config_file.write_text(text.replace(old, new))

    def database(self, *statements):
        subprocess.run(["sqlite3", self.folder / "state/transmitter.db", *statements], check=True, capture_output=True)

    def first_run(self):
        self.t.start()
        self.assertEqual(self.t.create("operator")[0], 201)
        self.assertEqual(self.t.process.stop(), 0)
        self.t.http.close()

    def test_an_unknown_key_is_an_error_that_names_its_line(self):
        self.edit("[push]\n", "[push]\nwindwo = 3\n")
        line = self.t.config_file.read_text().splitlines().index("windwo = 3") + 1
        self.fails("windwo", str(line))
        self.fails("windwo", args=["check-config", "--config", self.t.config_file])

    def test_values_of_a_wrong_type_are_named(self):
        self.edit('[push]\n', '[push]\nwindow = "many"\n')
        self.fails("window")

    def test_no_configuration_file_is_said(self):
        self.fails("nowhere.toml", args=["serve", "--config", "nowhere.toml"])

    def test_a_database_of_a_newer_program_is_refused_and_left_alone(self):
        self.first_run()
        self.database("PRAGMA user_version = 9999")
        before = (self.folder / "state/transmitter.db").read_bytes()
        self.fails("newer", "9999")
        self.assertEqual((self.folder / "state/transmitter.db").read_bytes(), before)

    def test_what_is_no_database_is_refused_and_left_alone(self):
        (self.folder / "state/transmitter.db").write_bytes(b"these are not the rows you are looking for" * 200)
        self.fails("transmitter.db")
        self.assertTrue((self.folder / "state/transmitter.db").read_bytes().startswith(b"these are not"))

    def test_a_locked_database_is_said(self):
        self.first_run()
        self.t.start()
        other = h.Transmitter(self.binary, self.folder, list(self.t.clients.values()))
        # The same store under another port: the second process is refused, the first goes on.
        r = subprocess.run([self.binary, "serve", "--config", other.config_file], capture_output=True, timeout=30)
        self.assertEqual(r.returncode, 1)
        self.assertIn(b"another process", r.stderr + r.stdout)
        self.assertEqual(self.t.create("operator")[0], 201)

    def test_a_port_in_use_is_said(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", self.t.port))
            s.listen()
            self.fails(str(self.t.port))

    def test_unreadable_keys_are_named(self):
        self.first_run()
        for path in (self.folder / "state/keys").rglob("*.pem"):
            path.write_text("-----BEGIN PRIVATE KEY-----\nbroken\n-----END PRIVATE KEY-----\n")
            os.chmod(path, 0o600)
        self.fails(".pem")

    def test_keys_that_others_can_read_are_refused(self):
        self.first_run()
        for path in (self.folder / "state/keys").rglob("*.pem"):
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
            os.chmod(path, 0o644)
        self.fails(".pem")

    def test_a_certificate_that_is_none_is_named(self):
        (self.folder / "cert.pem").write_text("x")
        self.fails("cert")

    def test_a_disk_that_fills_up_answers_503_loses_nothing_and_recovers(self):
        self.first_run()

        def limited():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            size = max(p.stat().st_size for p in (self.folder / "state").glob("transmitter.db*")) + 200_000
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

        log = open(self.folder / "transmitter.log", "ab")
        process = subprocess.Popen([self.binary, "serve", "--config", self.t.config_file], preexec_fn=limited,
                                   stdout=log, stderr=log)
        self.t.process = h.Process.__new__(h.Process)
        self.t.process.p, self.t.process.log = process, log
        self.t.wait_ready()
        accepted, refused = [], None
        for _ in range(400):
            status, body = self.t.create("operator", purpose="x" * 3000)
            if status == 201:
                accepted.append(body["mission_id"])
            else:
                refused = status
                break
        self.assertEqual(refused, 503, "a full disk is 503")
        ready = h.Http(self.t.admin_port, self.t.ca)
        self.assertEqual(ready("GET", "/readyz")[0], 503)
        self.assertEqual(ready("GET", "/healthz")[0], 200)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        h.wait_for(lambda: self.t.create("operator")[0] == 201, 30, why="it recovers by itself")
        h.wait_for(lambda: ready("GET", "/readyz")[0] == 200, 10, why="ready again")
        for mission_id in accepted:
            self.assertEqual(self.t.call("operator", "GET", "/missions/" + mission_id)[0], 200)

    def test_usage_errors_are_2(self):
        r = subprocess.run([self.binary, "serve", "--no-such-flag"], capture_output=True, timeout=10)
        self.assertEqual(r.returncode, 2)

    def test_a_stop_signal_ends_it_in_order(self):
        self.t.start()
        started = time.monotonic()
        self.assertEqual(self.t.process.stop(), 0)
        self.assertLess(time.monotonic() - started, 10)


class Push(Door):
    """The receiver's push door, fed with SETs signed by the transmitter's own key or forged."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        from crash_test import Probe
        cls.probe = Probe(BUILD / "tests/system/probe_receiver", cls.folder, "erp-push", cls.t, "push")
        cls.probe.start()
        cls.addClassCleanup(cls.probe.kill)
        h.wait_for(lambda: (cls.probe.ask("status") or {}).get("streaming"), 20, why="the receiver is live")
        cls.door = h.Http(cls.probe.port, cls.t.ca)
        from cryptography.hazmat.primitives import serialization
        jwks = json.loads(cls.t.http("GET", "/jwks.json")[2])["keys"]
        cls.key = None
        for path in sorted((cls.folder / "state/keys").rglob("*.pem")):
            loaded = serialization.load_pem_private_key(path.read_bytes(), None)
            if not hasattr(loaded, "curve"):
                continue
            k = h.Key()
            k.key = loaded
            for jwk in jwks:
                if jwk.get("x") == k.jwk()["x"]:
                    k.kid = jwk["kid"]
                    cls.key = k
        assert cls.key, "no ES256 key of the transmitter found"

    def claims(self, mission_id, version, state, **changes):
        c = {"iss": self.t.url, "aud": "https://erp.example", "iat": int(time.time()), "jti": secrets.token_urlsafe(16),
             "sub_id": {"format": "complex", "mission": {"format": "opaque", "id": mission_id},
                        "application": {"format": "iss_sub", "iss": self.t.url, "sub": "agent-1"}},
             "events": {h.OURS + "mission-revoked": {
                 "mission": {"id": mission_id, "issuer": self.t.url}, "log_epoch": "other", "state": state,
                 "prior_state": "active", "version": version, "committed_at": "2026-11-02T09:06:40Z",
                 "expires_at": "2036-11-02T09:06:40Z", "event_timestamp": int(time.time())}}}
        c.update(changes)
        return {k: v for k, v in c.items() if v is not None}

    def push(self, token, content_type="application/secevent+jwt", authorization="Bearer probe"):
        headers = {"Content-Type": content_type, "Accept": "application/json"}
        if authorization:
            headers["Authorization"] = authorization
        return self.door("POST", "/push", token, headers)

    def test_forged_and_broken_sets_are_refused_with_their_code_and_change_nothing(self):
        status, mission = self.t.create("operator")
        self.assertEqual(status, 201)
        mission_id = mission["mission_id"]
        h.wait_for(lambda: self.probe.ask(f"check {mission_id}")["standing"] == "active", why="the mission is known")
        good = self.claims(mission_id, 2, "revoked")
        token = self.key.jwt(good, "secevent+jwt")
        head, body, signature = token.split(".")
        stranger = h.Key()
        cases = {
            "alg none": (self.key.jwt(good, "secevent+jwt", {"alg": "none"}), {"invalid_request", "authentication_failed", "invalid_key"}),
            "HS256 with the public key": (self.key.jwt(good, "secevent+jwt", {"alg": "HS256"}),
                                          {"invalid_request", "authentication_failed", "invalid_key"}),
            "a stranger's signature": (stranger.jwt(good, "secevent+jwt", {"kid": self.key.kid}),
                                       {"authentication_failed", "invalid_key"}),
            "truncated": (token[:-6], {"invalid_request", "authentication_failed", "invalid_key"}),
            "re-encoded": (".".join((head, body, signature + "=")), {"invalid_request"}),
            "typ JWT": (self.key.jwt(good, "JWT"), {"invalid_request"}),
            "foreign iss": (self.key.jwt({**good, "iss": "https://elsewhere.example"}, "secevent+jwt"), {"invalid_issuer"}),
            "foreign aud": (self.key.jwt({**good, "aud": "https://elsewhere.example"}, "secevent+jwt"),
                            {"invalid_audience"}),
            "no events": (self.key.jwt({k: v for k, v in good.items() if k != "events"}, "secevent+jwt"),
                          {"invalid_request"}),
            "no jti": (self.key.jwt({k: v for k, v in good.items() if k != "jti"}, "secevent+jwt"), {"invalid_request"}),
            "sub present": (self.key.jwt({**good, "sub": "x"}, "secevent+jwt"), {"invalid_request"}),
            "sub_id names another mission": (self.key.jwt({**good, "sub_id": {"format": "opaque", "id": "m" * 22}},
                                                          "secevent+jwt"), {"invalid_request"}),
            "an id with wrong characters": (self.key.jwt(self.claims("not valid !" * 3, 2, "revoked"), "secevent+jwt"),
                                            {"invalid_request"}),
            "no token": ("x", {"invalid_request"}),
            "empty": ("", {"invalid_request"}),
        }
        for why, (forged, codes) in cases.items():
            status, headers, answer = self.push(forged)
            self.assertEqual(status, 400, f"{why}: {answer}")
            self.assertIn(json.loads(answer)["err"], codes, why)
            self.assertIn("content-language", headers, why)
            self.assertEqual(self.probe.ask(f"check {mission_id}")["standing"], "active", why)
        self.assertEqual(self.push(token, authorization="Bearer wrong")[0], 401)
        self.assertEqual(self.push(token, authorization=None)[0], 401)
        self.assertIn(self.push(token, content_type="text/plain")[0], (400, 415))
        self.assertEqual(self.push(self.key.jwt({**good, "iat": int(time.time()) + 3600}, "secevent+jwt"))[0], 503)
        unknown_kid = self.push(self.key.jwt(good, "secevent+jwt", {"kid": "nobody"}))
        self.assertIn(unknown_kid[0], (400, 503), unknown_kid[2])
        self.assertEqual(self.probe.ask(f"check {mission_id}")["standing"], "active")

    def test_a_denial_takes_effect_once_and_its_repetition_is_acknowledged(self):
        _, mission = self.t.create("operator")
        mission_id = mission["mission_id"]
        h.wait_for(lambda: self.probe.ask(f"check {mission_id}")["standing"] == "active", why="the mission is known")
        status, answer = self.t.lifecycle("operator", mission_id, "revoke")
        self.assertEqual((status, answer["mission"]["version"]), (200, 2))
        h.wait_for(lambda: self.probe.ask(f"check {mission_id}")["standing"] == "revoked", why="the revocation arrives")
        again = self.claims(mission_id, 2, "revoked")
        token = self.key.jwt(again, "secevent+jwt")
        for _ in range(3):
            status, _, body = self.push(token)
            self.assertEqual((status, body), (202, b""))
        # Nothing revives it: an older version that says active is acknowledged and changes nothing.
        self.push(self.key.jwt(self.claims(mission_id, 1, "active"), "secevent+jwt"))
        self.assertEqual(self.probe.ask(f"check {mission_id}")["standing"], "revoked")


if __name__ == "__main__":
    if "--build-dir" in sys.argv:
        i = sys.argv.index("--build-dir")
        BUILD = pathlib.Path(sys.argv[i + 1]).resolve()
        del sys.argv[i:i + 2]
    sys.modules["doors_test"] = sys.modules["__main__"]
    unittest.main(verbosity=2)
