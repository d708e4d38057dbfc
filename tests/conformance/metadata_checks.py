"""Discovery: SSF 1.0 section 7, RFC 8414, RFC 9728, the interoperability profile's section 2.3."""
import json
import socket
import ssl
import unittest
import urllib.parse
import warnings

import peer as p
import world as w

ENDPOINTS = ("configuration_endpoint", "status_endpoint", "add_subject_endpoint", "remove_subject_endpoint",
             "verification_endpoint")


class Metadata(w.Case):
    def document(self):
        answer = self.world.anyone("GET", "/.well-known/ssf-configuration")
        self.assertEqual(answer.status, 200)
        return answer, answer.json()

    def test_metadata_needs_no_token_and_is_a_json_object(self):
        answer, body = self.document()
        self.assertEqual(answer.headers["content-type"], "application/json")
        self.assertEqual(answer.headers["cache-control"], "max-age=300")
        self.assertIsInstance(body, dict)

    def test_required_members_of_the_metadata_have_their_values(self):
        body = self.document()[1]
        self.assertEqual(body["issuer"], self.world.issuer)
        self.assertEqual(body["spec_version"], "1_0")
        self.assertEqual(sorted(body["delivery_methods_supported"]), [p.PUSH, p.POLL])
        self.assertIn({"spec_urn": "urn:ietf:rfc:6749"}, body["authorization_schemes"])
        for scheme in body["authorization_schemes"]:
            self.assertTrue(scheme["spec_urn"])
        # Clients differ here, and one has the bridge.
        self.assertNotIn("default_subjects", body)
        self.assertEqual(body["critical_subject_members"], ["session", "application"])

    def test_every_url_of_the_metadata_is_https_under_the_issuer_and_has_no_query(self):
        body = self.document()[1]
        for name in (*ENDPOINTS, "jwks_uri", "issuer", "mission_status_endpoint", "mission_lifecycle_endpoint"):
            url = urllib.parse.urlsplit(body[name])
            self.assertEqual((url.scheme, url.query, url.fragment), ("https", "", ""), name)
            self.assertTrue(body[name].startswith(self.world.issuer), name)

    def test_metadata_has_no_member_without_elements(self):
        for path in ("ssf-configuration", "oauth-authorization-server", "oauth-protected-resource"):
            body = self.world.anyone("GET", "/.well-known/" + path).json()
            for name, value in body.items():
                self.assertNotIn(value, ([], {}, "", None), (path, name))

    def test_each_endpoint_of_the_metadata_answers(self):
        body = self.document()[1]
        for name in ENDPOINTS:
            path = urllib.parse.urlsplit(body[name]).path
            answer = self.world.anyone("POST", path, {})
            self.assert_error(answer, 401, why=name)

    def test_the_keys_are_public_and_those_of_the_sets(self):
        answer = self.world.anyone("GET", "/jwks.json")
        self.assertEqual((answer.status, answer.headers["cache-control"]), (200, "max-age=300"))
        self.assertIn(answer.headers["content-type"], ("application/json", "application/jwk-set+json"))
        keys = answer.json()["keys"]
        self.assertGreaterEqual({k["kty"] for k in keys}, {"EC", "RSA"})
        for key in keys:
            self.assertFalse(set(key) & {"d", "p", "q", "dp", "dq", "qi", "k"}, key)
            self.assertTrue(key["kid"])
            if key["kty"] == "RSA":
                self.assertGreaterEqual(p.jwk.JWK(**key).get_op_key("verify").key_size, 2048)
        self.assertEqual(len({k["kid"] for k in keys}), len(keys))

    def test_the_protected_resource_document_names_the_scopes(self):
        body = self.world.anyone("GET", "/.well-known/oauth-protected-resource").json()
        self.assertEqual(body["resource"].rstrip("/"), self.world.issuer)
        self.assertGreaterEqual(set(body["scopes_supported"]), {"ssf.read", "ssf.manage"})
        self.assertEqual(body["bearer_methods_supported"], ["header"])
        self.assertEqual(body["authorization_servers"], [self.world.issuer])
        for endpoint in ("mission/status", "mission/lifecycle"):
            body = self.world.anyone("GET", "/.well-known/oauth-protected-resource/" + endpoint).json()
            self.assertEqual(body["resource"], f"{self.world.issuer}/{endpoint}")

    def test_the_authorization_server_document_names_the_token_endpoint(self):
        body = self.world.anyone("GET", "/.well-known/oauth-authorization-server").json()
        self.assertEqual(body["issuer"], self.world.issuer)
        self.assertEqual(body["token_endpoint"], self.world.issuer + "/oauth/token")
        self.assertEqual(body["grant_types_supported"], ["client_credentials"])
        self.assertGreaterEqual(set(body["token_endpoint_auth_methods_supported"]),
                                {"client_secret_basic", "client_secret_post", "private_key_jwt"})

    def test_the_old_well_known_name_is_not_served(self):
        self.assert_error(self.world.anyone("GET", "/.well-known/risc-configuration"), 404)

    def test_what_is_not_there_is_404_and_a_wrong_method_is_405_with_allow(self):
        for path in ("/", "/nothing", "/ssf", "/ssf/streams/", "/.well-known/", "/healthz", "/metrics"):
            self.assert_error(self.world.anyone("GET", path), 404, why=path)
        for method, path in (("POST", "/.well-known/ssf-configuration"), ("DELETE", "/jwks.json"),
                             ("DELETE", "/ssf/status"), ("PUT", "/ssf/verify"), ("GET", "/oauth/token"),
                             ("GET", "/ssf/subjects/add"), ("PATCH", "/signals")):
            self.assert_error(self.world.anyone(method, path), 405, why=(method, path))


class Issuers(unittest.TestCase):
    """An issuer with a path, written with and without a slash at its end."""

    def other(self, suffix):
        entries = {"suite": dict(audience="https://suite.example", scopes=["ssf.read", "ssf.manage"],
                                 events=[p.SESSION_REVOKED])}
        world = w.World(w.Case.build, suffix, entries=entries)
        self.addCleanup(world.stop)
        return world.start()

    def test_the_well_known_string_stands_between_host_and_path(self):
        world = self.other("/tenants/one")
        body = world.anyone("GET", "/.well-known/ssf-configuration/tenants/one").json()
        self.assertEqual(body["issuer"], world.issuer)
        self.assertEqual(body["jwks_uri"], world.issuer + "/jwks.json")
        self.assertEqual(body["default_subjects"], "ALL")
        self.assertNotIn("critical_subject_members", body)
        self.assertEqual(world.anyone("GET", "/.well-known/ssf-configuration").status, 404)
        self.assertEqual(world.anyone("GET", "/ssf/streams").status, 404)
        stream = world["suite"].create([p.SESSION_REVOKED])
        self.assertEqual(stream["iss"], world.issuer)
        self.assertTrue(stream["delivery"]["endpoint_url"].startswith(world.issuer + "/ssf/poll/"))
        world["suite"]("POST", "/ssf/verify", {"stream_id": stream["stream_id"], "state": "s"})
        world["suite"].drain(stream, lambda got: any(c["_event"].get("state") == "s" for c in got))

    def test_a_slash_at_the_issuers_end_is_stripped_for_the_well_known_url_alone(self):
        world = self.other("/t/")
        body = world.anyone("GET", "/.well-known/ssf-configuration/t").json()
        self.assertEqual(body["issuer"], world.issuer)
        self.assertTrue(body["issuer"].endswith("/t/"))
        for name in ENDPOINTS:
            self.assertNotIn("//", body[name].removeprefix("https://"), name)
        stream = world["suite"].create([p.SESSION_REVOKED])
        world["suite"]("POST", "/ssf/verify", {"stream_id": stream["stream_id"], "state": "s"})
        # read_set compares `iss` with the issuer, slash and all.
        world["suite"].drain(stream, lambda got: any(c["_event"].get("state") == "s" for c in got))


class Transport(w.Case):
    def handshake(self, lowest, highest, ciphers=None):
        context = ssl.create_default_context(cafile=str(self.world.ca))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            context.minimum_version, context.maximum_version = lowest, highest
        if ciphers:
            context.set_ciphers(ciphers)
        with socket.create_connection(("127.0.0.1", self.world.port), timeout=10) as raw:
            with context.wrap_socket(raw, server_hostname="localhost") as s:
                return s.version(), s.cipher()[0]

    def test_tls_1_2_is_spoken_and_1_3_preferred(self):
        v = ssl.TLSVersion
        self.assertEqual(self.handshake(v.TLSv1_2, v.TLSv1_3)[0], "TLSv1.3")
        self.assertEqual(self.handshake(v.TLSv1_2, v.TLSv1_2)[0], "TLSv1.2")

    def test_older_versions_of_tls_are_refused(self):
        v = ssl.TLSVersion
        for old in (v.TLSv1, v.TLSv1_1):
            with self.assertRaises(OSError):
                self.handshake(old, old, "ALL:@SECLEVEL=0")

    def test_suites_without_forward_secrecy_or_authentication_of_data_are_refused(self):
        v = ssl.TLSVersion
        for bad in ("AES128-GCM-SHA256", "AES256-SHA256", "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES128-SHA256",
                    "aNULL:@SECLEVEL=0", "NULL:@SECLEVEL=0"):
            with self.assertRaises(OSError, msg=bad):
                self.handshake(v.TLSv1_2, v.TLSv1_2, bad)

    def test_plain_http_gets_no_answer(self):
        with socket.create_connection(("127.0.0.1", self.world.port), timeout=10) as s:
            s.sendall(b"GET /.well-known/ssf-configuration HTTP/1.1\r\nHost: localhost\r\n\r\n")
            got = b""
            try:
                while data := s.recv(4096):
                    got += data
            except OSError:
                pass
            self.assertNotIn(b"issuer", got)
            self.assertFalse(got.startswith(b"HTTP/1.1 200"))

    def test_a_bad_request_line_is_400_and_ends_the_connection(self):
        context = ssl.create_default_context(cafile=str(self.world.ca))
        for text in (b"NONSENSE\r\n\r\n", b"GET  HTTP/1.1\r\n\r\n",
                     b"POST /ssf/streams HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
                     b"POST /ssf/streams HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", self.world.port), timeout=10) as raw:
                with context.wrap_socket(raw, server_hostname="localhost") as s:
                    s.sendall(text)
                    got = b""
                    try:
                        while data := s.recv(4096):
                            got += data
                    except OSError:
                        pass
                    self.assertTrue(got == b"" or b" 400 " in got.split(b"\r\n")[0], (text, got[:100]))
                    if got:
                        json.loads(got.split(b"\r\n\r\n", 1)[1])
