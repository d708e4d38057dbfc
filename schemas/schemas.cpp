#include "schemas/schemas.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "schemas/detail/verdict.hpp"
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
struct ready {
    rj::Document text;
    std::unique_ptr<rj::SchemaDocument> rules;
};

std::size_t index_of(std::string_view name) {
    const auto all = embedded();
    const auto it = std::find_if(all.begin(), all.end(),
                                 [&](const embedded_schema& e) { return e.name == name; });
    if (it == all.end()) broken("no such schema", name);
    return static_cast<std::size_t>(it - all.begin());
}

const ready& schema_of(std::string_view name) {
    thread_local std::vector<ready> mine(embedded().size());
    const std::size_t index = index_of(name);
    ready& one = mine[index];
    if (!one.rules) {
        const std::string_view text = embedded()[index].text;
        one.text.Parse(text.data(), text.size());
        if (one.text.HasParseError()) broken("not JSON", name);
        one.rules = std::make_unique<rj::SchemaDocument>(one.text);
    }
    return one;
}

}  // namespace

result<void> validate(std::string_view schema, const json::value& v) {
    const ready& one = schema_of(schema);
    return detail::judge(*one.rules, one.text, v);
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
