"""A small HTTP service that serves an agent only while its mission permits it.

    MISSION_SIGNALS_LIBRARY=build/test/receiver/capi/libmission_signals_c.so.0 \\
    python3 samples/python/service.py --issuer https://localhost:8443 --ca-file ca.pem --client-id notes \\
        --private-key notes.pem --audience https://notes.example --state notes.db

GET  /notes                  (header Mission-Id) the notes; 403 with the reason when the mission is not active
POST /notes                  keeps a note, held for the mission: destroyed with it, with evidence
GET  /notes/{mission}        what is left of a mission's notes
GET  /healthz                whether the stream lives

Every request is a coroutine of one event loop. A mission that is not known yet is asked for with
`await`: one slow Mission Status holds up nobody but who asked for that mission. Standard library only.
"""
import argparse
import asyncio
import json
import signal
import sys
import threading

import mission_signals

BODY_MAX, HEAD_MAX, READ_SECONDS = 64 * 1024, 16 * 1024, 10
IN_DOUBT = ("unknown", "stale", "gap")
REASONS = {200: "OK", 201: "Created", 400: "Bad Request", 403: "Forbidden", 404: "Not Found",
           405: "Method Not Allowed", 413: "Content Too Large"}


class Refused(Exception):
    def __init__(self, status, **body):
        super().__init__(status)
        self.status, self.body = status, body


class Notes:
    """The notes of each mission. Handlers come on the library's threads, requests on the loop's."""

    def __init__(self, receiver, resource):
        self.receiver, self.resource = receiver, resource
        self.lock, self.kept, self.numbers = threading.Lock(), {}, 0
        receiver.on_effect("notes", mission_signals.ENDS, self.destroy)

    def destroy(self, task):
        """Called until it says that the note is gone; a repeated call finds it gone."""
        with self.lock:
            there = self.kept.get(task.mission_id, {}).pop(task.name, None) is not None
        evidence = f"note {task.name} " + ("destroyed" if there else "was gone already")
        log("destroyed", mission=task.mission_id, effect=task.effect, evidence=evidence)
        return evidence

    async def permitted(self, mission, action):
        """check() first: it costs nothing. Status is asked only where check() cannot say, or to learn the authority."""
        answer = self.receiver.check(mission)
        if answer.standing in IN_DOUBT or (answer and not self.receiver.permits(mission, self.resource, action)):
            try:
                answer = await asyncio.wait_for(self.receiver.resolve_async(mission), 5)
            except asyncio.TimeoutError:
                answer = self.receiver.check(mission)
        if not answer:
            raise Refused(403, error="mission_not_active", state=answer.standing, reason=answer.reason, mission=mission)
        if not self.receiver.permits(mission, self.resource, action):
            raise Refused(403, error="insufficient_authority", action=action, mission=mission)

    async def answer(self, method, path, headers, body):
        if path == "/healthz":
            return 200, {"live": bool(self.receiver.status()["streaming"])}
        if path.startswith("/notes/") and method == "GET":
            with self.lock:
                return 200, {"notes": sorted(self.kept.get(path[len("/notes/"):], {}))}
        if path != "/notes":
            raise Refused(404, error="not_found")
        mission = headers.get("mission-id", "")
        if method == "GET":
            await self.permitted(mission, "notes.read")
            with self.lock:
                return 200, {"notes": self.kept.get(mission, {})}
        if method != "POST":
            raise Refused(405, error="method_not_allowed")
        await self.permitted(mission, "notes.write")
        with self.lock:
            self.numbers += 1
            name = f"note-{self.numbers}"
            self.kept.setdefault(mission, {})[name] = body.decode("utf-8", "replace")
        try:
            self.receiver.hold(mission, name)  # declared before it is handed out
        except mission_signals.Denied as e:
            with self.lock:
                del self.kept[mission][name]
            raise Refused(403, error="mission_not_active", reason=str(e), mission=mission) from e
        return 201, {"name": name}

    async def serve(self, reader, writer):
        try:
            head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), READ_SECONDS)).decode("latin-1")
            first, *lines = head.split("\r\n")
            method, path, _ = first.split(" ", 2)
            headers = {n.strip().lower(): v.strip() for n, _, v in (line.partition(":") for line in lines if line)}
            length = headers.get("content-length", "0")
            if not length.isdigit():
                raise Refused(400, error="invalid_request")
            if int(length) > BODY_MAX:
                raise Refused(413, error="too_large")
            body = await asyncio.wait_for(reader.readexactly(int(length)), READ_SECONDS)
            status, answer = await self.answer(method, path, headers, body)
        except Refused as e:
            status, answer = e.status, e.body
        except (asyncio.TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            status, answer = 400, {"error": "invalid_request"}
        if status == 403:
            log("refused", **answer)
        text = json.dumps(answer).encode()
        writer.write(f"HTTP/1.1 {status} {REASONS[status]}\r\nContent-Type: application/json\r\n"
                     f"Cache-Control: no-store\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n".encode() + text)
        try:
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        except OSError:
            pass  # the client has gone


def log(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


async def run(receiver, service, port):
    server = await asyncio.start_server(service.serve, "127.0.0.1", port, limit=HEAD_MAX)
    done = asyncio.Event()
    for s in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(s, done.set)
    # Requests are answered from the first moment: denied until the stream lives.
    receiver.start()
    log("listening", port=server.sockets[0].getsockname()[1])
    await done.wait()
    server.close()
    await server.wait_closed()


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--port", type=int, default=0)
    for name in ("issuer", "client-id", "private-key", "audience"):
        p.add_argument("--" + name, required=True)
    p.add_argument("--ca-file", default="")
    p.add_argument("--state", default="")
    a = p.parse_args()
    with mission_signals.Receiver(
            log=lambda level, message, fields: print(message, fields, file=sys.stderr),
            issuer=a.issuer, ca_file=a.ca_file, client_id=a.client_id, private_key_file=a.private_key,
            audience=a.audience, state_path=a.state, description="notes") as receiver:
        asyncio.run(run(receiver, Notes(receiver, a.audience), a.port))


if __name__ == "__main__":
    main()
