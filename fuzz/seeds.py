"""The corpora to begin with, out of the test vectors: a folder per target, a file per input.

Usage: seeds.py SOURCE_DIR OUTPUT_DIR. Always the same files; what was there before is replaced."""
import base64
import hashlib
import json
import pathlib
import shutil
import sys

SOURCE, OUTPUT = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
VECTORS = SOURCE / "schemas" / "vectors"
ISSUER, AUDIENCE = "https://as.example.com", "https://erp.example.com"
OURS = "https://mission-signals.github.io/secevent/mission/event-type/"
EC = {"kty": "EC", "crv": "P-256", "kid": "ec", "use": "sig", "alg": "ES256",  # RFC 7517 appendix A.1
      "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}
RSA = {"kty": "RSA", "kid": "rsa", "alg": "RS256", "e": "AQAB", "n": (
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknj"
    "hMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQ"
    "vRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzK"
    "nqDKgw")}
ED = {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}  # RFC 8037


def b64(octets):
    return base64.urlsafe_b64encode(octets.encode() if isinstance(octets, str) else octets).rstrip(b"=").decode()


def text(value):
    return json.dumps(value, separators=(",", ":"))


def put(target, content):
    if not isinstance(content, (bytes, str)):
        content = text(content)
    octets = content if isinstance(content, bytes) else content.encode()
    folder = OUTPUT / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha256(octets).hexdigest()[:16]).write_bytes(octets)


def vectors(name):
    content = json.loads((VECTORS / f"{name}.json").read_text())
    return content.get("valid", []), content.get("invalid", [])


def of_vector(entry):
    """An invalid one may be wrapped with its reason."""
    return entry["value"] if isinstance(entry, dict) and set(entry) <= {"value", "why", "path"} and "value" in entry else entry


def every(name, most=None):
    valid, invalid = vectors(name)
    found = [of_vector(v) for v in [*valid, *invalid]]
    return found if most is None else found[:most]


def token(claims, typ="secevent+jwt", alg="ES256", kid="ec", **more):
    head = {k: v for k, v in {"typ": typ, "alg": alg, "kid": kid, **more}.items() if v is not None}
    return ".".join([b64(text(head)), b64(text(claims)), b64(bytes(range(64)))])


def claims_of(event_type, body, sub_id):
    return {"iss": ISSUER, "aud": AUDIENCE, "iat": 1793610400, "jti": "j-1", "txn": "t-1", "sub_id": sub_id,
            "events": {event_type: body}}


def sets():
    yield from every("set-claims")
    ours = {"format": "complex", "mission": {"format": "opaque", "id": "msn_8RfX2Lqv9TqMv4z7sA2bN1k0YpEdHc9-"},
            "application": {"format": "iss_sub", "iss": ISSUER, "sub": "agent-1"}}
    session = {"format": "complex", "session": {"format": "opaque", "id": "s-1"}}
    for file in sorted(VECTORS.glob("event-mission-*.json")):
        for body in every(file.stem, 3):
            yield claims_of(OURS + file.stem[len("event-"):], body, ours)
    for body in every("event-lifecycle-change", 6):
        yield claims_of("https://schemas.karlmcguinness.com/mission/lifecycle-change", body,
                        {"format": "opaque", "id": "msn_8RfX2Lqv9TqMv4z7sA2bN1k0YpEdHc9-"})
    for kind in ("caep", "risc"):
        for file in sorted(VECTORS.glob(f"{kind}-*.json")):
            for body in every(file.stem, 1):
                yield claims_of(f"https://schemas.openid.net/secevent/{kind}/event-type/{file.stem[len(kind) + 1:]}",
                                body, session)
    for name in ("verification", "stream-updated"):
        for body in every(f"event-{name}", 4):
            yield claims_of(f"https://schemas.openid.net/secevent/ssf/event-type/{name}", body,
                            {"format": "opaque", "id": "stream-1"})


def tokens():
    some = next(iter(sets()))
    yield token(some)
    yield token(some, alg="none")
    yield token(some, alg="HS256")
    yield token(some, alg="RS256", kid="rsa")
    yield token(some, typ=None)
    yield token(some, crit=["b64"], b64=False)
    yield token(some, jwk=EC)
    yield token({"iss": ISSUER, "aud": AUDIENCE, "exp": 1793614000, "iat": 1793610400, "mission": {"id": "m" * 24}},
                typ="at+jwt")
    yield "a.b.c"
    yield "Bearer " + token(some)
    yield "token=" + token(some) + "; other=1"


STATUS = {"iss": ISSUER, "aud": AUDIENCE, "sub": "rs", "nonce": "n-0S6_WzA2Mj", "iat": 1793610390, "exp": 1793610450,
          "mission": {"id": "msn_8RfX2Lqv9TqMv4z7sA2bN1k0YpEdHc9-", "issuer": ISSUER, "state": "active", "version": 3,
                      "authority_hash": "sha-256:" + "A" * 43, "expires_at": "2027-01-01T00:00:00Z",
                      "fresh_until": "2026-11-02T01:47:25Z", "log_epoch": "e1"},
          "authorization_details": [{"type": "mission_resource_access", "resource": AUDIENCE, "actions": ["a.*"]}]}

METADATA = {"issuer": ISSUER, "jwks_uri": ISSUER + "/jwks.json", "spec_version": "1_0",
            "delivery_methods_supported": ["urn:ietf:rfc:8936", "urn:ietf:rfc:8935"],
            "configuration_endpoint": ISSUER + "/ssf/streams", "status_endpoint": ISSUER + "/ssf/status",
            "add_subject_endpoint": ISSUER + "/ssf/subjects/add", "verification_endpoint": ISSUER + "/ssf/verify",
            "remove_subject_endpoint": ISSUER + "/ssf/subjects/remove", "default_subjects": "ALL",
            "critical_subject_members": ["session"], "authorization_schemes": [{"spec_urn": "urn:ietf:rfc:6749"}],
            "mission_status_endpoint": ISSUER + "/mission/status", "mission_max_stale_seconds": 90,
            "mission_status_signing_alg_values_supported": ["ES256"],
            "mission_status_endpoint_auth_methods_supported": ["private_key_jwt"]}

REQUESTS = (
    "POST /push HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/secevent+jwt\r\nContent-Length: 5\r\n\r\nhello",
    "POST /push?a=b HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx: y\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "GET /missions/%41 HTTP/1.1\r\nhost: [::1]:80\r\nConnection: close, x\r\n\r\n",
    "\r\nHEAD https://localhost/x HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello",
    "GET / HTTP/1.1\r\nHost: a\r\nX-Folded: a\r\n b\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "HTTP/1.0 503 Away\r\nRetry-After: 5\r\n\r\nuntil the end",
    "https://user@localhost:8443/path?query#fragment", "http://[::1]:80", "grant_type=client_credentials&scope=a+b%20c")

AUTHZEN = (
    {"subject": {"type": "mission", "id": "msn_8RfX2Lqv9TqMv4z7sA2bN1k0YpEdHc9-"}, "action": {"name": "read"},
     "resource": {"type": "invoice", "id": "1"}},
    {"subject": {"type": "user", "id": "alice", "properties": {"mission_id": "m" * 24}}, "action": {"name": "read"},
     "resource": {"type": "invoice", "id": "1"}, "context": {"mission_id": "m" * 24, "mission": {"id": "n" * 24}}},
    {"subject": {"type": "mission", "id": "m" * 24}, "action": {"name": "read"},
     "evaluations": [{"resource": {"type": "a", "id": "1"}}, {"resource": {"type": "a", "id": 2}},
                     {"action": {"name": "write"}, "resource": {"type": "a", "id": "3"}}],
     "options": {"evaluations_semantic": "deny_on_first_deny"}},
    {"evaluations": [], "subject": {}, "options": {"evaluations_semantic": "permit_on_first_permit"}})

OPTIONS = (
    {"issuer": ISSUER, "client_id": "rs", "client_secret": "s", "events": "https://x/y", "+events": "https://x/z"},
    {"metadata_json": text(METADATA), "issuer": ISSUER, "client_id": "rs", "token": "t", "token_hosts": "localhost:1"},
    {"issuer": ISSUER, "token": "t", "delivery": "push", "push_listen": "[::1]:0", "poll_timeout_ms": "1",
     "push_public_url": "https://localhost:{port}/push", "push_certificate_file": "c", "push_private_key_file": "k",
     "push_authorization_header": "Bearer x", "max_missions": "10", "worker_threads": "1"},
    {"issuer": ISSUER, "client_id": "rs", "client_secret": "s", "subjects": text({"format": "opaque", "id": "1"}),
     "quirks.typ_missing": "true", "client_secret_post": "true", "teardown_reports": "false"},
    {"issuer": "http://insecure", "no_such_option": "1"})

RECEIVER_TOML = '''
issuer = "https://localhost:8443"
control_socket = "off"
[auth]
client_id = "rs"
client_secret = "s"
[stream]
delivery = "poll"
events = ["https://x/y"]
subjects = ['{"format":"opaque","id":"1"}']
[check]
listen = "127.0.0.1:9000"
[[teardown]]
name = "kill"
on = ["revoked", "expired"]
type = "process_group"
grace_seconds = 1.5
[[teardown]]
name = "tell"
on = ["revoked"]
type = "exec"
command = ["/bin/true", "{mission_id}"]
'''
TRANSMITTER_TOML = '''
listen = "127.0.0.1:8443"
[[issuer]]
url = "https://localhost:8443"
mode = "authoritative"
[tls]
certificate = "cert.pem"
private_key = "key.pem"
[store]
url = "memory:"
[secrets]
key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
[ssf]
heartbeat_seconds = 1
max_stale_seconds = 10
[[client]]
id = "rs"
secret = "s"
audience = "https://erp.example"
scopes = ["ssf.read", "ssf.manage"]
'''


def main():
    shutil.rmtree(OUTPUT, ignore_errors=True)
    all_sets = list(sets())
    for claims in all_sets:
        put("set", claims)
    some_tokens = list(tokens())
    for t in some_tokens:
        put("jws", t)
    for keys in ([EC, RSA, ED], [EC], [{**EC, "use": "enc"}], [{**RSA, "n": "AQAB"}], [{**EC, "d": "x"}], [],
                 [{"kty": "oct", "k": "AAAA"}], [{**EC, "key_ops": ["verify"]}, EC]):
        put("jwks", {"keys": keys})
    for s in every("subject"):
        put("subject", s)
    put("status_answer", STATUS)
    put("status_answer", {**STATUS, "mission": {**STATUS["mission"], "state": "suspended", "version": 4,
                                                "suspend_until": "2026-12-01T00:00:00Z", "on_expiry": "revoke"}})
    put("status_answer", token(STATUS, "mission-status-response+jwt"))
    for claims in every("mission-status-claims"):
        put("status_answer", claims)
    put("poll_answer", {"sets": {}})
    put("poll_answer", {"sets": {"j-1": some_tokens[0], "j-2": some_tokens[1]}, "moreAvailable": True})
    put("poll_answer", {"sets": {"j-1": 7, "j-2": some_tokens[4]}})
    put("poll_answer", {"sets": []})
    for document in (METADATA, {**METADATA, "issuer": ISSUER + "/"}, {**METADATA, "jwks_uri": "http://x"},
                     {"issuer": ISSUER, "token_endpoint": ISSUER + "/oauth/token",
                      "mtls_endpoint_aliases": {"token_endpoint": ISSUER + ":8444/token"}},
                     {"resource": ISSUER + "/ssf", "authorization_servers": [ISSUER], "scopes_supported": ["a"]},
                     {"access_token": "t", "token_type": "Bearer", "expires_in": 3600, "scope": "a b"}):
        put("metadata", document)
    for request in REQUESTS:
        put("http_head", request)
    for body in AUTHZEN:
        put("authzen", body)
    for options in OPTIONS:
        put("c_options", "\0".join(f"{k}\0{v}" for k, v in options.items()))
    put("configuration", RECEIVER_TOML)
    put("configuration", TRANSMITTER_TOML)
    for file in sorted((SOURCE / "samples" / "interop").glob("*.toml")):
        put("configuration", file.read_bytes())


if __name__ == "__main__":
    main()
