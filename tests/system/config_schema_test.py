"""The schemas of the configurations and the programs that read them, held against each other.

    config_schema_test.py --build-dir DIR [unittest arguments]

Configurations in which every key of the schema occurs are accepted by both. Each is then spoilt in
every place, by the schema: both have to refuse, or both to accept. What only a program can know is
listed below, by its message.
"""
import copy
import itertools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import unittest
from concurrent import futures

import jsonschema

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import harness as h  # noqa: E402
import openapi_document as d  # noqa: E402

BUILD = pathlib.Path("build/test")
ROOT = pathlib.Path(__file__).resolve().parents[2]
SESSION_REVOKED = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"

# What a program refuses although the schema does not: it looks at other keys, or at files.
BEYOND = re.compile("|".join([
    "cannot read", "cannot be read", "holds no PEM certificate", "holds no key that can be used", "cannot be used:",
    "not set$", "names no \\[\\[", "has the unknown type", "is needed when there are several issuers",
    "there without a token", "must be below max_stale_seconds", "is there twice", "is that of client",
    "is not there or not executable", "must not be above retry_max_seconds", "which another \\[\\[event\\]\\]",
    "missing here and in another \\[\\[event\\]\\]", "one of ours: its tokens", "is built in", "is not JSON",
    "is missing beside the other", "belong together", "without TLS", "is of no resource", "makes no sense with",
    "belong together", "no request is for", "is no JSON Pointer", "not both", "what is to be seen", "belong to a look", "is no https URL",
    "belongs to drop", "needs a password",
    "holds no JSON object", "names no issuer", "metadata_json:", "PEM", "has an entry that is no subject"]))


def plain(value):
    """What TOML has and JSON has not: times, as text."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    return value if isinstance(value, (bool, int, float, str)) else value.isoformat()


def toml_text(config):
    return "".join(f"{key} = {h.toml(value)}\n" for key, value in config.items())


class Schema:
    def __init__(self, file):
        self.root = json.loads(file.read_text())
        jsonschema.Draft202012Validator.check_schema(self.root)
        self.validator = jsonschema.Draft202012Validator(self.root, format_checker=d.formats)
        self.resolver = jsonschema.RefResolver("", self.root)

    def accepts(self, config):
        return self.validator.is_valid(config)

    def why_not(self, config):
        e = jsonschema.exceptions.best_match(self.validator.iter_errors(config))
        return e and f"/{'/'.join(map(str, e.absolute_path))}: {e.message[:200]}"

    def parts(self, schema, value):
        """(place, schema) of each schema that describes this value: through references and alternatives."""
        def follow(one, where):
            if not isinstance(one, dict):
                return
            if "$ref" in one:
                yield from follow(self.resolver.resolve(one["$ref"])[1], one["$ref"])
            yield where, one
            for i, branch in enumerate(one.get("oneOf", []) + one.get("anyOf", [])):
                # A branch without properties of its own is a condition; it describes nothing.
                if jsonschema.Draft202012Validator(branch, resolver=self.resolver).is_valid(value):
                    yield from follow(branch, f"{where}/{i}")
        yield from follow(schema[1], schema[0])

    def members(self, place, value):
        """(key, value, [place, schema]) of a table or a list, by what describes it."""
        for where, one in self.parts(place, value):
            if isinstance(value, dict):
                for key, child in value.items():
                    if isinstance(one.get("properties", {}).get(key), dict) and self.describes(one):
                        yield key, child, (f"{where}/{key}", one["properties"][key])
                    elif isinstance(one.get("additionalProperties"), dict):
                        yield key, child, (f"{where}/*", one["additionalProperties"])
            if isinstance(value, list) and "items" in one:
                for i, child in enumerate(value):
                    first = one.get("prefixItems", [])
                    yield i, child, (f"{where}/-", first[i] if i < len(first) else one["items"])

    @staticmethod
    def describes(schema):
        return schema.get("additionalProperties") is False or schema.get("type") == "object"

    def nodes(self, config):
        """(path, value, place) of everything in a configuration."""
        def walk(path, value, place):
            yield path, value, place
            for key, child, below in self.members(place, value):
                yield from walk((*path, key), child, below)
        yield from walk((), config, ("#", self.root))

    def declared(self):
        """Each key that the schema has: its place, and its schema."""
        out, done = {}, set()

        def collect(one, where):
            if not isinstance(one, dict):
                return
            if "$ref" in one:
                if one["$ref"] not in done:
                    done.add(one["$ref"])
                    collect(self.resolver.resolve(one["$ref"])[1], one["$ref"])
                return
            for i, branch in enumerate(one.get("oneOf", []) + one.get("anyOf", [])):
                collect(branch, f"{where}/{i}")
            if self.describes(one):
                for key, child in one.get("properties", {}).items():
                    out[f"{where}/{key}"] = child
                    collect(child, f"{where}/{key}")
            if isinstance(one.get("items"), dict):
                collect(one["items"], where + "/-")
            if isinstance(one.get("additionalProperties"), dict):
                collect(one["additionalProperties"], where + "/*")
        collect(self.root, "#")
        return out


def replaced(config, path, change):
    out = copy.deepcopy(config)
    if not path:
        change(out, None)
        return out
    at = out
    for key in path[:-1]:
        at = at[key]
    change(at, path[-1])
    return out


def put(value):
    return lambda at, key: at.__setitem__(key, value)


def drop(at, key):
    del at[key]


OF_EACH_TYPE = [True, -7, 7, 1.5, "~ no such text ~", "", [], ["~ no such text ~"], [7], [""], {}, {"no_such_key": 1}]


class Both:
    """The two sides. `folder` holds what the configurations name."""
    program = sources = settings = ()
    members_of, words_of = {}, {}
    schema_file = ""

    @classmethod
    def setUpClass(cls):
        cls.schema = Schema(ROOT / "schemas" / cls.schema_file)
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="mission-config-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.count = itertools.count()
        h.make_ca(cls.folder)
        for name, content in (("secret", "a secret\n"), ("token", "abc\n"), ("key32", h.b64(bytes(32)) + "\n"),
                              ("schema.json", '{"type": "object"}'), ("key.pem", h.Key().pem().decode()),
                              ("jwks.json", json.dumps({"keys": [h.Key().jwk()]})),
                              ("metadata.json", json.dumps(cls.metadata()))):
            (cls.folder / name).write_text(content)
        cls.configs = cls.complete(str(cls.folder))

    @staticmethod
    def metadata():
        t = "https://t.example"
        return {"issuer": t, "jwks_uri": t + "/jwks.json", "configuration_endpoint": t + "/ssf/streams",
                "delivery_methods_supported": ["urn:ietf:rfc:8935", "urn:ietf:rfc:8936"], "status_endpoint": t + "/s",
                "verification_endpoint": t + "/v"}

    def read(self, text):
        """The program's verdict: its message, None when it accepts."""
        file = self.folder / f"{next(self.count)}.toml"
        file.write_text(text)
        r = subprocess.run([BUILD / self.program, "check-config", "--config", file], capture_output=True, text=True,
                           env={**os.environ, "THE_SECRET": h.b64(bytes(32))}, cwd=self.folder, timeout=20)
        file.unlink()
        self.assertIn(r.returncode, (0, 1), r.stderr)
        return r.stderr.strip() if r.returncode else None

    def read_all(self, configs):
        with futures.ThreadPoolExecutor(2) as pool:
            return list(pool.map(lambda c: self.read(toml_text(c)), configs))

    def test_complete_configurations_are_accepted_by_both(self):
        for config in self.configs:
            self.assertIsNone(self.schema.why_not(config))
            self.assertIsNone(self.read(toml_text(config)))

    def test_every_key_of_the_schema_is_in_one_that_the_program_accepts(self):
        seen = {place[0] for config in self.configs for _, _, place in self.schema.nodes(config)}
        self.assertEqual(sorted(set(self.schema.declared()) - seen), [])

    def test_every_key_is_described_with_its_unit_and_bounds(self):
        for one in d.subschemas(self.schema.root):
            if not isinstance(one, dict):
                continue
            self.assertLessEqual(set(one), d.KEYWORDS | {"prefixItems", "dependentSchemas"})
            for key, child in one.get("properties", {}).items() if one.get("additionalProperties") is False else ():
                self.assertIn("description", child, key)
                if key.endswith("_seconds"):
                    self.assertIn("Seconds", child["description"], key)
                if child.get("type") in ("integer", "number"):
                    self.assertLessEqual({"minimum", "maximum"}, set(child), key)

    def spoilt(self, config, known=()):
        """(what, configuration) for each way to spoil one, or to use its ranges; but for `known` sections."""
        for path, value, (where, _) in self.schema.nodes(config):
            if path and path[0] in known:
                continue
            if isinstance(value, dict):
                yield f"{path} with another key", replaced({"x": config}, ("x", *path), lambda at, key: at[key].__setitem__(
                    "no_such_key", "x"))["x"]
            if not path:
                continue
            yield f"without {path}", replaced(config, path, drop)
            for other in OF_EACH_TYPE:
                yield f"{path} = {other!r}", replaced(config, path, put(other))
            for _, one in self.schema.parts((where, self.at(config, path)), value):
                for other in self.ends_of(one):
                    yield f"{path} = {other!r}", replaced(config, path, put(other))

    def at(self, config, path):
        return next(place[1] for p, _, place in self.schema.nodes(config) if p == path)

    @staticmethod
    def ends_of(schema):
        """On and just beyond each bound."""
        whole = schema.get("type") == "integer"
        for name, sign in (("minimum", -1), ("maximum", 1)):
            if name in schema:
                bound = schema[name]
                yield bound
                yield bound + sign * (1 if whole or bound > 1 else 0.001)
                if whole:
                    yield bound - sign * 0.5
        if schema.get("type") == "string" and "maxLength" in schema:
            yield "x" * schema["maxLength"]
            yield "x" * (schema["maxLength"] + 1)
        yield from schema.get("enum", [])

    def test_both_judge_alike_whatever_is_spoilt(self):
        self.maxDiff = None
        cases, done = [], set()
        for i, config in enumerate(self.configs):
            # What another configuration has just so has been spoilt there.
            known = {key for key, value in config.items() if any(value == c.get(key) for c in self.configs[:i])}
            for what, other in self.spoilt(config, known):
                text = toml_text(other)
                if text not in done:
                    done.add(text)
                    cases.append((what, other))
        self.assertGreater(len(cases), 500)
        wrong, refused = [], 0
        for (what, config), message in zip(cases, self.read_all([c for _, c in cases])):
            fits = self.schema.accepts(config)
            refused += message is not None and not fits
            if message is None and not fits:
                wrong.append(f"{what}: accepted by the program; schema: {self.schema.why_not(config)}")
            if message is not None and fits and not BEYOND.search(message):
                wrong.append(f"{what}: accepted by the schema; program: {message}")
        self.assertEqual(wrong, [])
        self.assertGreater(refused, len(cases) // 2)

    def test_the_program_knows_no_key_that_the_schema_has_not(self):
        """Every name in the sources of the readers, in every table where the schema does not have it."""
        names = set()
        for pattern in self.sources:
            for file in ROOT.glob(pattern):
                names.update(re.findall(r'"([a-z][a-z_]+)"', file.read_text()))
        self.assertGreater(len(names), 60)
        cases, done = [], set()
        for config in self.configs:
            for path, value, place in self.schema.nodes(config):
                closed = [(w, s) for w, s in self.schema.parts(place, value)
                          if isinstance(value, dict) and s.get("additionalProperties") is False]
                if not closed or closed[0][0] in done or set(value) in ({"file"}, {"env"}):
                    continue
                done.add(closed[0][0])
                for name in sorted(names - set(value)):
                    if any(name in s["properties"] for _, s in closed):
                        continue
                    at = replaced({"x": config}, ("x", *path), lambda t, k: t[k].__setitem__(name, "x"))["x"]
                    cases.append((f"{path} {name}", at))
        self.assertGreater(len(done), 8)
        for (what, config), message in zip(cases, self.read_all([c for _, c in cases])):
            self.assertRegex(message or "", "unknown key|not available in this version", what)
            self.assertFalse(self.schema.accepts(config), what)

    def matches(self, text, name):
        config = plain(tomllib.loads(text))
        self.assertIsNone(self.schema.why_not(config), name)
        return config


    def test_defaults_are_those_of_the_program(self):
        """As the initialisers of its settings have them; durations in their own unit."""
        text = "".join((ROOT / file).read_text() for file in self.settings)
        keys, others = {}, {}
        for place, one in self.schema.declared().items():
            if "default" in one:
                which = keys if one.get("type") in ("integer", "number") else others
                which[place.rsplit("/", 1)[1]] = one["default"]
        self.assertEqual(set(keys), set(self.members_of))
        for key, default in keys.items():
            member = self.members_of[key]
            line, value = re.search(rf"(.*)\b{member}(?:\{{|\(| = )([0-9']+)", text).groups()
            self.assertEqual(int(value.replace("'", "")) / (1000 if "milliseconds" in line else 1), default, key)
        self.assertEqual(set(others), set(self.words_of))
        for key, default in others.items():
            self.assertEqual(self.words_of[key][0], default, key)
            self.assertIn(self.words_of[key][1], text, key)


class Transmitter(Both, unittest.TestCase):
    settings = ("transmitter/config.hpp", "transmitter/config/auth_section.cpp", "events/mission_event.hpp")
    members_of = {
        "lead_seconds": "signing_lead", "streams_per_receiver": "streams_per_receiver", "window": "window",
        "subjects_per_stream": "subjects_per_stream", "min_verification_interval": "min_verification_interval",
        "subject_removal_grace_seconds": "removal_grace", "heartbeat_seconds": "heartbeat",
        "max_stale_seconds": "max_stale", "redelivery_seconds": "redelivery", "hold_days": "hold_days",
        "hold_signals": "hold_signals", "timeout_seconds": "timeout", "pause_after_seconds": "pause_after",
        "status_rate": "status_rate", "lifecycle_rate": "lifecycle_rate", "manage_rate": "manage_rate",
        "report_rate": "report_rate", "status_list_ttl": "status_list_ttl",
        "max_depth": "max_depth", "max_children": "max_children", "bulk_limit": "bulk_limit"}
    words_of = {
        "listen": ("127.0.0.1:8443", 'listen_address = "127.0.0.1";\n    std::uint16_t listen_port = 8443;'),
        "mode": ("authoritative", "bool mirror = false"), "in_place_extension": (False, "in_place_extension = false"),
        "url": ("sqlite:state/transmitter.db", 'store_url = "sqlite:state/transmitter.db"'),
        "directory": ("state/keys", 'signing_directory = "state/keys"'),
        "key": ({"file": "state/secret.key"}, 'secrets_key_file = "state/secret.key"'),
        "default_subjects": ("ALL", "default_subjects_all = true"),
        "event_type_base": (h.OURS, f'"{h.OURS}"'), "token_endpoint": (True, "token_endpoint = true"),
        "allow_bearer": (False, "allow_bearer = false"), "typ_jwt": (False, 's.boolean("typ_jwt").value_or(false)'),
        "unknown_types": ("refuse", "accept_unknown_types = false"),
        "missions": ("audience", "what = kind::audience"), "caep_bridge": (False, "std::string caep_bridge; ")}
    program, schema_file = "transmitter/mission-transmitter", "config-transmitter.json"
    sources = ("transmitter/config/*.cpp",)

    @classmethod
    def complete(cls, f):
        issuer = "https://t.example/tenant"
        everything = {
            "listen": "127.0.0.1:8443",
            "issuer": [{"url": issuer, "mode": "authoritative", "in_place_extension": True}],
            "tls": {"certificate": f + "/cert.pem", "private_key": f + "/key.pem", "client_ca": f + "/ca.pem"},
            "admin": {"listen": "[::1]:9443"}, "store": {"url": "sqlite:state/t.db"},
            "signing": {"directory": "state/keys", "lead_seconds": 60, "retain_seconds": 600, "status_retain_seconds": 900},
            "secrets": {"key": {"file": f + "/key32"}},
            "ssf": {"default_subjects": "NONE", "streams_per_receiver": 2, "subjects_per_stream": 9,
                    "min_verification_interval": 3, "inactivity_timeout": 86400, "subject_removal_grace_seconds": 1.5,
                    "heartbeat_seconds": 1, "max_stale_seconds": 60, "redelivery_seconds": 2, "hold_days": 3,
                    "hold_signals": 1000, "event_type_base": "https://events.example/"},
            "push": {"ca_file": f + "/ca.pem", "allow": ["127.0.0.0/8", "::1", "receiver.example:8443"],
                     "timeout_seconds": 2.5, "window": 4, "pause_after_seconds": 60},
            "auth": {"token_endpoint": True, "allow_bearer": False, "issuer": [
                {"issuer": "https://as.example", "introspection": "https://as.example/introspect",
                 "audience": "https://api.example", "client_id": "us", "client_secret": {"file": f + "/secret"}},
                {"issuer": "https://other.example", "jwks_uri": "https://other.example/jwks", "audience": "x",
                 "typ_jwt": True, "ca_file": f + "/ca.pem", "algs": ["ES256", "EdDSA"]}]},
            "missions": {"status_rate": 10, "lifecycle_rate": 0, "manage_rate": 3, "report_rate": 1, "status_list_ttl": 60,
                         "max_depth": 3, "max_children": 10, "unknown_types": "accept", "bulk_limit": 50},
            "authorization_type": [{"type": "account_information", "schema": f + "/schema.json"}],
            "report_rule": [
                {"name": "done", "kind": "completed", "issuer": issuer, "client": ["one", "two"], "agent": "a",
                 "tenant": "b", "action": "complete"},
                {"name": "odd", "kind": "anomaly", "action": "suspend", "suspend_for": 60, "on_expiry": "resume"},
                {"name": "more", "kind": "extension_requested", "action": "none"}],
            "foreign_event": [{"type": "https://wise.example/event", "schema": f + "/schema.json"}],
            "client": [
                {"id": "one", "issuer": issuer, "secret": "s", "token": {"file": f + "/secret"},
                 "token_expires": "2036-01-01T00:00:00Z", "jwks": {"keys": [h.Key().jwk()]},
                 "certificate": {"file": f + "/cert.pem"}, "audience": "https://one.example",
                 "scopes": ["ssf.read", "ssf.manage"], "lifecycle": ["revoke"],
                 "events": [SESSION_REVOKED, "https://wise.example/event"], "missions": "all",
                 "disclose": ["tenant", "user"], "caep_bridge": True, "signals_to": "all", "default_subjects": "ALL",
                 "alg": "RS256"},
                {"id": "two", "token_issuer": "https://as.example", "token": {"env": "THE_SECRET"}, "jwks": {"file": f + "/jwks.json"},
                 "missions": {"tenants": ["a"], "agents": ["b"]}, "caep_bridge": "user"}]}
        least = {"issuer": [{"url": "https://t.example/"}], "listen": "unix:/run/t.sock",
                 "secrets": {"key": {"env": "THE_SECRET"}}, "store": {"url": "memory:"},
                 "client": [{"id": "one", "jwks": json.dumps({"keys": [h.Key().jwk()]}), "caep_bridge": False,
                             "certificate": f + "/cert.pem"}]}
        by_variable = {"issuer": "https://as.example", "introspection": "https://as.example/introspect", "audience": "x",
                       "client_id": "us", "client_secret": {"env": "THE_SECRET"}}
        return [everything, least, {**least, "issuer": [{"url": "https://t.example", "mode": "mirror"}], "secrets": {"key": h.b64(bytes(32))}, "auth": {"issuer": [by_variable]}}]

    def test_an_address_is_one_for_both(self):
        base = self.configs[1]
        texts = ["127.0.0.1:0", "127.0.0.1:65535", "127.0.0.1:65536", "127.0.0.1:", ":80", "localhost", "[::1]:80",
                 "[]:80", "[a]:80", "::1:80", "unix:", "unix:x", "a:-1", "a:8o", "a:00080"]
        cases = [{**base, "listen": t} for t in texts]
        for config, message in zip(cases, self.read_all(cases)):
            self.assertEqual(self.schema.accepts(config), message is None, (config["listen"], message))

    def test_an_issuer_url_is_one_for_both(self):
        texts = ["https://t.example", "HTTPS://t.example", "http://t.example", "https://", "https://t.example?x",
                 "https://t.example/a?x", "https://t.example/a#x", "https://u@t.example", "https://t.example//",
                 "https://t.example/a//", "https://t.example//a", "https://t.example:1", "https://t.example:0",
                 "https://[::1]/a", "https://t example", "https://t.example/a b", "https://t.example/a/"]
        cases = [{"issuer": [{"url": t}]} for t in texts]
        for config, message in zip(cases, self.read_all(cases)):
            self.assertEqual(self.schema.accepts(config), message is None, (config["issuer"], message))

    def test_what_the_tests_and_samples_write_validates(self):
        clients = [h.Client("one", self.folder, audience="https://one.example", scopes=["ssf.read"], missions="all")]
        self.matches(h.Transmitter("x", self.folder, clients).config_file.read_text(), "harness")
        for file in sorted((ROOT / "samples").rglob("*.toml")):
            config = plain(tomllib.loads(file.read_text()))
            if "client" in config:
                self.assertIsNone(self.schema.why_not(config), file)


class Receiver(Both, unittest.TestCase):
    settings = ("receiver/program/config.hpp", "receiver/include/mission_signals/receiver.hpp",
                "receiver/program/read_handlers.cpp", "receiver/program/read_config.cpp",
                "receiver/program/read_presets.cpp",
                "receiver/program/read_check.cpp", "receiver/sidecar/settings.hpp")
    members_of = {
        "threads": "threads", "resolve_ms": "resolve_ms\", 1, 30'000\\)\\.value_or", "clock_skew_seconds": "clock_skew",
        "retry_first_seconds": "retry_first", "retry_max_seconds": "retry_max", "concurrency": "concurrency",
        "timeout_seconds": "timeout", "max_missions": "max_missions", "interim_after_seconds": "teardown_report_after",
        "grace_seconds": "grace_seconds\", 0, 3'600\\)\\.value_or\\(std::chrono::seconds"}
    words_of = {
        **{key: (False, f's.boolean("{key}").value_or(false)')
           for key in ("replace", "typ_missing", "issuer_slash", "created_with_200", "several_events", "allow_remote",
                       "resolve", "require_jti", "allow_bound", "look", "plain_http", "client_secret_post", "remove", "drop",
                       "acl_save")},
        "references": (["header"], "references{source::header}"), "header": ("X-Mission-Id", 'header = "x-mission-id"'),
        "token_header": ("Authorization", 'token_header = "authorization"'),
        "trusted_proxies": (["unix", "127.0.0.1", "::1"], 'trusted{"unix", "127.0.0.1", "::1"}'),
        "method_header": ("X-Original-Method", 'method_header = "x-original-method"'),
        "uri_header": ("X-Original-URI", 'uri_header = "x-original-uri"'),
        "authzen_authority": ("none", "authzen = authzen_authority::none"), "types": (["at+jwt"], 'types{"at+jwt"}'),
        "claim": ("mission.id", 'claim{"mission", "id"}'), "format": ("pem", "how = form::pem"),
        "field": ("uri", "what = member::uri"),
        "delivery": ("poll", '*how == "push" ? ms::delivery::push : ms::delivery::poll'),
        "path": ("state/receiver.db", 's.text("path").value_or("state/receiver.db")'),
        "enabled": (True, 's.boolean("enabled").value_or(true)'),
        "level": ("info", '.value_or("info")'), "per_hold": (True, 's.boolean("per_hold").value_or(true)')}
    program, schema_file = "receiver/program/mission-receiver", "config-receiver.json"
    sources = ("receiver/program/read_*.cpp",)

    def read_all(self, configs):
        """Many at once, for the start of the program is most of its work: a message names its file."""
        with futures.ThreadPoolExecutor(2) as pool:
            size = 200
            return [m for some in pool.map(self.read_some, (configs[i:i + size] for i in range(0, len(configs), size)))
                    for m in some]

    def read_some(self, configs):
        files = [self.folder / f"{next(self.count):06}.toml" for _ in configs]
        for file, config in zip(files, configs):
            file.write_text(toml_text(config))
        r = subprocess.run([BUILD / self.program, "check-config", *files], capture_output=True, text=True, cwd=self.folder,
                           env={**os.environ, "THE_SECRET": h.b64(bytes(32))}, timeout=60)
        self.assertIn(r.returncode, (0, 1), r.stderr)
        good = {line.split(": good (")[0] for line in r.stdout.splitlines()}
        problems = iter(r.stderr.split("mission-receiver: ")[1:])
        out = [None if str(file) in good else next(problems).strip() for file in files]
        self.assertIsNone(next(problems, None))
        for file in files:
            file.unlink()
        return out

    @classmethod
    def complete(cls, f):
        everything = {
            "issuer": "https://t.example", "metadata_url": "https://t.example/metadata", "worker_threads": 3,
            "auth": {"method": "private_key_jwt", "client_id": "us", "private_key": {"file": f + "/key.pem"},
                     "private_key_id": "k", "certificate": f + "/cert.pem", "certificate_key": f + "/key.pem",
                     "token_endpoint": "https://as.example/token", "scope": "ssf.read", "token_hosts": ["as.example:444"]},
            "tls": {"ca_file": f + "/ca.pem"},
            "stream": {"delivery": "push", "description": "x", "audience": "https://us.example",
                       "events": ["session-revoked", "urn:x:y"], "mission_issuers": ["https://i.example"],
                       "stream_id": "s", "replace": True,
                       "subjects": [{"format": "opaque", "id": "m"}, '{"format": "email", "email": "a@b.example"}']},
            "push": {"listen": "127.0.0.1:0", "certificate": f + "/cert.pem", "private_key": f + "/key.pem",
                     "public_url": "https://us.example:{port}/events", "authorization_header": {"file": f + "/secret"}},
            "quirks": {"typ_missing": True, "issuer_slash": False, "created_with_200": True, "several_events": False},
            "state": {"path": "state/r.db", "max_missions": 1000}, "control": {"socket": "r.sock"},
            "reports": {"enabled": False, "interim_after_seconds": 5, "url": "https://t.example/{mission_id}/said"},
            "log": {"level": "debug"},
            "check": {
                "listen": "0.0.0.0:0", "allow_remote": True, "certificate": f + "/cert.pem", "private_key": f + "/key.pem",
                "threads": 3, "references": ["token", "header", "certificate"], "header": "X-M", "token_header": "X-T",
                "token_cookie": "session", "trusted_proxies": ["unix", "10.0.0.0/8", "::1"], "resolve": True,
                "resolve_ms": 100, "method_header": "X-A", "uri_header": "X-B", "resource": "https://r.example",
                "resource_header": "X-C", "authzen_authority": "resource_id", "public_url": "https://pdp.example",
                "token": [
                    {"issuer": "https://as.example", "audience": "https://r.example", "jwks_uri": "https://as.example/jwks",
                     "ca_file": f + "/ca.pem", "algs": ["ES256", "EdDSA"], "types": ["at+jwt", "JWT"], "claim": "mission.id",
                     "clock_skew_seconds": 5, "require_jti": True, "allow_bound": True},
                    {"issuer": "https://other.example", "audience": "x", "jwks_file": f + "/jwks.json", "claim": ["a.b", "c"]}],
                "client_certificate": {"header": "X-D", "format": "xfcc", "field": "dns", "pattern": "{mission_id}.m.example"},
                "rule": [{"methods": ["GET"], "path": "/a/*/b/**", "resource": "https://r2.example", "action": "read"},
                         {"path": "/b"}]},
            "teardown": [
                {"name": "a", "on": ["revoked", "ended"], "type": "exec", "command": ["/bin/true", "--m={mission_id}", "{{x}}"],
                 "timeout_seconds": 2, "environment": {"A": "b", "C": {"env": "THE_SECRET"}}, "per_hold": False,
                 "retry_first_seconds": 0.5, "retry_max_seconds": 20, "concurrency": 2},
                {"name": "b", "on": ["stale"], "type": "process_group", "grace_seconds": 1, "retry_first_seconds": 0.5,
                 "retry_max_seconds": 20, "concurrency": 2}],
            "event": [{"name": "c", "types": ["session-revoked"], "type": "exec", "command": ["/bin/true", "{subject}"],
                       "timeout_seconds": 2, "environment": {"A": {"file": f + "/secret"}}}]}
        poll = {"metadata_file": f + "/metadata.json", "auth": {"client_id": "us", "client_secret": {"env": "THE_SECRET"},
                                                               "method": "client_secret_post"}}
        token = {"issuer": "https://t.example", "auth": {"token": {"env": "THE_SECRET"}, "method": "token"}}
        basic = {"issuer": "https://t.example", "auth": {"client_id": "us", "client_secret": "s"},
                 "check": {"listen": "unix:/run/x", "action_header": "X-Action", "resource": "r"}}
        token_file = {"issuer": "https://t.example", "auth": {"token": {"file": f + "/token"}}}
        certificate = {"metadata_url": "https://t.example/m", "auth": {
            "client_id": "us", "certificate": f + "/cert.pem", "certificate_key": {"file": f + "/key.pem"},
            "method": "tls_client_auth"}}
        # One preset each: whatever is spoilt, few things have to be looked at.
        presets = [{**basic, "teardown": [one]} for one in cls.presets(f)]
        return [everything, poll, token, basic, certificate, token_file, *presets]

    @staticmethod
    def presets(f):
        often = {"retry_first_seconds": 0.5, "retry_max_seconds": 20, "concurrency": 2}
        tls = {"ca_file": f + "/ca.pem", "certificate": f + "/cert.pem", "certificate_key": f + "/key.pem", "plain_http": True}
        oauth = {"on": ["suspended", "ended"], "type": "oauth_revocation", "client_id": "us",
                 "revocation_endpoint": "https://as.example/revoke"}
        look = {"on": ["ended"], "url": "https://k.example/jobs/{name}?x={+data.id}", "look": True, "gone": [404],
                "pointer": "/status/active", "equals": 0}
        send = {"method": "DELETE", "url": "http://k.example/jobs/{name}", "expect": [200, 202], "content_type": "a/b",
                "headers": {"X-Mission": "{mission_id}", "X-Token": {"file": f + "/token"}, "X-B": {"env": "THE_SECRET"}},
                "json": {"why": "{effect}", "n": [1, True]}}
        return [
            {"name": "h", "on": ["ended"], "type": "http", "request": [send, look], "user": "u", "password": {"env": "THE_SECRET"},
             "look_again_seconds": 0.5, "timeout_seconds": 5, "per_hold": False, **often, **tls},
            {"name": "i", "on": ["stale"], "type": "http", "token": {"file": f + "/token"},
             "request": [{"url": "https://k.example", "form": {"a": "{data}"}},
                         {"url": "https://k.example/{data.id}", "look": True, "pointer": "/state", "differs": "RUNNING"}]},
            {"name": "j", **oauth, **often, **tls, "client_secret": {"env": "THE_SECRET"}, "client_secret_post": True,
             "introspection_endpoint": "https://as.example/introspect", "token": "{data.token}", "token_type_hint": "access_token",
             "look_again_seconds": 0.5, "timeout_seconds": 5},
            {"name": "k", **oauth, "private_key": f + "/key.pem", "private_key_id": "k", "audience": "https://as.example",
             "token_directory": f},
            {"name": "l", "on": ["ended"], "type": "file", "directory": f, "path": "{name}.sock", **often},
            {"name": "m", "on": ["stale"], "type": "cgroup", "root": "/sys/fs/cgroup/agents", "path": "{data}", "remove": True,
             "timeout_seconds": 5, **often},
            {"name": "n", "on": ["suspended"], "type": "postgres_role", "connection": "host=/run/postgresql", "drop": True,
             "password": {"file": f + "/secret"}, "role": "agent_{data}", "prefix": "agent_", "reassign_to": "owner",
             "settle_seconds": 0.5, "timeout_seconds": 5, **often},
            {"name": "o", "on": ["suspended"], "type": "redis_user", "address": "unix:/run/redis", "admin": "warden",
             "password": {"env": "THE_SECRET"}, "user": "{name}", "prefix": "a", "acl_save": True, "timeout_seconds": 5, **often}]

    def test_the_names_of_event_types_are_those_of_the_program(self):
        text = (ROOT / "events/catalog.cpp").read_text()
        names = re.findall(r'^    MISSION_(?:CAEP|RISC|SSF)\("([a-z-]+)"', text, re.M)
        self.assertEqual(sorted(self.schema.root["$defs"]["event_type"]["anyOf"][1]["enum"]), sorted(names))

    def test_arguments_are_templates_for_both(self):
        base = self.configs[2]
        texts = ["{mission_id}", "{nobody}", "{", "}", "{{", "}}", "{{}}", "a{data}b{{c", "{data", "data}", "{{{data}}}"]
        cases = [{**base, "teardown": [{"name": "a", "on": ["fresh"], "type": "exec", "command": ["/bin/true", t]}]}
                 for t in texts]
        for config, message in zip(cases, self.read_all(cases)):
            self.assertEqual(self.schema.accepts(config), message is None, (config["teardown"], message))

    def test_what_the_samples_have_validates(self):
        for file in sorted((ROOT / "samples").rglob("*.toml")):
            config = plain(tomllib.loads(file.read_text()))
            if "auth" in config and "client" not in config:
                self.assertIsNone(self.schema.why_not(config), file)


if __name__ == "__main__":
    if "--build-dir" in sys.argv:
        i = sys.argv.index("--build-dir")
        BUILD = pathlib.Path(sys.argv[i + 1]).resolve()
        del sys.argv[i:i + 2]
    unittest.main(verbosity=2)
