"""The other end, made of nothing of ours: an HTTPS client, OAuth, SETs read by jwcrypto.

What is asserted here is what the specifications say of every answer and of every SET; the tests add
what a single call promises.
"""
import base64
import dataclasses
import hashlib
import http.client
import json
import secrets
import socket
import ssl
import time
import urllib.parse

from jwcrypto import jwk, jws

FORM = "application/x-www-form-urlencoded"
PUSH, POLL = "urn:ietf:rfc:8935", "urn:ietf:rfc:8936"
CAEP = "https://schemas.openid.net/secevent/caep/event-type/"
RISC = "https://schemas.openid.net/secevent/risc/event-type/"
SSF = "https://schemas.openid.net/secevent/ssf/event-type/"
VERIFICATION, UPDATED = SSF + "verification", SSF + "stream-updated"
SESSION_REVOKED, CREDENTIAL_CHANGE = CAEP + "session-revoked", CAEP + "credential-change"
OURS = "https://mission-signals.github.io/secevent/mission/event-type/"
LIFECYCLE_CHANGE = "https://schemas.karlmcguinness.com/mission/lifecycle-change"
MISSION_TYPES = [OURS + n for n in (
    "mission-activated", "mission-suspended", "mission-resumed", "mission-completed",
    "mission-revoked", "mission-expired", "mission-superseded", "mission-cascaded",
    "mission-scope-changed")]
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def b64(data):
    return base64.urlsafe_b64encode(data.encode() if isinstance(data, str) else data).rstrip(b"=").decode()


def make_key(kind="EC"):
    """A private JWK with a kid of its own."""
    kid = secrets.token_urlsafe(8)
    if kind == "EC":
        return jwk.JWK.generate(kty="EC", crv="P-256", kid=kid, use="sig", alg="ES256")
    if kind == "OKP":
        return jwk.JWK.generate(kty="OKP", crv="Ed25519", kid=kid, use="sig", alg="EdDSA")
    return jwk.JWK.generate(kty="RSA", size=int(kind), kid=kid, use="sig", alg="RS256")


def sign(key, claims, alg="ES256", **header):
    """A compact JWS; header members of None are left out."""
    protected = {"alg": alg, "kid": key.get("kid"), "typ": "JWT", **header}
    token = jws.JWS(claims if isinstance(claims, str) else json.dumps(claims))
    token.allowed_algs = ["ES256", "RS256", "PS256", "EdDSA", "HS256"]
    token.add_signature(key, None, json.dumps({k: v for k, v in protected.items() if v is not None}))
    return token.serialize(compact=True)


@dataclasses.dataclass
class Answer:
    status: int
    headers: dict
    body: bytes

    def json(self):
        return json.loads(self.body)


class Https:
    """HTTPS to one port of this machine, kept alive; a new connection when the peer has gone."""

    def __init__(self, port, ca, timeout=20, certificate=None):
        self.port, self.timeout = port, timeout
        self.context = ssl.create_default_context(cafile=str(ca))
        if certificate:
            self.context.load_cert_chain(*certificate)
        self.connection = None

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def __call__(self, method, path, body=None, headers=None, content_type="application/json"):
        headers = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        if body is not None and content_type and "Content-Type" not in headers:
            headers["Content-Type"] = content_type
        for attempt in (1, 2):
            fresh = self.connection is None
            try:
                if fresh:
                    self.connection = http.client.HTTPSConnection("localhost", self.port, timeout=self.timeout,
                                                                  context=self.context)
                    self.connection.connect()
                    self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.connection.request(method, path, body=body, headers=headers)
                r = self.connection.getresponse()
                fields = {}
                for name, value in r.getheaders():  # a field given twice is a list (RFC 9110 section 5.3)
                    fields[name.lower()] = f"{fields[name.lower()]}, {value}" if name.lower() in fields else value
                answer = Answer(r.status, fields, r.read())
                if r.will_close:
                    self.close()
                return answer
            except (OSError, http.client.HTTPException) as e:
                self.close()
                if fresh or attempt == 2:
                    raise OSError(str(e) or type(e).__name__) from e


class Receiver:
    """One client of a transmitter: how it authenticates, its token, its calls, its key set."""

    def __init__(self, port, ca, issuer, client_id=None, secret=None, key=None, token=None, scope=None,
                 path="", certificate=None):
        self.http = Https(port, ca, certificate=certificate)
        self.issuer, self.path, self.id = issuer, path, client_id
        self.secret, self.key, self.fixed, self.scope = secret, key, token, scope
        self.kept = (None, 0.0)
        self.jwks = None

    # ---- OAuth

    def assertion(self, audience=None, **changes):
        now = int(time.time())
        claims = {"iss": self.id, "sub": self.id, "aud": audience or self.issuer + "/oauth/token", "iat": now,
                  "exp": now + 60, "jti": secrets.token_urlsafe(12), **changes}
        return sign(self.key, {k: v for k, v in claims.items() if v is not None})

    def token_request(self, how=None, headers=None, **fields):
        form = {"grant_type": "client_credentials", **({"scope": self.scope} if self.scope else {}), **fields}
        headers = dict(headers or {})
        how = how or ("basic" if self.secret else "assertion")
        if how == "basic":
            pair = urllib.parse.quote_plus(self.id) + ":" + urllib.parse.quote_plus(self.secret)
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        elif how == "post":
            form |= {"client_id": self.id, "client_secret": self.secret}
        elif how == "assertion":
            form |= {"client_assertion_type": ASSERTION_TYPE, "client_assertion": self.assertion(), **fields}
        return self.http("POST", self.path + "/oauth/token",
                         urllib.parse.urlencode({k: v for k, v in form.items() if v is not None}), headers, FORM)

    def token(self):
        if self.fixed:
            return self.fixed
        if self.kept[1] < time.time() + 30:
            answer = self.token_request()
            assert answer.status == 200, f"token for {self.id}: {answer}"
            self.kept = (answer.json()["access_token"], time.time() + answer.json()["expires_in"])
        return self.kept[0]

    def bearer(self):
        return {"Authorization": "Bearer " + self.token()}

    # ---- calls

    def __call__(self, method, path, body=None, headers=None, content_type="application/json"):
        return self.http(method, self.path + path, body, {**self.bearer(), **(headers or {})}, content_type)

    def create(self, events=(), delivery=None, **more):
        body = {"events_requested": list(events), **more}
        if delivery:
            body["delivery"] = delivery
        answer = self("POST", "/ssf/streams", body)
        assert answer.status == 201, answer
        return answer.json()

    def delete(self, stream):
        return self("DELETE", "/ssf/streams?stream_id=" + stream["stream_id"])

    def poll(self, stream, **body):
        return self("POST", "/ssf/poll/" + stream["stream_id"], {"returnImmediately": True, **body})

    def keys(self, again=False):
        if again or self.jwks is None:
            answer = self.http("GET", self.path + "/jwks.json")
            assert answer.status == 200, answer
            self.jwks = jwk.JWKSet.from_json(answer.body.decode())
        return self.jwks

    def read_set(self, stream, token):
        """The claims of a SET after every check that holds for each of them."""
        header = json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))
        assert header["typ"] == "secevent+jwt", header  # SSF 1.0 4.1.1; RFC 8417 2.3
        assert set(header) == {"typ", "alg", "kid"}, header
        assert header["alg"] in ("ES256", "RS256"), header
        key = self.keys().get_key(header["kid"]) or self.keys(again=True).get_key(header["kid"])
        assert key, f"no key {header['kid']}"
        seen = jws.JWS()
        seen.allowed_algs = ["ES256", "RS256"]
        seen.deserialize(token, key)  # raises unless the signature is good
        if header["alg"] == "RS256":
            assert len(base64.urlsafe_b64decode(json.loads(key.export_public())["n"] + "==")) >= 256
        claims = json.loads(seen.payload)
        assert claims["iss"] == stream["iss"] == self.issuer, claims
        assert claims["aud"] == stream["aud"] and isinstance(claims["aud"], str), claims
        assert type(claims["iat"]) is int and claims["iat"] <= time.time() + 1, claims
        assert isinstance(claims["jti"], str) and claims["jti"], claims
        assert isinstance(claims["txn"], str) and claims["txn"], claims
        assert isinstance(claims["sub_id"], dict), claims
        assert isinstance(claims["events"], dict) and len(claims["events"]) == 1, claims
        assert "sub" not in claims and "exp" not in claims and "nbf" not in claims, claims
        event_type, event = next(iter(claims["events"].items()))
        assert isinstance(event, dict), claims
        if event_type in (VERIFICATION, UPDATED):
            assert claims["sub_id"] == {"format": "opaque", "id": stream["stream_id"]}, claims
        claims["_type"], claims["_event"], claims["_alg"], claims["_token"] = event_type, event, header["alg"], token
        return claims

    def drain(self, stream, until, seconds=12, heartbeats=False):
        """Polls and acknowledges until `until(list)`; the claims in the order of their coming."""
        got, acks, end = [], [], time.monotonic() + seconds
        while True:
            answer = self("POST", "/ssf/poll/" + stream["stream_id"],
                          {"returnImmediately": until(got), "ack": acks} if acks
                          else {"returnImmediately": True})
            assert answer.status == 200, answer
            if until(got):
                return got
            acks = []
            for jti, token in answer.json()["sets"].items():
                claims = self.read_set(stream, token)
                assert claims["jti"] == jti
                acks.append(jti)
                if heartbeats or not is_heartbeat(claims):
                    got.append(claims)
            if time.monotonic() > end:
                raise AssertionError(f"not within {seconds} s; got {[c['_type'] for c in got]}")
            if not acks and not until(got):
                time.sleep(0.03)

    def quiet(self, stream, seconds=1.0):
        """What comes in `seconds`, heartbeats aside, acknowledged."""
        got, end = [], time.monotonic() + seconds
        while time.monotonic() < end:
            answer = self.poll(stream)
            assert answer.status == 200, answer
            claims = [self.read_set(stream, t) for t in answer.json()["sets"].values()]
            if claims:
                self.poll(stream, ack=[c["jti"] for c in claims], maxEvents=0)
            got += [c for c in claims if not is_heartbeat(c)]
            time.sleep(0.05)
        return got


def is_heartbeat(claims):
    return claims["_type"] == VERIFICATION and "as_of" in claims["_event"]


# RFC 9449: what a client does that holds a key of its own.
def dpop_proof(key, method, url, token=None, **changes):
    public = json.loads(key.export_public())
    claims = {"jti": secrets.token_urlsafe(12), "htm": method, "htu": url, "iat": int(time.time())}
    if token:
        claims["ath"] = b64(hashlib.sha256(token.encode()).digest())
    header = {"typ": "dpop+jwt", "jwk": {k: public[k] for k in ("kty", "crv", "x", "y")}, "kid": None}
    header.update(changes.pop("header", {}))
    claims.update(changes)
    return sign(key, {k: v for k, v in claims.items() if v is not None}, **header)
