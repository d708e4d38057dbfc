"""A transmitter of a few hundred lines that shares nothing with ours, and that can misbehave.

`faults` maps the name of a place ("metadata", "keys", "token", "create", "poll", "status", ...) to a
function (handler, good) -> None that answers instead, `good` being (status, headers, body) as it would
have been. What was asked is in `log`.
"""
import base64
import contextlib
import http.server
import json
import secrets
import ssl
import threading
import time
import urllib.parse

import peer as p

AUDIENCE = "https://rs.example"


class LittleTransmitter:
    def __init__(self, folder, path="", push=False):
        self.folder, self.path, self.lock = folder, path, threading.Lock()
        self.key, self.rsa = p.make_key(), p.make_key("2048")
        self.keys = [self.key, self.rsa]
        self.streams, self.outbox, self.waiting = {}, [], {}
        self.log, self.settled, self.errors = [], [], {}
        self.faults, self.missions, self.tokens = {}, {}, set()
        self.metadata_changes, self.create_changes, self.verify_state = {}, {}, None
        self.push, self.events_supported = push, list(p.MISSION_TYPES) + [p.SESSION_REVOKED, p.CREDENTIAL_CHANGE]
        self.continuity, self.epoch, self.beats = 0, "epoch-1", True
        self.set_language = []
        self.resource = None  # the metadata of the protected resource (RFC 9728), where there is any
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                outer.handle(self)
            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_any

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_port
        self.issuer = f"https://localhost:{self.port}{path}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    # ---- SETs

    def claims(self, event_type, event, subject, **changes):
        made = {"iss": self.issuer, "aud": AUDIENCE, "iat": int(time.time()), "jti": secrets.token_urlsafe(16),
                "txn": secrets.token_urlsafe(8), "sub_id": subject, "events": {event_type: event}}
        made.update(changes)
        return {k: v for k, v in made.items() if v is not None}

    def sign(self, claims, key=None, **header):
        key = key or self.key
        alg = header.pop("alg", None) or key.get("alg")
        return p.sign(key, claims, alg, **{"typ": "secevent+jwt", **header})

    def mission_claims(self, mission_id, version, state, **changes):
        names = {"active": "mission-activated" if version == 1 else "mission-resumed", "revoked": "mission-revoked",
                 "suspended": "mission-suspended", "completed": "mission-completed"}
        event = {"mission": {"id": mission_id, "issuer": self.issuer}, "log_epoch": self.epoch, "state": state,
                 "version": version, "committed_at": stamp(), "expires_at": stamp(3600),
                 "event_timestamp": int(time.time()), "initiating_entity": "admin"}
        if version > 1:
            event["prior_state"] = "suspended" if state == "active" else "active"
        event.update(changes.pop("event", {}))
        subject = {"format": "complex", "mission": {"format": "opaque", "id": mission_id},
                   "application": {"format": "iss_sub", "iss": self.issuer, "sub": "agent-1"}}
        return self.claims(p.OURS + names[state], {k: v for k, v in event.items() if v is not None},
                           changes.pop("sub_id", subject), **changes)

    def send(self, token, jti=None):
        """Offers a SET until it is acknowledged or refused. Returns its jti."""
        if jti is None:
            jti = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))["jti"]
        with self.lock:
            self.outbox.append((jti, token))
        return jti

    def mission(self, version=1, state="active", mission_id=None):
        mission_id = mission_id or secrets.token_urlsafe(24)
        self.missions[mission_id] = (state, version)
        return mission_id, self.send(self.sign(self.mission_claims(mission_id, version, state)))

    def stream_event(self, event_type, event, **changes):
        stream_id = next(iter(self.streams))
        return self.claims(event_type, event, {"format": "opaque", "id": stream_id}, **changes)

    def beat(self):
        return self.sign(self.stream_event(p.VERIFICATION, {
            "as_of": stamp(), "continuity": self.continuity, "log_epoch": self.epoch}))

    # ---- answers

    def metadata(self):
        base = self.issuer
        made = {"spec_version": "1_0", "issuer": base, "jwks_uri": base + "/jwks.json",
                "delivery_methods_supported": [p.PUSH, p.POLL],
                "configuration_endpoint": base + "/streams", "status_endpoint": base + "/status",
                "add_subject_endpoint": base + "/add", "remove_subject_endpoint": base + "/remove",
                "verification_endpoint": base + "/verify",
                "authorization_schemes": [{"spec_urn": "urn:ietf:rfc:6749"}], "default_subjects": "ALL",
                "critical_subject_members": ["session", "application"],
                "mission_status_endpoint": base + "/mission/status",
                "mission_status_endpoint_auth_methods_supported": ["private_key_jwt"],
                "mission_status_endpoint_auth_signing_alg_values_supported": ["ES256"],
                "mission_status_signing_alg_values_supported": ["ES256"], "mission_max_stale_seconds": 20}
        made.update(self.metadata_changes)
        return {k: v for k, v in made.items() if v is not None}

    def configuration(self, stream):
        return {**stream, "iss": self.issuer, "aud": AUDIENCE, "events_supported": self.events_supported,
                "events_delivered": [e for e in stream["events_requested"] if e in self.events_supported],
                "min_verification_interval": 0, **self.create_changes}

    def handle(self, h):
        body = h.rfile.read(int(h.headers.get("Content-Length") or 0))
        url = urllib.parse.urlsplit(h.path)
        entry = {"method": h.command, "path": url.path, "query": url.query, "body": body,
                 "headers": {k.lower(): v for k, v in h.headers.items()}}
        with self.lock:
            self.log.append(entry)
        place, good = self.route(entry)
        fault = self.faults.get(place)
        with contextlib.suppress(OSError):
            if fault:
                fault(h, good)
            else:
                answer(h, *good)

    def route(self, r):
        path = r["path"].removeprefix(self.path) if self.path else r["path"]
        if r["path"].startswith("/.well-known/ssf-configuration"):
            return "metadata", js(200, self.metadata())
        if r["path"].startswith("/.well-known/oauth-authorization-server"):
            return "server", js(200, {"issuer": self.issuer, "token_endpoint": self.issuer + "/token",
                                      "grant_types_supported": ["client_credentials"],
                                      "token_endpoint_auth_methods_supported": ["private_key_jwt"]})
        if r["path"].startswith("/.well-known/oauth-protected-resource") and self.resource:
            return "resource", js(200, {"resource": self.issuer, **self.resource})
        if path == "/jwks.json":
            return "keys", js(200, {"keys": [json.loads(k.export_public()) for k in self.keys]})
        if path == "/token":
            token = secrets.token_urlsafe(24)
            self.tokens.add("Bearer " + token)
            return "token", js(200, {"access_token": token, "token_type": "Bearer", "expires_in": 3600})
        if path == "/mission/status":
            return "mission_status", self.mission_status(r)
        if path.startswith(("/streams", "/status", "/verify", "/add", "/remove", "/poll/")):
            if r["headers"].get("authorization") not in self.tokens:
                return "management", js(401, {"err": "unauthorized", "description": "who are you"},
                                        {"WWW-Authenticate": "Bearer"})
            return getattr(self, "on_" + path.split("/")[1])(r)
        return "other", js(404, {"err": "not_found", "description": "no such thing"})

    def on_streams(self, r):
        ident = dict(urllib.parse.parse_qsl(r["query"])).get("stream_id")
        if r["method"] == "GET":
            if ident:
                found = self.streams.get(ident)
                return "read", js(200, self.configuration(found)) if found else js(404, {"err": "x", "description": "x"})
            return "list", js(200, [self.configuration(s) for s in self.streams.values()])
        if r["method"] == "DELETE":
            self.streams.pop(ident, None)
            return "delete", (204, {}, b"")
        asked = json.loads(r["body"] or b"{}")
        if r["method"] == "POST":
            ident = secrets.token_urlsafe(12)
            delivery = asked.get("delivery") or {"method": p.POLL}
            shown = {"method": delivery["method"], "endpoint_url": delivery.get("endpoint_url")
                     or f"{self.issuer}/poll/{ident}"}
            self.streams[ident] = {"stream_id": ident, "delivery": shown, "description": asked.get("description", ""),
                                   "events_requested": asked.get("events_requested", [])}
            self.authorization = delivery.get("authorization_header")
            return "create", js(201, self.configuration(self.streams[ident]))
        stream = self.streams[asked["stream_id"]]
        stream.update({k: asked[k] for k in ("events_requested", "description") if k in asked})
        return "update", js(200, self.configuration(stream))

    def no_stream(self, ident):
        """What a request gets that does not name a stream of ours (SSF 1.0 8.1.2 to 8.1.4), or None."""
        if not ident:
            return js(400, {"err": "invalid_request", "description": "which stream?"})
        return None if ident in self.streams else js(404, {"err": "not_found", "description": "no such stream"})

    def on_status(self, r):
        asked = json.loads(r["body"]) if r["method"] == "POST" else dict(urllib.parse.parse_qsl(r["query"]))
        ident = asked.get("stream_id")
        return "status", self.no_stream(ident) or js(200, {"stream_id": ident, "status": "enabled"})

    def on_verify(self, r):
        asked = json.loads(r["body"])
        if refused := self.no_stream(asked.get("stream_id")):
            return "verify", refused
        self.verify_state = asked.get("state")
        token = self.sign(self.stream_event(p.VERIFICATION, {"state": self.verify_state}))
        if not self.push:
            self.send(token)
        else:
            threading.Thread(target=self.push_set, args=(token,), daemon=True).start()
        return "verify", (204, {}, b"")

    def on_add(self, r):
        return "add", self.no_stream(json.loads(r["body"]).get("stream_id")) or (200, {}, b"")

    def on_remove(self, r):
        return "remove", self.no_stream(json.loads(r["body"]).get("stream_id")) or (204, {}, b"")

    def on_poll(self, r):
        asked = json.loads(r["body"] or b"{}")
        with self.lock:
            self.settled += asked.get("ack", [])
            self.errors.update(asked.get("setErrs", {}))
            if asked.get("setErrs"):
                self.set_language.append(r["headers"].get("content-language"))
            done = set(asked.get("ack", [])) | set(asked.get("setErrs", {}))
            self.outbox = [(j, t) for j, t in self.outbox if j not in done]
        end = time.monotonic() + (0 if asked.get("returnImmediately") else 1.0)
        while True:
            with self.lock:
                now = time.monotonic()
                ready = [(j, t) for j, t in self.outbox if now - self.waiting.get(j, -9) > 0.5]
                for j, _ in ready:
                    self.waiting[j] = now
            if ready or time.monotonic() > end:
                break
            time.sleep(0.01)
        if not ready and self.beats and self.streams:
            token = self.beat()
            ready = [(json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))["jti"], token)]
        return "poll", js(200, {"sets": dict(ready)})

    def push_set(self, token, authorization=None, content_type="application/secevent+jwt", method="POST", path=None):
        """One push to the endpoint that the stream names -> Answer."""
        url = urllib.parse.urlsplit(next(iter(self.streams.values()))["delivery"]["endpoint_url"])
        http = p.Https(url.port, self.folder / "ca.pem")
        head = {"Content-Type": content_type, "Accept": "application/json",
                "Authorization": self.authorization if authorization is None else authorization}
        try:
            return http(method, path or url.path, token, {k: v for k, v in head.items() if v})
        finally:
            http.close()

    def mission_status(self, r):
        form = dict(urllib.parse.parse_qsl(r["body"].decode()))
        known = self.missions.get(form.get("mission_id"))
        if not known:
            return js(404, {"error": "not_found", "error_description": "no", "nonce": form.get("nonce", "")})
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": form.get("audience") or "rs", "sub": "rs", "nonce": form["nonce"],
                  "iat": now, "exp": now + 60,
                  "mission": {"id": form["mission_id"], "issuer": self.issuer, "state": known[0], "version": known[1],
                              "authority_hash": "sha-256:" + p.b64(b"x" * 32), "expires_at": stamp(3600),
                              "fresh_until": stamp(15), "log_epoch": self.epoch}}
        if form.get("audience"):
            claims["authorization_details"] = []
        claims["mission"].update(getattr(self, "status_changes", {}))
        return 200, {"Content-Type": "application/mission-status-response+jwt", "Cache-Control": "no-store"}, \
            self.sign(claims, typ="mission-status-response+jwt").encode()

    def seen(self, place):
        with self.lock:
            return [r for r in self.log if r["path"].removeprefix(self.path).startswith(place)]


def stamp(ahead=0):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + ahead))


def js(status, value, headers=None):
    return status, {"Content-Type": "application/json", **(headers or {})}, json.dumps(value).encode()


def answer(h, status, headers, body):
    h.send_response(status)
    for name, value in headers.items():
        h.send_header(name, value)
    if "Content-Length" not in headers and "Transfer-Encoding" not in headers:
        h.send_header("Content-Length", str(len(body)))
    h.end_headers()
    h.wfile.write(body)


# ---- ways to misbehave

def html(h, _good):
    answer(h, 200, {"Content-Type": "text/html"}, b"<html><body>Please log in</body></html>")


def nothing(h, _good):
    h.close_connection = True
    h.connection.close()


def truncated(h, good):
    status, headers, body = good
    answer(h, status, {**headers, "Content-Length": str(len(body) + 50)}, body[:len(body) // 2])
    h.close_connection = True
    h.connection.close()


def broken_json(h, good):
    answer(h, good[0], good[1], good[2][:-1] + b",,")


def status_of(code, headers=None):
    return lambda h, _good: answer(h, code, headers or {}, b'{"err":"x","description":"out of order"}')


def redirect_to(url):
    return lambda h, _good: answer(h, 307, {"Location": url}, b"")


def huge(h, _good):
    h.send_response(200)
    h.send_header("Content-Type", "application/json")
    h.send_header("Transfer-Encoding", "chunked")
    h.end_headers()
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    for _ in range(1024):
        h.wfile.write(chunk)


def changed(**members):
    def fault(h, good):
        body = {**json.loads(good[2]), **members}
        answer(h, good[0], good[1], json.dumps({k: v for k, v in body.items() if v is not None}).encode())
    return fault


def other(value, status=200):
    return lambda h, _good: answer(h, *js(status, value))
