#!/usr/bin/env python3
"""Makes a folder from which transmitter and receiver can be started: certificates, keys, secrets, configurations.

    ./prepare.py FOLDER                                        everything on this machine
    ./prepare.py FOLDER --transmitter https://ssf.example.org --listen 0.0.0.0:443 --public

The configurations of this kit hold the defaults below; here other values are put in their places. Keys and secrets
that are in FOLDER already are kept. At the end: what to type into the conformance suite's form.

Needs Python's standard library and openssl.
"""
import argparse
import base64
import hashlib
import json
import os
import pathlib
import re
import secrets
import shutil
import subprocess
import sys
import urllib.parse

KIT = pathlib.Path(__file__).resolve().parent
# argument -> what stands in the configurations
DEFAULTS = {
    "transmitter": "https://localhost:8443",
    "listen": "127.0.0.1:8443",
    "admin": "127.0.0.1:9443",
    "receiver": "https://localhost:8444/events",
    "receiver_listen": "127.0.0.1:8444",
    "proxied": "https://localhost:8446/ssf/events",
    "proxied_listen": "127.0.0.1:8445",
    "metadata": "https://localhost:8443/.well-known/ssf-configuration",
}
PATH = "/interop"  # of the issuer in transmitter-path.toml


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", type=pathlib.Path)
    p.add_argument("--transmitter", default=DEFAULTS["transmitter"], metavar="URL",
                   help="where the transmitter is found, without a path (%(default)s)")
    p.add_argument("--listen", default=DEFAULTS["listen"], metavar="ADDRESS:PORT",
                   help="where it listens (%(default)s)")
    p.add_argument("--admin", default=DEFAULTS["admin"], metavar="ADDRESS:PORT",
                   help="its second listener, for health and metrics (%(default)s)")
    p.add_argument("--receiver", default=DEFAULTS["receiver"], metavar="URL",
                   help="push endpoint of the receiver (%(default)s)")
    p.add_argument("--receiver-listen", default=DEFAULTS["receiver_listen"], metavar="ADDRESS:PORT",
                   help="where the receiver listens (%(default)s)")
    p.add_argument("--proxied", default=DEFAULTS["proxied"], metavar="URL",
                   help="push endpoint at the reverse proxy (%(default)s)")
    p.add_argument("--proxied-listen", default=DEFAULTS["proxied_listen"], metavar="ADDRESS:PORT",
                   help="where the receiver behind the proxy listens (%(default)s)")
    p.add_argument("--metadata", metavar="URL",
                   help="metadata of the transmitter that the receivers listen to (the kit's own)")
    p.add_argument("--token", help="the token they present to it (the one of the kit's client `suite`)")
    p.add_argument("--client-id", help="the client they are at its token endpoint (`suite-secret`)")
    p.add_argument("--client-secret", help="and its secret (the one of the kit)")
    p.add_argument("--certificate", type=pathlib.Path, metavar="PEM", help="chain to serve with (made)")
    p.add_argument("--private-key", type=pathlib.Path, metavar="PEM", help="and its key (made)")
    p.add_argument("--trust", type=pathlib.Path, action="append", default=[], metavar="PEM",
                   help="another authority to trust, such as that of a suite on this machine")
    p.add_argument("--public", action="store_true",
                   help="trust the system's authorities alone, and push to public addresses alone")
    a = p.parse_args()
    a.transmitter = a.transmitter.rstrip("/")
    if urllib.parse.urlsplit(a.transmitter).scheme != "https" or urllib.parse.urlsplit(a.transmitter).path:
        p.error("--transmitter is an https URL without a path")
    if (a.certificate is None) != (a.private_key is None):
        p.error("--certificate and --private-key go together")
    a.metadata = a.metadata or a.transmitter + "/.well-known/ssf-configuration"
    return a


def private_file(path, text):
    """Kept when it is there: what is in a form somewhere goes on working."""
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as f:
            f.write(text)
    return path.read_text().strip()


def b64(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def jwk_of(pem):
    """-> (public, private) JWK of a P-256 key, as openssl prints it."""
    text = subprocess.run(["openssl", "pkey", "-in", pem, "-noout", "-text"], check=True, capture_output=True,
                          text=True).stdout
    octets = {}
    for name in ("priv", "pub"):
        found = re.search(name + r":\n((?:\s+[0-9a-f:]+\n)+)", text)
        octets[name] = bytes.fromhex(re.sub(r"[^0-9a-f]", "", found.group(1)))
    point = octets["pub"]
    if len(point) != 65 or point[0] != 4:
        sys.exit(f"{pem}: not a P-256 key")
    public = {"crv": "P-256", "kty": "EC", "x": b64(point[1:33]), "y": b64(point[33:])}
    # RFC 7638: these members in this order are what the thumbprint is of.
    kid = b64(hashlib.sha256(json.dumps(public, separators=(",", ":"), sort_keys=True).encode()).digest())
    public |= {"kid": kid, "alg": "ES256", "use": "sig"}
    return public, public | {"d": b64(octets["priv"][-32:].rjust(32, b"\0"))}


def make_keys(a):
    keys = a.folder / "keys"
    names = ["localhost", "127.0.0.1"]
    for url in (a.transmitter, a.receiver, a.proxied):
        host = urllib.parse.urlsplit(url.replace("{port}", "1")).hostname
        if host not in names:
            names.append(host)
    subprocess.run([KIT / "certificates.sh", keys, *names], check=True)
    if a.certificate:
        for given, name in ((a.certificate, "server.pem"), (a.private_key, "server.key")):
            (keys / name).write_bytes(given.read_bytes())
    # One bundle: the kit's authority and whom else to trust.
    (keys / "trust.pem").write_bytes(b"\n".join(f.read_bytes() for f in (keys / "ca.pem", *a.trust)))
    public, private = jwk_of(keys / "client.pem")
    (keys / "client.jwks.json").write_text(json.dumps({"keys": [public]}, indent=2) + "\n")
    for name in ("suite.token", "operator.token", "client.secret", "operator.secret"):
        private_file(keys / name, secrets.token_urlsafe(32) + "\n")
    private_file(keys / "push.header", "Bearer " + secrets.token_urlsafe(24) + "\n")
    (keys / "client-private.jwks.json").unlink(missing_ok=True)
    private_file(keys / "client-private.jwks.json", json.dumps({"keys": [private]}, indent=2) + "\n")
    # What the receivers present is another's to say.
    for name, given, ours in (("transmitter.token", a.token, "suite.token"),
                              ("transmitter.secret", a.client_secret, "client.secret")):
        (keys / name).unlink(missing_ok=True)
        private_file(keys / name, given or (keys / ours).read_text())


def configure(a):
    values = {DEFAULTS[name]: getattr(a, name) for name in DEFAULTS}
    values["listen 8446 ssl"] = f"listen {urllib.parse.urlsplit(a.proxied).port or 443} ssl"
    values['client_id = "suite-secret"'] = f"client_id = {json.dumps(a.client_id or 'suite-secret')}"
    # The longest first: the transmitter's URL is the beginning of its metadata's.
    pattern = re.compile("|".join(re.escape(v) for v in sorted(values, key=len, reverse=True)))
    for source in sorted([*KIT.glob("*.toml"), KIT / "nginx.conf"]):
        lines = source.read_text().splitlines(keepends=True)
        if a.public:
            lines = [line for line in lines if "# local only" not in line]
        (a.folder / source.name).write_text(pattern.sub(lambda m: values[m.group()], "".join(lines)))
    shutil.copytree(KIT / "wise", a.folder / "wise", dirs_exist_ok=True)


def form(a):
    """Field of the suite's form -> value, as JSON: the tables of README.md filled in."""
    keys = a.folder / "keys"
    read = lambda name: (keys / name).read_text().strip()  # noqa: E731
    server = "/.well-known/oauth-authorization-server"
    scope = "ssf.read ssf.manage"
    return {
        "transmitter-static.toml": {
            "ssf.transmitter.issuer": a.transmitter,
            "ssf.transmitter.access_token": read("suite.token")},
        "transmitter-dynamic.toml, client_secret_basic or client_secret_post": {
            "ssf.transmitter.issuer": a.transmitter, "server.discoveryUrl": a.transmitter + server,
            "server.token_endpoint": a.transmitter + "/oauth/token", "client.client_id": "suite-secret",
            "client.client_secret": read("client.secret"), "client.scope": scope},
        "transmitter-dynamic.toml, private_key_jwt": {
            "ssf.transmitter.issuer": a.transmitter, "server.discoveryUrl": a.transmitter + server,
            "server.token_endpoint": a.transmitter + "/oauth/token", "client.client_id": "suite-key",
            "client.jwks": json.loads(read("client-private.jwks.json")), "client.scope": scope},
        "transmitter-path.toml": {
            "ssf.transmitter.issuer": a.transmitter, "ssf.transmitter.metadata_suffix": PATH,
            "ssf.transmitter.configuration_metadata_endpoint":
                a.transmitter + "/.well-known/ssf-configuration" + PATH,
            "ssf.transmitter.access_token": read("suite.token"),
            "server.discoveryUrl": a.transmitter + server + PATH,
            "server.token_endpoint": a.transmitter + PATH + "/oauth/token"},
    }


def main():
    a = arguments()
    a.folder.mkdir(parents=True, exist_ok=True)
    make_keys(a)
    configure(a)
    text = json.dumps(form(a), indent=2) + "\n"
    (a.folder / "form.json").unlink(missing_ok=True)
    private_file(a.folder / "form.json", text)
    print(text, end="")
    print(f"ready in {a.folder}; the above is in {a.folder / 'form.json'}", file=sys.stderr)


if __name__ == "__main__":
    main()
