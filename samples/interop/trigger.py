#!/usr/bin/env python3
"""Triggers events at the transmitter: one of each CAEP 1.0 type, and on demand of RISC 1.0 and of the draft WISE.

    ./trigger.py                                        CAEP, to every client, by keys/operator.token
    ./trigger.py --profile                              the three types of the CAEP interoperability profile
    ./trigger.py --risc --wise --audience suite         CAEP, RISC and WISE, to the client `suite` alone
    ./trigger.py --only session-revoked --subject '{"format": "iss_sub", "iss": "https://idp.example", "sub": "x"}'
    ./trigger.py --transmitter https://localhost:8443/interop --client-id operator --client-secret-file F

Each is a POST /signals. One line a type is printed: name, HTTP status, signal_id, txn. Exit status 1 when one was
refused. Needs Python's standard library.
"""
import argparse
import base64
import json
import pathlib
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

BASE = "https://schemas.openid.net/secevent/{}/event-type/{}"
USER = {"format": "email", "email": "user@example.com"}
WORKLOAD = {"format": "uri", "uri": "spiffe://trust.example.com/workload/payment-service"}
WHY = {"initiating_entity": "policy", "reason_admin": {"en": "Interoperability test"}}

CAEP = {
    "session-revoked": {**WHY, "reason_user": {"en": "Please sign in again."}},
    "token-claims-change": {**WHY, "claims": {"role": "reader"}},
    "credential-change": {**WHY, "credential_type": "fido2-roaming", "change_type": "create",
                          "friendly_name": "Blue key", "fido2_aaguid": "cb69481e-8ff7-4039-93ec-0a2729a154a8"},
    "assurance-level-change": {**WHY, "namespace": "NIST-AAL", "current_level": "nist-aal2",
                               "previous_level": "nist-aal1", "change_direction": "increase"},
    "device-compliance-change": {**WHY, "previous_status": "compliant", "current_status": "not-compliant"},
    "session-established": {**WHY, "fp_ua": "8d969eef6ecad3c2", "acr": "urn:example:aal2", "amr": ["otp"]},
    "session-presented": {**WHY, "fp_ua": "8d969eef6ecad3c2", "ext_id": "session-1"},
    "risk-level-change": {**WHY, "principal": "USER", "current_level": "HIGH", "previous_level": "LOW",
                          "risk_reason": "PASSWORD_FOUND_IN_DATA_BREACH"},
}
PROFILE = ("session-revoked", "credential-change", "device-compliance-change")
RISC = {
    "account-credential-change-required": {}, "account-purged": {}, "account-disabled": {"reason": "hijacking"},
    "account-enabled": {}, "identifier-changed": {"new-value": "new@example.com"}, "identifier-recycled": {},
    "credential-compromise": {"credential_type": "password"}, "opt-in": {}, "opt-out-initiated": {},
    "opt-out-cancelled": {}, "opt-out-effective": {}, "recovery-activated": {}, "recovery-information-changed": {},
}
WISE = {
    "credential-issued": {"credential_type": "wic", "credential_id": "serial:01", "key_storage": "hardware"},
    "credential-rotated": {"credential_type": "wit", "previous_credential_id": "jti:1", "new_credential_id": "jti:2"},
    "credential-revoked": {"credential_type": "wic", "credential_id": "serial:01", "reason": "compromise"},
    "credential-compromise": {"credential_type": "wit", "credential_id": "jti:2"},
    "credential-renewal-failure": {"credential_type": "wit", "failure_reason": "posture_evaluation_failed"},
    "workload-disabled": {"reason": "administrative"}, "workload-enabled": {}, "workload-purged": {},
}


class Transmitter:
    def __init__(self, issuer, ca):
        self.issuer = issuer.rstrip("/")
        self.context = ssl.create_default_context()
        if ca:  # beside the system's
            self.context.load_verify_locations(str(ca))

    def ask(self, url, data=None, **fields):
        """-> (status, parsed body). The form of the body is in its Content-Type."""
        request = urllib.request.Request(url, data, {k.replace("_", "-"): v for k, v in fields.items()})
        try:
            with urllib.request.urlopen(request, timeout=20, context=self.context) as r:
                return r.status, json.loads(r.read() or b"null")
        except urllib.error.HTTPError as e:
            text = e.read().decode(errors="replace")
            try:
                return e.code, json.loads(text)
            except ValueError:
                return e.code, {"error": text[:200]}
        except OSError as e:
            sys.exit(f"{url}: {e}")

    def token(self, client_id, secret):
        """RFC 8414 metadata, then client_credentials with client_secret_basic."""
        u = urllib.parse.urlsplit(self.issuer)
        status, metadata = self.ask(f"{u.scheme}://{u.netloc}/.well-known/oauth-authorization-server{u.path}")
        if status != 200:
            sys.exit(f"no token endpoint is published: HTTP {status}")
        pair = ":".join(urllib.parse.quote_plus(t) for t in (client_id, secret))
        status, answer = self.ask(metadata["token_endpoint"], b"grant_type=client_credentials&scope=signals.emit",
                                  Authorization="Basic " + base64.b64encode(pair.encode()).decode(),
                                  Content_Type="application/x-www-form-urlencoded")
        if status != 200:
            sys.exit(f"no token: HTTP {status} {json.dumps(answer)}")
        return answer["access_token"]


def chosen(a):
    """-> [(family, name, event, subject)]"""
    families = [("caep", CAEP)]
    if a.risc or a.only:
        families.append(("risc", RISC))
    if a.wise or a.only:
        families.append(("wise", WISE))
    out = []
    for family, events in families:
        for name, event in events.items():
            wanted = name in a.only or f"{family}:{name}" in a.only
            if (a.only and not wanted) or (a.profile and family == "caep" and name not in PROFILE):
                continue
            subject = a.subject or (WORKLOAD if family == "wise" else USER)
            # RISC 1.0 sections 2.5 and 2.6: these are about an address or a number, and nothing else.
            if name.startswith("identifier-") and subject.get("format") not in ("email", "phone_number"):
                subject = USER
            if family == "caep":
                event = {"event_timestamp": int(time.time()), **event}
            out.append((family, name, event, subject))
    unknown = [o for o in a.only if o not in [n for f, n, *_ in out] + [f"{f}:{n}" for f, n, *_ in out]]
    if unknown:
        sys.exit("unknown: " + ", ".join(unknown))
    return out


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--transmitter", default="https://localhost:8443", metavar="ISSUER")
    p.add_argument("--ca", type=pathlib.Path, metavar="PEM",
                   help="another authority to trust than the system's (keys/trust.pem if there)")
    p.add_argument("--token-file", type=pathlib.Path, default=pathlib.Path("keys/operator.token"))
    p.add_argument("--client-id", help="ask the token endpoint instead, as this client")
    p.add_argument("--client-secret-file", type=pathlib.Path, default=pathlib.Path("keys/operator.secret"))
    p.add_argument("--audience", default="all", help="client ids, with commas (%(default)s)")
    p.add_argument("--subject", type=json.loads, metavar="JSON", help="whom it is about (%s)" % json.dumps(USER))
    p.add_argument("--profile", action="store_true", help="of CAEP the interoperability profile's types alone")
    p.add_argument("--risc", action="store_true", help="RISC too")
    p.add_argument("--wise", action="store_true", help="WISE too")
    p.add_argument("--only", action="append", default=[], metavar="TYPE",
                   help="this type alone, such as session-revoked or wise:credential-compromise; again for more")
    a = p.parse_args()
    local = pathlib.Path("keys/trust.pem")
    t = Transmitter(a.transmitter, a.ca or (local if local.exists() else None))
    token = (t.token(a.client_id, a.client_secret_file.read_text().strip()) if a.client_id
             else a.token_file.read_text().strip())
    audience = "all" if a.audience == "all" else a.audience.split(",")
    refused = 0
    for family, name, event, subject in chosen(a):
        body = {"type": BASE.format(family, name), "subject": subject, "event": event, "audience": audience}
        status, answer = t.ask(t.issuer + "/signals", json.dumps(body).encode(), Authorization="Bearer " + token,
                               Content_Type="application/json")
        if status == 202:
            print(f"{family}:{name}", status, answer["signal_id"], answer["txn"])
        else:
            refused += 1
            print(f"{family}:{name}", status, json.dumps(answer))
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
