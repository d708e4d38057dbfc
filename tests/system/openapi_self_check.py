"""schemas/openapi.json by itself, and against the sources: no program runs here.

Run as part of openapi_test.py.
"""
import collections
import json
import pathlib
import re
import unittest

import jsonschema

import openapi_document as d

ROOT = pathlib.Path(__file__).resolve().parents[2]

# The request bodies of the document, and the schemas that the program judges them by.
BODIES = {"stream_create": "stream-create", "stream_update": "stream-update", "stream_replace": "stream-replace",
          "status_update": "status-update", "subject_add": "subject-add", "subject_remove": "subject-remove",
          "verify_request": "verify-request", "poll_request": "poll-request", "signal_emit": "signal-emit",
          "mission_create": "mission-create", "mission_scope": "mission-scope", "admin_status": "admin-status",
          "admin_replay": "admin-replay", "lifecycle_request": "lifecycle", "manage_request": "mission-manage",
          "mission_report": "mission-report", "mission_transitions": "mission-transitions",
          "admin_report": "admin-report"}
# Those that carry their authentication in the body: judged after it, not by checked_body.
JUDGED_LATER = {"lifecycle", "mission-manage"}
ANSWERS = {"stream_configuration": "stream", "mission": "mission", "mission_status_claims": "mission-status-claims"}


def embedded(name):
    return json.loads((ROOT / "schemas" / f"{name}.json").read_text())


def vectors(name):
    return json.loads((ROOT / "schemas/vectors" / f"{name}.json").read_text())


class Itself(unittest.TestCase):
    """The document by itself."""

    @classmethod
    def setUpClass(cls):
        cls.document = d.Document(ROOT / "schemas/openapi.json")

    def test_it_keeps_the_rules_of_openapi(self):
        jsonschema.Draft202012Validator.check_schema(d.RULES)
        jsonschema.Draft202012Validator(d.RULES).validate(self.document.root)

    def test_ids_are_unique_and_parameters_are_those_of_the_path(self):
        ids = collections.Counter(o["operationId"] for _, _, o in self.document.operations())
        self.assertEqual([i for i, n in ids.items() if n > 1], [])
        tags = {t["name"] for t in self.document.root["tags"]}
        schemes = self.document.root["components"]["securitySchemes"]
        known = set(schemes["token"]["flows"]["clientCredentials"]["scopes"])
        for path, _, operation in self.document.operations():
            parameters = [self.document.follow(p) for p in operation.get("parameters", [])]
            self.assertEqual({p["name"] for p in parameters if p["in"] == "path"}, set(re.findall("{([^}]+)}", path)))
            self.assertEqual(len({(p["in"], p["name"]) for p in parameters}), len(parameters), path)
            self.assertLessEqual(set(operation["tags"]), tags)
            for way in operation["security"]:
                self.assertLessEqual(set(way), set(schemes), path)
                self.assertLessEqual(set(way.get("token", [])), known, path)

    def test_each_schema_is_one_of_2020_12(self):
        places = dict(d.schemas_of(self.document.root))
        self.assertGreater(len(places), 80)
        for where, schema in places.items():
            jsonschema.Draft202012Validator.check_schema(schema)
            for one in d.subschemas(schema):
                if isinstance(one, dict):
                    self.assertLessEqual(set(one), d.KEYWORDS, where)
                    re.compile(one.get("pattern", ""))

    def test_references_lead_somewhere_and_no_component_is_unused(self):
        used = set(d.references_of(self.document.root))
        for reference in used:
            self.document.resolver.resolve(reference)  # RefResolutionError
        for kind in ("schemas", "responses", "parameters", "headers"):
            for name in self.document.root["components"][kind]:
                self.assertIn(f"#/components/{kind}/{name}", used)
        ways = {s for _, _, o in self.document.operations() for w in o["security"] for s in w}
        self.assertEqual(ways, set(self.document.root["components"]["securitySchemes"]))

    def test_objects_of_answers_are_closed(self):
        for response in self.document.responses():
            for media in self.document.follow(response).get("content", {}).values():
                self.closed(media["schema"], set())

    def closed(self, schema, done):
        for one in d.subschemas(schema):
            if not isinstance(one, dict):
                continue
            reference = one.get("$ref")
            # What goes out as it came in is its author's to close or leave open.
            if reference and reference not in done and not reference.endswith("/authorization_detail"):
                self.closed(self.document.follow(one), done | {reference})
            if "properties" in one and one.get("type") == "object":
                self.assertIs(one.get("additionalProperties"), False, one)

    def test_bodies_are_judged_as_the_program_judges_them(self):
        for component, name in BODIES.items():
            ours = {"$ref": f"#/components/schemas/{component}"}
            theirs = jsonschema.Draft4Validator(embedded(name))
            def members(schema):
                return set(schema.get("items", schema)["properties"])
            properties = members(self.document.follow(ours))
            credentials = {"client_id", "client_assertion", "client_assertion_type"} if name in JUDGED_LATER else set()
            self.assertEqual(properties - credentials, members(embedded(name)), name)
            for value in vectors(name)["valid"]:
                if credentials:
                    value = {k: v for k, v in value.items() if k not in credentials}
                self.assertTrue(theirs.is_valid(value), (name, value))
                self.assertTrue(self.document.accepts(ours, value), (name, value))
            for vector in vectors(name)["invalid"]:
                self.assertFalse(theirs.is_valid(vector["value"]), (name, vector))
                self.assertFalse(self.document.accepts(ours, vector["value"]), (name, vector))

    def test_every_schema_of_a_request_in_the_program_is_here(self):
        used = set()
        for file in (ROOT / "transmitter/api").glob("*.cpp"):
            for call in re.findall(r"(?:checked_body|operator_body)\(\w+, ([^;{]*?)\)", file.read_text()):
                used.update(re.findall(r'"([a-z-]+)"', call))
        self.assertEqual(used | JUDGED_LATER, set(BODIES.values()))

    def test_what_our_receiver_would_refuse_is_no_answer(self):
        for component, name in ANSWERS.items():
            for vector in vectors(name)["invalid"]:
                self.assertFalse(self.document.accepts({"$ref": f"#/components/schemas/{component}"}, vector["value"]),
                                 (name, vector))

    def test_the_program_has_the_routes_of_the_document_and_no_other(self):
        declared = {(m.upper(), re.sub("{[^}]+}", "*", p)) for p, m, _ in self.document.operations()}
        self.assertEqual(routes_of_the_sources(), declared)


def calls_of(text, name):
    """The arguments before the first lambda of each call."""
    for match in re.finditer(rf"\b{name}\(", text):
        yield text[match.end():text.index("[", match.end())]


def routes_of_the_sources():
    out = set()
    files = sorted((ROOT / "transmitter/api").glob("*.cpp")) + [ROOT / "transmitter/program/app.cpp"]
    for file in files:
        text = re.sub(r"//.*", "", file.read_text())
        if file.name == "router.cpp":
            continue
        for arguments in calls_of(text, r"r\.add"):
            literals = re.findall(r'"([^"]+)"', arguments)
            paths = [x for x in literals if x.startswith("/")]
            methods = [x for x in literals if re.fullmatch("[A-Z]+", x)]
            if not paths or not methods:
                raise AssertionError(f"{file.name}: a route that is not understood: {arguments}")
            out.update((m, p) for m in methods for p in paths)
        if file.name != "metadata.cpp":
            if "add_absolute" in text:
                raise AssertionError(f"{file.name}: add_absolute is for metadata.cpp")
            continue
        names = re.findall(r'well_known\(issuer, "([a-z-]+)"\)', text)
        out.update(("GET", "/.well-known/" + n) for n in names)
        table = re.search(r"mission_resources\[\] = \{(.*?)\};", text, re.S).group(1)
        out.update(("GET", "/.well-known/oauth-protected-resource" + p) for p in re.findall(r'"(/[a-z/]+)"', table))
    return out
