#!/usr/bin/env python3
"""One decision of two policy decision points: is the mission alive, and does the policy allow it?

    ask.py --sidecar /run/mission/check.sock --engine http://127.0.0.1:3592 MISSION ACTION INVOICE [AMOUNT]

Both are asked the same AuthZEN request. The sidecar goes first; what it says of the mission becomes
attributes of the subject for the policy engine, whose policy reads them (policies/invoice.yaml).
Both have to permit. Prints one JSON object; exit 0 permit, 1 deny. No answer is no permission.
"""
import argparse
import http.client
import json
import socket
import sys
import urllib.parse


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=5)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def connection(place):
    if place.startswith("/"):
        return UnixConnection(place)
    return http.client.HTTPConnection(urllib.parse.urlsplit(place).netloc, timeout=5)


def evaluate(place, request):
    """An AuthZEN decision: {"decision": bool, "context": {..}}; OSError when there is none."""
    c = connection(place)
    try:
        c.request("POST", "/access/v1/evaluation", json.dumps(request), {"Content-Type": "application/json"})
        answer = c.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise OSError(f"{place} answers {answer.status}")
        return json.loads(body)
    finally:
        c.close()


def decide(sidecar, engine, mission, action, invoice, amount):
    request = {
        "subject": {"type": "agent", "id": "agent-1",
                    "properties": {"cerbos.roles": ["agent"], "mission_id": mission}},
        "action": {"name": action},
        "resource": {"type": "invoice", "id": invoice, "properties": {"amount": amount}}}
    mission_says = evaluate(sidecar, request)
    told = mission_says.get("context", {})
    properties = request["subject"]["properties"]
    properties["mission_state"] = told.get("mission_state", "unknown")
    properties["mission_version"] = told.get("mission_version", 0)
    policy_says = evaluate(engine, request)
    return {"permit": mission_says["decision"] is True and policy_says["decision"] is True,
            "mission": mission_says["decision"], "policy": policy_says["decision"],
            "mission_state": properties["mission_state"], "mission_version": properties["mission_version"]}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--sidecar", required=True, help="path of its Unix socket, or http://HOST:PORT")
    p.add_argument("--engine", required=True, help="the same, of the policy engine")
    p.add_argument("mission")
    p.add_argument("action")
    p.add_argument("invoice")
    p.add_argument("amount", nargs="?", type=float, default=0)
    a = p.parse_args()
    try:
        out = decide(a.sidecar, a.engine, a.mission, a.action, a.invoice, a.amount)
    except (OSError, http.client.HTTPException, ValueError, KeyError) as e:
        out = {"permit": False, "error": str(e)}
    print(json.dumps(out))
    return 0 if out["permit"] else 1


if __name__ == "__main__":
    sys.exit(main())
