#include "schemas/schemas.hpp"

#include <rapidjson/schema.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "schemas/embedded.hpp"

namespace mission::schemas {
namespace {

namespace rj = RAPIDJSON_NAMESPACE;

[[noreturn]] void broken(std::string_view what, std::string_view schema) {
    std::fprintf(stderr, "schemas: %.*s: %.*s\n", static_cast<int>(what.size()), what.data(),
                 static_cast<int>(schema.size()), schema.data());
    std::abort();
}

// RapidJSON 1.1 matches patterns in buffers of the compiled schema, so two threads must not share
// one: each thread compiles those it uses, once.
using compiled = std::unique_ptr<rj::SchemaDocument>;

std::size_t index_of(std::string_view name) {
    const auto all = embedded();
    const auto it = std::find_if(all.begin(), all.end(),
                                 [&](const embedded_schema& e) { return e.name == name; });
    if (it == all.end()) broken("no such schema", name);
    return static_cast<std::size_t>(it - all.begin());
}

const rj::SchemaDocument& schema_of(std::string_view name) {
    thread_local std::vector<compiled> mine(embedded().size());
    const std::size_t index = index_of(name);
    if (!mine[index]) {
        rj::Document doc;
        const std::string_view text = embedded()[index].text;
        doc.Parse(text.data(), text.size());
        if (doc.HasParseError()) broken("not JSON", name);
        mine[index] = std::make_unique<rj::SchemaDocument>(doc);
    }
    return *mine[index];
}

}  // namespace

result<void> validate(std::string_view schema, const json::value& v) {
    rj::SchemaValidator validator(schema_of(schema));
    if (v.Accept(validator)) return {};
    rj::StringBuffer place;
    validator.GetInvalidDocumentPointer().Stringify(place);
    std::string where(place.GetString(), place.GetSize());
    // The pointer quotes the document: enough of it to find the place, not an echo of a body.
    if (where.size() > 128) where.resize(128);
    if (where.empty()) where = "/";
    const std::string keyword =
        validator.GetInvalidSchemaKeyword() ? validator.GetInvalidSchemaKeyword() : "invalid";
    std::string detail = where + ": " + keyword;
    if (keyword == "required") {
        // The validator says that something is missing; the schema says what.
        rj::Document text;
        text.Parse(schemas::text(schema).data(), schemas::text(schema).size());
        const auto* rule = validator.GetInvalidSchemaPointer().Get(text);
        const auto* object = validator.GetInvalidDocumentPointer().Get(v);
        const auto* names = rule ? json::find(*rule, "required") : nullptr;
        for (rj::SizeType i = 0; names && object && names->IsArray() && i < names->Size(); ++i) {
            if (json::find(*object, json::view((*names)[i])) == nullptr)
                detail.append(" ").append(json::view((*names)[i]));
        }
    }
    return error{errc::schema_violation, detail};
}

std::vector<std::string_view> names() {
    std::vector<std::string_view> out;
    for (const embedded_schema& e : embedded())
        out.push_back(e.name);
    return out;
}

std::string_view text(std::string_view schema) {
    return embedded()[index_of(schema)].text;
}

}  // namespace mission::schemas
