"""schemas/openapi.json as a judge of real answers, and of itself."""
import datetime
import json
import pathlib
import re
import urllib.parse

import jsonschema

METHODS = ("get", "put", "post", "delete", "patch")
# Fields of the connection, not of an endpoint.
TRANSPORT = {"content-type", "content-length", "connection", "date", "server", "keep-alive"}

formats = jsonschema.FormatChecker(formats=())


@formats.checks("uri", raises=ValueError)
def is_uri(text):
    return not isinstance(text, str) or bool(urllib.parse.urlsplit(text).scheme)


@formats.checks("date-time", raises=ValueError)
def is_date_time(text):
    return not isinstance(text, str) or bool(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")))


class Document:
    """Remembers what it has been shown: operations, statuses, parameters, members of answers."""

    def __init__(self, file):
        self.root = json.loads(pathlib.Path(file).read_text())
        self.resolver = jsonschema.RefResolver("", self.root)
        self.seen, self.sent, self.members = set(), set(), set()
        self.validators = {}

    def follow(self, node):
        while "$ref" in node:
            node = self.resolver.resolve(node["$ref"])[1]
        return node

    def operations(self):
        """(path template, method, operation) of each."""
        for path, item in self.root["paths"].items():
            for method in METHODS:
                if method in item:
                    yield path, method, item[method]

    def scopes(self, operation):
        """The token scopes of which one is needed; None where tokens are not the way in."""
        ways = [w for w in operation["security"] if "token" in w]
        return None if not ways or {} in operation["security"] else [s for w in ways for s in w["token"]]

    def find(self, method, path):
        for template, item in self.root["paths"].items():
            pattern = re.sub(r"\\{[^}]+\\}", "[^/]+", re.escape(template))
            if re.fullmatch(pattern, path):
                return template, item, item.get(method.lower())
        return None, None, None

    # Schemas

    def validator(self, schema):
        key = json.dumps(schema, sort_keys=True)
        if key not in self.validators:
            self.validators[key] = jsonschema.Draft202012Validator(schema, resolver=self.resolver,
                                                                   format_checker=formats)
        return self.validators[key]

    def accepts(self, schema, value):
        return self.validator(schema).is_valid(value)

    def conforms(self, schema, value, what):
        errors = sorted(self.validator(schema).iter_errors(value), key=lambda e: list(e.path))
        if errors:
            raise AssertionError(f"{what}: /{'/'.join(str(p) for p in errors[0].path)}: {errors[0].message[:400]}")
        self.walk(schema, value, "")

    def walk(self, schema, value, where):
        """Notes each declared member that this value has, by the place of its declaration."""
        if "$ref" in schema:
            return self.walk(self.follow(schema), value, schema["$ref"])
        if where.endswith(("/err", "/error")):
            self.members.add(f"{where}: {value}")
        for i, branch in enumerate(schema.get("oneOf", [])):
            if self.accepts(branch, value):
                self.walk(branch, value, f"{where}/oneOf/{i}")
        if isinstance(value, dict):
            for name, one in value.items():
                if name in schema.get("properties", {}):
                    self.members.add(f"{where}/properties/{name}")
                    self.walk(schema["properties"][name], one, f"{where}/properties/{name}")
                elif isinstance(schema.get("additionalProperties"), dict):
                    self.walk(schema["additionalProperties"], one, where + "/additionalProperties")
        if isinstance(value, list) and "items" in schema:
            for one in value:
                self.walk(schema["items"], one, where + "/items")
        return None

    def declared_members(self):
        """The places of all members of answers, and of each code of an error."""
        out, done = set(), set()

        def collect(schema, where):
            if "$ref" in schema:
                if schema["$ref"] not in done:
                    done.add(schema["$ref"])
                    collect(self.follow(schema), schema["$ref"])
                return
            if where.endswith(("/err", "/error")) and ("const" in schema or "enum" in schema):
                out.update(f"{where}: {code}" for code in schema.get("enum", [schema.get("const")]))
            for i, branch in enumerate(schema.get("oneOf", [])):
                collect(branch, f"{where}/oneOf/{i}")
            for name, one in schema.get("properties", {}).items():
                out.add(f"{where}/properties/{name}")
                collect(one, f"{where}/properties/{name}")
            if "items" in schema:
                collect(schema["items"], where + "/items")
            if "contentSchema" in schema:
                collect(schema["contentSchema"], where + "/contentSchema")
        for response in self.responses():
            for media in self.follow(response).get("content", {}).values():
                collect(media["schema"], self.place(response, media["schema"]))
                for name, one in media.get("x-event-data", {}).items():
                    collect(one, name)
        return out

    @staticmethod
    def place(response, schema):
        return response.get("$ref", "") if "$ref" not in schema else ""

    def responses(self):
        for _, _, operation in self.operations():
            yield from operation["responses"].values()
        for item in self.root["paths"].values():
            yield item["x-other-methods"]
        yield from self.root["x-any-path"].values()

    # Requests

    def note_request(self, method, path, query, headers, body):
        """Parameters that are sent; AssertionError for a body that the document does not have."""
        template, item, operation = self.find(method, path)
        if operation is None:
            return
        for p in map(self.follow, operation.get("parameters", [])):
            given = {"path": True, "query": p["name"] in dict(query),
                     "header": p["name"].lower() in {k.lower() for k in headers}}[p["in"]]
            if given:
                self.sent.add((operation["operationId"], p["name"]))
        if body and "requestBody" not in operation:
            raise AssertionError(f"{method} {path} takes no body")

    def request_schema(self, operation):
        content = operation["requestBody"]["content"]
        return next(iter(content.values()))["schema"]

    # Answers

    def judge(self, method, path, status, headers, body, admin):
        """AssertionError unless the document has this answer. `headers`: lower-case names; `admin`: the
        listener, which alone has the paths with servers of their own."""
        what = f"{method} {path} -> {status}"
        template, item, operation = self.find(method, path)
        if template is not None and "servers" in item and not admin:
            template = None
        if template is None:
            self.note("x-any-path", status)
            return self.check(self.root["x-any-path"].get(str(status)), headers, body, what)
        if operation is None:
            self.note(template + " x-other-methods", status)
            if status != 405:
                raise AssertionError(f"{what}: another method is 405")
            wanted = {m.upper() for m in METHODS if m in item}
            if set(headers.get("allow", "").split(", ")) != wanted:
                raise AssertionError(f"{what}: Allow is {headers.get('allow')!r}, the document has {wanted}")
            return self.check(item["x-other-methods"], headers, body, what)
        self.note(operation["operationId"], status)
        return self.check(operation["responses"].get(str(status)), headers, body, what)

    def judge_any(self, status, headers, body):
        self.note("x-any-request", status)
        return self.check(self.root["x-any-request"].get(str(status)), headers, body, f"-> {status}")

    def note(self, what, status):
        self.seen.add((what, str(status)))

    def check(self, response, headers, body, what):
        if response is None:
            raise AssertionError(f"{what} is not in the document: {body[:300]!r}")
        reference, response = response, self.follow(response)
        self.check_headers(response.get("headers", {}), headers, what)
        if "content" not in response:
            if body:
                raise AssertionError(f"{what}: a body where none is due: {body[:300]!r}")
            return None
        given = headers.get("content-type", "")
        media = next((m for m in response["content"] if m == given.split(";")[0]), next(iter(response["content"])))
        content = response["content"][media]
        if given.split(";")[0] != media or (media == "application/json" and given != media):
            raise AssertionError(f"{what}: Content-Type {given!r}, not {media!r}")
        if media == "application/json":
            value = json.loads(body)
            self.conforms(content["schema"], value, what)
            self.walk(content["schema"], value, self.place(reference, content["schema"]))
            return value
        text = body.decode()
        self.conforms(content["schema"], text, what)
        schema = self.follow(content["schema"])
        if "contentSchema" in schema:  # JWS compact
            import harness
            claims = harness.jwt_claims(text)
            if harness.jwt_header(text).get("typ") != schema["contentMediaType"].split("/")[1]:
                raise AssertionError(f"{what}: typ")
            self.conforms(schema["contentSchema"], claims, what + " claims")
        for event, data in re.findall(r"^event: (.+)\ndata: (.+)$", text, re.M):
            self.conforms(content["x-event-data"][event], json.loads(data), what + " " + event)
        return text

    def check_headers(self, declared, headers, what):
        by_name = {name.lower(): self.follow(one) for name, one in declared.items()}
        for name, one in by_name.items():
            if name not in headers:
                if one.get("required"):
                    raise AssertionError(f"{what}: without {name}")
                continue
            value = headers[name]
            if one["schema"].get("type") == "integer" and re.fullmatch("[0-9]+", value):
                value = int(value)
            self.conforms(one["schema"], value, f"{what} {name}")
        extra = set(headers) - set(by_name) - TRANSPORT
        if extra:
            raise AssertionError(f"{what}: {extra} is not in the document")

    def never_exercised(self, unprovokable=frozenset()):
        wanted = {(o["operationId"], s) for _, _, o in self.operations() for s in o["responses"]}
        wanted |= {(path + " x-other-methods", "405") for path in self.root["paths"]}
        wanted |= {(x, s) for x in ("x-any-path", "x-any-request") for s in self.root[x]}
        parameters = {(o["operationId"], self.follow(p)["name"]) for _, _, o in self.operations()
                      for p in o.get("parameters", [])}
        return sorted((wanted - self.seen - set(unprovokable)) | (parameters - self.sent))


# What OpenAPI 3.1.0 section 4.8 allows of what we use; anything else is a slip. Schema objects are
# checked against their own meta-schema.
def _object(required, properties, **more):
    return {"type": "object", "required": required, "properties": properties,
            "patternProperties": {"^x-": True}, "additionalProperties": False, **more}


def _map(of, names="^[A-Za-z0-9._-]+$"):
    return {"type": "object", "propertyNames": {"pattern": names}, "additionalProperties": of}


def _or_reference(kind, of):
    return {"if": {"required": ["$ref"]},
            "then": {"type": "object", "additionalProperties": False,
                     "properties": {"$ref": {"type": "string", "pattern": f"^#/components/{kind}/[^/]+$"}}},
            "else": of}


_TEXT = {"type": "string", "minLength": 1}
_HEADER = _object(["schema"], {"description": _TEXT, "required": {"type": "boolean"}, "schema": True})
_MEDIA = _object(["schema"], {"schema": True})
_RESPONSE = _object(["description"], {
    "description": _TEXT, "headers": _map(_or_reference("headers", _HEADER)),
    "content": {**_map(_MEDIA, "^[a-z]+/[a-z0-9.+-]+$"), "minProperties": 1}})
_PARAMETER = _object(["name", "in", "schema"], {
    "name": _TEXT, "in": {"enum": ["query", "header", "path"]}, "required": {"type": "boolean"},
    "description": _TEXT, "schema": True},
    allOf=[{"if": {"properties": {"in": {"const": "path"}}},
            "then": {"required": ["required"], "properties": {"required": {"const": True}}}},
           # Section 4.8.12.2.1: such header parameters are ignored.
           {"properties": {"name": {"not": {"enum": ["Accept", "Content-Type", "Authorization"]}}}}])
_OPERATION = _object(["operationId", "tags", "summary", "responses", "security"], {
    "operationId": {"type": "string", "pattern": "^[a-z_]+$"}, "tags": {"type": "array", "items": _TEXT},
    "summary": _TEXT, "parameters": {"type": "array", "items": _or_reference("parameters", _PARAMETER)},
    "requestBody": _object(["content"], {"required": {"type": "boolean"}, "content": {
        **_map(_MEDIA, "^[a-z]+/[a-z0-9.+-]+$"), "minProperties": 1}}),
    "responses": {**_map(_or_reference("responses", _RESPONSE), "^[1-5][0-9][0-9]$"), "minProperties": 1},
    "security": {"type": "array", "items": _map({"type": "array", "items": _TEXT})}})
_SERVERS = {"type": "array", "minItems": 1, "items": _object(["url"], {"url": _TEXT, "description": _TEXT})}
RULES = _object(["openapi", "info", "paths"], {
    "openapi": {"const": "3.1.0"},
    "info": _object(["title", "version"], {
        "title": _TEXT, "version": _TEXT, "description": _TEXT,
        "license": _object(["name"], {"name": _TEXT, "identifier": _TEXT})}),
    "jsonSchemaDialect": {"const": "https://json-schema.org/draft/2020-12/schema"}, "servers": _SERVERS,
    "tags": {"type": "array", "items": _object(["name"], {"name": _TEXT, "description": _TEXT})},
    "paths": _map(_object([], {"description": _TEXT, "servers": _SERVERS, **{m: _OPERATION for m in METHODS}}), "^/"),
    "components": _object([], {
        "schemas": _map(True), "responses": _map(_RESPONSE), "parameters": _map(_PARAMETER),
        "headers": _map(_HEADER),
        "securitySchemes": _map({"oneOf": [
            _object(["type", "flows"], {
                "type": {"const": "oauth2"}, "description": _TEXT, "flows": _object([], {
                    "clientCredentials": _object(["tokenUrl", "scopes"], {"tokenUrl": _TEXT, "scopes": {
                        "type": "object", "additionalProperties": _TEXT}})})}),
            _object(["type", "scheme"], {"type": {"const": "http"}, "scheme": _TEXT, "description": _TEXT}),
            _object(["type"], {"type": {"const": "mutualTLS"}, "description": _TEXT})]})})})


def schemas_of(node, where="#"):
    """(place, schema) of each outermost Schema Object."""
    if isinstance(node, dict):
        for key, value in node.items():
            here = f"{where}/{key}"
            if key == "schema" or where == "#/components/schemas" or where.endswith("/x-event-data"):
                yield here, value
            else:
                yield from schemas_of(value, here)
    if isinstance(node, list):
        for i, value in enumerate(node):
            yield from schemas_of(value, f"{where}/{i}")


def subschemas(schema):
    """A schema and all within it."""
    yield schema
    if not isinstance(schema, dict):
        return
    for key in ("additionalProperties", "items", "not", "propertyNames", "contentSchema", "if", "then", "else"):
        if key in schema:
            yield from subschemas(schema[key])
    for key in ("oneOf", "anyOf", "allOf"):
        for one in schema.get(key, []):
            yield from subschemas(one)
    for key in ("properties", "patternProperties", "$defs"):
        for one in schema.get(key, {}).values():
            yield from subschemas(one)


KEYWORDS = {"$ref", "$defs", "$schema", "$id", "title", "description", "default", "examples", "type", "enum", "const",
            "format", "pattern", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "minItems",
            "maxItems", "uniqueItems", "minProperties", "maxProperties", "required", "properties",
            "additionalProperties", "patternProperties", "propertyNames", "dependentRequired", "items", "oneOf",
            "anyOf", "allOf", "not", "if", "then", "else", "contentMediaType", "contentSchema"}


def references_of(node):
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references_of(value)
    if isinstance(node, list):
        for value in node:
            yield from references_of(value)
