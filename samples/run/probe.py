"""Looking from outside. Nothing here knows the receiver library: HTTPS requests as any caller sends
them, and what the kernel says of processes."""

import json
import os
import select
import socket
import ssl
import threading
import time


def now_ns() -> int:
    return time.monotonic_ns()


class Https:
    """One kept-alive connection to a loopback port; small answers with Content-Length."""

    def __init__(self, ca_file, port: int, timeout: float = 10.0):
        self.context = ssl.create_default_context(cafile=str(ca_file))
        self.port, self.timeout = port, timeout
        self.socket = None
        self.sent_ns = 0  # when the last request was handed to the kernel

    def close(self):
        if self.socket:
            self.socket.close()
        self.socket = None

    def connect(self):
        if self.socket is None:
            raw = socket.create_connection(("127.0.0.1", self.port), self.timeout)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.socket = self.context.wrap_socket(raw, server_hostname="localhost")
        return self

    def request(self, method, path, body=None, headers=None):
        """(status, octets); OSError when there is no answer. An idle connection that the server has
        closed is replaced once."""
        payload = b"" if body is None else body if isinstance(body, bytes) else body.encode()
        lines = [f"{method} {path} HTTP/1.1", f"Host: localhost:{self.port}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        lines.append(f"Content-Length: {len(payload)}")
        octets = "\r\n".join(lines).encode() + b"\r\n\r\n" + payload
        reused = self.socket is not None
        try:
            return self._exchange(octets)
        except TimeoutError:
            self.close()
            raise
        except OSError:
            self.close()
            if not reused:
                raise
        try:
            return self._exchange(octets)
        except OSError:
            self.close()
            raise

    def _exchange(self, octets):
        self.connect()
        self.sent_ns = now_ns()
        self.socket.sendall(octets)
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._more()
        head, _, body = received.partition(b"\r\n\r\n")
        fields = head.decode("latin-1").lower().split("\r\n")
        length = 0
        close = False
        for field in fields[1:]:
            name, _, value = field.partition(":")
            if name == "content-length":
                length = int(value)
            elif name == "connection":
                close = value.strip() == "close"
            elif name == "transfer-encoding":
                raise OSError("chunked answers are not read here")
        while len(body) < length:
            body += self._more()
        if close:
            self.close()
        return int(fields[0].split(" ")[1]), body

    def _more(self):
        octets = self.socket.recv(65536)
        if not octets:
            raise ConnectionResetError("closed without an answer")
        return octets

    def json(self, method, path, body=None, headers=None):
        """(status, object); {} when the body is no JSON object."""
        headers = dict(headers or {})
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
            body = json.dumps(body)
        status, octets = self.request(method, path, body, headers)
        try:
            parsed = json.loads(octets)
        except ValueError:
            parsed = {}
        return status, parsed if isinstance(parsed, (dict, list)) else {}


class Seen:
    """The first moment at which something was observed: `at_ns`, and what it was."""

    def __init__(self, at_ns, what):
        self.at_ns, self.what = at_ns, what


class Watch(threading.Thread):
    """Calls `look` about every millisecond until it returns something true, or time is over."""

    def __init__(self, look, seconds: float):
        super().__init__(daemon=True)
        self.look, self.deadline = look, now_ns() + int(seconds * 1e9)
        self.seen = None
        self.start()

    def run(self):
        while now_ns() < self.deadline:
            try:
                what = self.look()
            except OSError:
                what = None  # no answer is no observation
            if what:
                self.seen = Seen(now_ns(), what)
                return
            time.sleep(0.001)

    def result(self):
        self.join()
        return self.seen


class Guard(threading.Thread):
    """Goes on calling for a mission that nobody touches; notes every answer but a permission."""

    def __init__(self, call, pause=0.005):
        super().__init__(daemon=True)
        self.call, self.pause = call, pause
        self.served, self.refusals, self.done = 0, [], threading.Event()
        self.start()

    def run(self):
        while not self.done.is_set():
            try:
                status, body = self.call()
                if status == 200:
                    self.served += 1
                else:
                    self.refusals.append(f"{status} {body.get('state')}: {body.get('reason')}")
            except OSError as e:
                self.refusals.append(f"no answer: {e}")
            self.done.wait(self.pause)

    def stop(self):
        self.done.set()
        self.join()
        return self


def process_state(pid: int) -> str:
    """proc(5): R S D T Z ...; empty when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def children_of(parent: int) -> list[int]:
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as f:
                    if int(f.read().rpartition(")")[2].split()[1]) == parent:
                        found.append(int(entry))
            except OSError:
                continue
    return found


class Group:
    """The processes of one agent, watched by pidfd: an exit is seen whoever the parent is, and a
    reused pid is never mistaken for the agent."""

    def __init__(self, pids):
        self.fds = {pid: os.pidfd_open(pid) for pid in pids}

    def paused(self) -> bool:
        return all(process_state(pid) == "T" for pid in self.fds)

    def running(self) -> bool:
        return all(process_state(pid) in ("R", "S", "D") for pid in self.fds)

    def halted(self) -> bool:
        poller = select.poll()
        for fd in self.fds.values():
            poller.register(fd, select.POLLIN)
        return len(poller.poll(0)) == len(self.fds)

    def reaped(self) -> bool:
        return not any(process_state(pid) for pid in self.fds)

    def close(self):
        for fd in self.fds.values():
            os.close(fd)
        self.fds = {}
