"""Push delivery: RFC 8935; what answers of a receiver lead to."""
import time

import peer as p
import world as w

REASON = {"reason_admin": {"en": "conformance"}}


def refusal(err):
    return 400, {"Content-Type": "application/json", "Content-Language": "en"}, \
        ('{"err":"%s","description":"no"}' % err).encode()


class Push(w.Case):
    def emit(self, txn):
        return self.world.emit(p.SESSION_REVOKED, dict(REASON), txn=txn)

    def test_a_push_is_one_set_with_the_headers_of_the_specification(self):
        endpoint = self.endpoint()
        stream = self.push_stream("suite", endpoint, [p.SESSION_REVOKED], authorization_header="Bearer  exactly  this")
        self.emit("pushed")
        request, claims = endpoint.next(self.client("suite"), stream)
        self.assertEqual(claims["txn"], "pushed")
        head = request["headers"]
        self.assertEqual(head["content-type"], "application/secevent+jwt")
        self.assertEqual(head["accept"], "application/json")
        self.assertEqual(head["authorization"], "Bearer  exactly  this")
        self.assertEqual(request["path"], "/events")
        self.assertEqual(request["body"].count("."), 2)

    def test_without_an_authorization_header_none_is_sent(self):
        endpoint = self.endpoint()
        stream = self.push_stream("suite", endpoint, [p.SESSION_REVOKED])
        self.emit("x")
        request, _ = endpoint.next(self.client("suite"), stream)
        self.assertNotIn("authorization", request["headers"])

    def test_200_and_204_are_taken_as_success(self):
        for status in (200, 202, 204):
            endpoint = self.endpoint(lambda r, status=status: (status, {}, b""))
            stream = self.push_stream("suite", endpoint, [p.SESSION_REVOKED])
            self.emit(f"once {status}")
            endpoint.next(self.client("suite"), stream, lambda c, t=f"once {status}": c["txn"] == t)
            more = [self.client("suite").read_set(stream, r["body"])["txn"] for r in endpoint.quiet(1.5)]
            self.assertNotIn(f"once {status}", more, status)

    def test_a_relation_that_fails_holds_the_stream_and_it_goes_on_where_it_stopped(self):
        state = {"answer": (503, {"Retry-After": "1"}, b"")}
        endpoint = self.endpoint(lambda r: state["answer"])
        stream = self.push_stream("suite", endpoint, [p.SESSION_REVOKED])
        self.emit("first")
        self.emit("second")
        tries = {self.client("suite").read_set(stream, r["body"])["txn"] for r in endpoint.quiet(2.5)}
        self.assertNotIn("second", tries - {"first"} if len(tries) == 1 else set())
        state["answer"] = (202, {}, b"")
        seen = []
        while "second" not in seen:
            seen.append(endpoint.next(self.client("suite"), stream, seconds=15)[1]["txn"])
        self.assertIn("first", seen)

    def test_answers_of_a_broken_relation_lose_nothing(self):
        for answer in ((302, {"Location": "https://localhost:1/"}, b""), (401, {}, b""), (500, {}, b"<html>"),
                       (404, {}, b""), refusal("invalid_key"), refusal("access_denied"),
                       (400, {"Content-Type": "text/html"}, b"<html>"), (400, {}, b"")):
            state = {"answer": answer}
            endpoint = self.endpoint(lambda r, state=state: state["answer"])
            stream = self.push_stream("suite", endpoint, [p.SESSION_REVOKED])
            self.emit(f"kept {answer[0]}")
            endpoint.next(self.client("suite"), stream)
            state["answer"] = (202, {}, b"")
            endpoint.next(self.client("suite"), stream, lambda c, t=f"kept {answer[0]}": c["txn"] == t, seconds=15)
            self.client("suite").delete(stream)

    def test_one_set_that_is_refused_is_given_up_and_the_others_arrive(self):
        suite, bad, tries = self.client("suite"), [], []
        holder = {}

        def judge(request):
            claims = suite.read_set(holder["stream"], request["body"])
            if claims["txn"] == "bad":
                bad.append(claims["jti"])
                return refusal("invalid_request")
            return 202, {}, b""
        endpoint = self.endpoint(judge)
        holder["stream"] = stream = self.push_stream("suite", endpoint, [p.SESSION_REVOKED])
        self.emit("good 1")
        self.emit("bad")
        self.emit("good 2")
        for _ in range(2):
            tries.append(endpoint.next(suite, stream, lambda c: c["txn"].startswith("good"), seconds=20)[1]["txn"])
        self.assertEqual(sorted(tries), ["good 1", "good 2"])
        end = time.monotonic() + 12
        while time.monotonic() < end:
            dead = self.client("operator")("GET", f"/admin/streams/{stream['stream_id']}").json()
            if dead.get("dead"):
                break
            time.sleep(0.1)
        self.assertTrue(dead.get("dead"), dead)
        self.assertLessEqual(len(bad), 5)
        self.assertEqual(len(set(bad)), 1)

    def test_redirects_are_not_followed(self):
        other = self.endpoint()
        endpoint = self.endpoint(lambda r: (307, {"Location": other.url}, b""))
        stream = self.push_stream("suite", endpoint, [p.SESSION_REVOKED], authorization_header="Bearer secret")
        self.emit("here")
        endpoint.next(self.client("suite"), stream)
        self.assertEqual(other.quiet(0.7), [])

    def test_a_push_and_a_poll_stream_get_the_same_event(self):
        endpoint = self.endpoint()
        push = self.push_stream("suite", endpoint, [p.SESSION_REVOKED])
        poll = self.stream("suite", [p.SESSION_REVOKED])
        self.emit("both")
        _, pushed = endpoint.next(self.client("suite"), push)
        polled = self.client("suite").drain(poll, lambda seen: len(seen) >= 1)[0]
        same = ("iss", "aud", "iat", "txn", "sub_id", "events")
        self.assertEqual({k: pushed[k] for k in same}, {k: polled[k] for k in same})
        self.assertNotEqual(pushed["jti"], polled["jti"])
