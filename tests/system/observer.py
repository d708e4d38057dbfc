"""Somebody who times answers: octets over one kept-alive TLS connection, and what the times tell.

Requests are made before the clock starts, so that nothing but the answer is measured.
"""
import bisect
import re
import socket
import ssl
import time


def request(method, path, body=None, headers=None, content_type="application/json"):
    """A whole request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body is not None:
        lines += [f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n" + (body or "")).encode()


class Wire:
    def __init__(self, port, ca):
        self.port, self.context = port, ssl.create_default_context(cafile=str(ca))
        self.socket = None

    def open(self):
        self.close()
        raw = socket.create_connection(("localhost", self.port), timeout=20)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = self.context.wrap_socket(raw, server_hostname="localhost")

    def close(self):
        if self.socket:
            self.socket.close()
        self.socket = None

    def ask(self, octets):
        """-> (nanoseconds, status, the answer's octets but for its Date)."""
        if not self.socket:
            self.open()
        begun = time.perf_counter_ns()
        self.socket.sendall(octets)
        got = b""
        while b"\r\n\r\n" not in got:
            got += self.more()
        head, _, body = got.partition(b"\r\n\r\n")
        length = re.search(rb"(?im)^content-length: *(\d+)", head)
        while len(body) < (int(length[1]) if length else 0):
            body += self.more()
        took = time.perf_counter_ns() - begun
        if re.search(rb"(?im)^connection: *close", head):
            self.close()
        status = int(head.split(b" ", 2)[1])
        return took, status, re.sub(rb"(?im)^date:.*$", b"date", head) + b"\r\n\r\n" + body

    def more(self):
        data = self.socket.recv(65536)
        if not data:
            raise OSError("the connection has ended")
        return data


def measure(wire, there, nowhere, samples, random_):
    """[(nanoseconds, 1 for there or 0)], in pairs whose order is drawn; and the statuses that were seen."""
    for _ in range(50):
        wire.ask(there())
        wire.ask(nowhere())
    times, statuses = [], set()
    for _ in range(samples):
        pair = [(1, there()), (0, nowhere())]
        random_.shuffle(pair)
        for kind, octets in pair:
            took, status, _ = wire.ask(octets)
            times.append((took, kind))
            statuses.add(status)
    return times, statuses


def threshold(learn):
    """Everything up to the best threshold of `learn` is called one thing, everything above it the other."""
    learn = sorted(learn)
    ones, right, best = sum(k for _, k in learn), 0, (0, 0, True)
    for n, (took, kind) in enumerate(learn, 1):
        right += kind
        hits = right + (len(learn) - n) - (ones - right)
        for count, low in ((hits, True), (len(learn) - hits, False)):
            if count > best[0]:
                best = (count, took, low)
    _, at, low = best
    return lambda took: (took <= at) == low


def bands(learn, count=24):
    """What is more frequent in a band of times of `learn` is what a time in that band is called."""
    learn = sorted(learn)
    edges = [learn[n * len(learn) // count][0] for n in range(1, count)]
    votes = [0] * count
    for took, kind in learn:
        votes[bisect.bisect(edges, took)] += 1 if kind else -1
    return lambda took: votes[bisect.bisect(edges, took)] > 0


def accuracy(times):
    """How often an observer is right who learns from one half of the times and judges the other; and how many."""
    learn, judge = times[0::4] + times[1::4], times[2::4] + times[3::4]
    shares = []
    for method in (threshold, bands):
        there = method(learn)
        shares.append(sum(there(took) == (kind == 1) for took, kind in judge) / len(judge))
    return max(shares, key=lambda s: abs(s - 0.5)), len(judge)
