"""Who may come in: RFC 6749, 6750, 7523, 9449, and the profile's sections 2.7.1 to 2.7.3."""
import json
import time
import urllib.parse

import peer as p
import world as w


class TokenEndpoint(w.Case):
    def token_error(self, answer, status, code):
        self.assertEqual(answer.status, status, answer)
        body = answer.json()
        self.assertEqual(body["error"], code, body)
        self.assertEqual(answer.headers["cache-control"], "no-store")
        if status == 401:
            self.assertIn("www-authenticate", answer.headers)

    def test_each_way_to_authenticate_gives_a_token_that_works(self):
        for name, how in (("suite", "basic"), ("suite", "post"), ("erp", "assertion")):
            answer = self.client(name).token_request(how)
            body = self.assert_ok(answer)
            self.assertEqual(body["token_type"].lower(), "bearer")
            self.assertTrue(0 < body["expires_in"] <= 3600)
            self.assertTrue(body["scope"])
            got = self.world.anyone("GET", "/ssf/streams", None, {"Authorization": "Bearer " + body["access_token"]})
            self.assertEqual(got.status, 200, how)

    def test_a_token_is_for_the_scopes_that_were_asked_for(self):
        answer = self.client("suite").token_request(scope="ssf.read")
        body = self.assert_ok(answer)
        self.assertEqual(body["scope"], "ssf.read")
        head = {"Authorization": "Bearer " + body["access_token"]}
        self.assertEqual(self.world.anyone("GET", "/ssf/streams", None, head).status, 200)
        self.assert_error(self.world.anyone("POST", "/ssf/streams", {}, head), 403, "insufficient_scope")

    def test_scopes_that_the_client_does_not_have_are_invalid_scope(self):
        for scope in ("ssf.admin", "ssf.read ssf.admin", "no.such.scope"):
            self.token_error(self.client("suite").token_request(scope=scope), 400, "invalid_scope")

    def test_a_wrong_secret_and_an_unknown_client_get_the_same_answer(self):
        suite = self.client("suite")
        kept = suite.id, suite.secret
        answers = []
        try:
            for suite.id, suite.secret in ((kept[0], "wrong"), ("nobody", kept[1]), ("static", "x"), ("erp", "x")):
                for how in ("basic", "post"):
                    answer = suite.token_request(how)
                    self.token_error(answer, 401, "invalid_client")
                    answers.append(answer.body)
        finally:
            suite.id, suite.secret = kept
        self.assertEqual(len(set(answers)), 1)

    def test_other_grants_are_unsupported(self):
        for grant in ("password", "authorization_code", "refresh_token", "x"):
            self.token_error(self.client("suite").token_request(grant_type=grant), 400, "unsupported_grant_type")
        self.token_error(self.client("suite").token_request(grant_type=None), 400, "invalid_request")

    def test_a_client_id_in_the_form_may_repeat_the_one_of_basic_and_nothing_else(self):
        self.assertEqual(self.client("suite").token_request("basic", client_id="suite").status, 200)
        self.assertIn(self.client("suite").token_request("basic", client_id="reader").status, (400, 401))

    def test_two_ways_to_authenticate_at_once_are_refused(self):
        answer = self.client("suite").token_request("basic", client_id="suite",
                                                    client_secret=self.client("suite").secret)
        self.token_error(answer, 400, "invalid_request")

    def test_parameters_that_are_repeated_are_invalid(self):
        suite = self.client("suite")
        form = urllib.parse.urlencode([("grant_type", "client_credentials"), ("client_id", suite.id),
                                       ("client_secret", suite.secret), ("scope", "ssf.read"),
                                       ("scope", "ssf.manage")])
        self.token_error(suite.http("POST", "/oauth/token", form, None, p.FORM), 400, "invalid_request")

    def test_a_body_that_is_no_form_is_415(self):
        answer = self.world.anyone("POST", "/oauth/token", {"grant_type": "client_credentials"})
        self.token_error(answer, 415, "invalid_request")

    def test_an_assertion_may_name_issuer_or_endpoint_and_is_taken_once(self):
        erp = self.client("erp")
        for audience in (self.world.issuer, self.world.issuer + "/oauth/token"):
            assertion = erp.assertion(audience)
            self.assertEqual(erp.token_request(client_assertion=assertion).status, 200, audience)
            self.token_error(erp.token_request(client_assertion=assertion), 401, "invalid_client")

    def test_assertions_that_prove_nothing_are_refused(self):
        erp, now = self.client("erp"), int(time.time())
        stranger = p.make_key()
        claims = {"iss": "erp", "sub": "erp", "aud": self.world.issuer, "iat": now, "exp": now + 60, "jti": "j"}
        for why, assertion in {
                "expired": erp.assertion(iat=now - 300, exp=now - 200),
                "no exp": erp.assertion(exp=None),
                "no jti": erp.assertion(jti=None),
                "another audience": erp.assertion("https://elsewhere.example"),
                "another's name": erp.assertion(iss="crm", sub="crm"),
                "another's key": p.sign(stranger, claims, kid=erp.key.get("kid")),
                "unknown kid": p.sign(erp.key, claims, kid="nobody"),
                "alg none": p.b64('{"alg":"none"}') + "." + p.b64(json.dumps(claims)) + ".",
                "no token": "x", "empty": "",
        }.items():
            answer = erp.token_request(client_assertion=assertion)
            self.assertIn(answer.status, (400, 401), why)
            self.assertIn(answer.json()["error"], ("invalid_client", "invalid_request"), why)


class Tokens(w.Case):
    def head(self, value, method="GET", path="/ssf/streams", **more):
        return self.world.anyone(method, path, None, {"Authorization": value, **more})

    def test_a_static_token_works_and_an_expired_one_does_not(self):
        self.assertEqual(self.head("Bearer " + self.client("static").fixed).status, 200)
        self.assert_error(self.head("Bearer " + self.client("expired").fixed), 401)

    def test_the_scheme_is_read_in_any_case(self):
        for scheme in ("bearer", "BEARER", "Bearer"):
            self.assertEqual(self.head(f"{scheme} {self.client('static').fixed}").status, 200, scheme)

    def test_whatever_is_no_token_is_401_and_the_challenge_says_why(self):
        good = self.client("suite").token()
        for value in ("Bearer", "Bearer ", "Bearer x", "Bearer " + good[:-2], "Bearer " + good + "A",
                      "Bearer " + good + " " + good, "Bearer a.b.c", "Bearer \"", "Bearer " + "=" * 40,
                      "Basic " + p.b64("suite:" + self.client("suite").secret), "Digest x", good,
                      "DPoP " + good, "Bearer \xff\xfe"):
            answer = self.world.anyone("GET", "/ssf/streams", None, {"Authorization": value.encode("latin-1")})
            self.assert_error(answer, 401, why=value)
            self.assertTrue(answer.headers["www-authenticate"].lower().startswith(("bearer", "dpop")), value)
        answer = self.head("Bearer x")
        self.assertIn("invalid_token", answer.headers["www-authenticate"])

    def test_no_token_at_all_is_401_without_an_error_code(self):
        answer = self.world.anyone("GET", "/ssf/streams")
        self.assert_error(answer, 401)
        self.assertNotIn("error=", answer.headers["www-authenticate"])

    def test_a_token_in_the_query_or_in_a_form_is_refused(self):
        token = self.client("suite").token()
        answer = self.world.anyone("GET", "/ssf/streams?access_token=" + token)
        self.assertIn(answer.status, (400, 401))
        self.assert_error(answer, answer.status)
        answer = self.world.anyone("GET", "/ssf/streams?access_token=" + token, None, self.client("suite").bearer())
        self.assertIn(answer.status, (400, 401))
        answer = self.world.anyone("POST", "/ssf/verify", "access_token=" + token, None, p.FORM)
        self.assert_error(answer, 401)

    def test_a_set_is_no_access_token(self):
        stream = self.stream("suite", [p.SESSION_REVOKED])
        self.client("suite")("POST", "/ssf/verify", {"stream_id": stream["stream_id"], "state": "x"})
        got = self.client("suite").drain(stream, lambda seen: len(seen) >= 1)
        self.assert_error(self.head("Bearer " + got[0]["_token"]), 401)

    def test_an_insufficient_scope_is_told_as_such(self):
        answer = self.client("reader")("POST", "/ssf/streams", {})
        self.assert_error(answer, 403, "insufficient_scope")
        self.assertIn("insufficient_scope", answer.headers["www-authenticate"])
        self.assertIn("ssf.manage", answer.headers["www-authenticate"])


class Dpop(w.Case):
    """RFC 9449: a token that is worth nothing without the key it was issued to."""

    def bound(self, **fields):
        key = p.make_key()
        url = self.world.issuer + "/oauth/token"
        answer = self.client("suite").token_request(headers={"DPoP": p.dpop_proof(key, "POST", url)}, **fields)
        self.assertEqual(answer.json().get("token_type"), "DPoP", answer)
        return key, answer.json()["access_token"]

    def ask(self, token, proof, scheme="DPoP", path="/ssf/streams"):
        return self.world.anyone("GET", path, None, {"Authorization": f"{scheme} {token}", "DPoP": proof})

    def test_a_bound_token_opens_with_its_key_alone(self):
        key, token = self.bound()
        url = self.world.issuer + "/ssf/streams"
        self.assertEqual(self.ask(token, p.dpop_proof(key, "GET", url, token)).status, 200)
        plain = self.world.anyone("GET", "/ssf/streams", None, {"Authorization": "Bearer " + token})
        self.assert_error(plain, 401)
        self.assert_error(self.world.anyone("GET", "/ssf/streams", None, {"Authorization": "DPoP " + token}), 401)
        self.assert_error(self.ask(token, p.dpop_proof(p.make_key(), "GET", url, token)), 401)

    def test_a_proof_is_for_one_request(self):
        key, token = self.bound()
        url, now = self.world.issuer + "/ssf/streams", int(time.time())
        once = p.dpop_proof(key, "GET", url, token)
        self.assertEqual(self.ask(token, once).status, 200)
        for why, proof in {
                "used before": once,
                "another method": p.dpop_proof(key, "POST", url, token),
                "another address": p.dpop_proof(key, "GET", self.world.issuer + "/ssf/status", token),
                "another token": p.dpop_proof(key, "GET", url, "another"),
                "no token named": p.dpop_proof(key, "GET", url),
                "long ago": p.dpop_proof(key, "GET", url, token, iat=now - 3600),
                "far ahead": p.dpop_proof(key, "GET", url, token, iat=now + 3600),
                "no jti": p.dpop_proof(key, "GET", url, token, jti=None),
                "another type": p.dpop_proof(key, "GET", url, token, header={"typ": "JWT"}),
                "no key": p.dpop_proof(key, "GET", url, token, header={"jwk": None}),
                "the private key": p.dpop_proof(key, "GET", url, token, header={"jwk": json.loads(key.export())}),
                "no proof": "x"}.items():
            answer = self.ask(token, proof)
            self.assert_error(answer, 401, why=why)
            self.assertIn("dpop", answer.headers["www-authenticate"].lower(), why)
