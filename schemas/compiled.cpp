// Schemas of the configuration. RapidJSON's validator passes over what it does not know or cannot
// compile; here such a schema is refused when it is read, by whoever can still correct it.
#include <rapidjson/internal/regex.h>
#include <rapidjson/pointer.h>

#include <algorithm>
#include <mutex>
#include <optional>

#include "schemas/detail/verdict.hpp"
#include "schemas/schemas.hpp"

#ifdef __clang__
// RapidJSON's iterators compare as C++17 had it.
#pragma clang diagnostic ignored "-Wambiguous-reversed-operator"
#endif

namespace mission::schemas {
namespace {

namespace rj = RAPIDJSON_NAMESPACE;

constexpr std::size_t schema_bytes = 256u << 10;
constexpr int reference_hops = 16;

// How the value of a keyword is read: what lies below it is a schema, several, or data.
enum class holds { data, schema, schema_or_list, named_schemas, dependencies };
struct keyword {
    std::string_view name;
    holds what;
};
constexpr keyword keywords[] = {
    {"$schema", holds::data},
    {"id", holds::data},
    {"$ref", holds::data},
    {"$comment", holds::data},
    {"title", holds::data},
    {"description", holds::data},
    {"default", holds::data},
    {"examples", holds::data},
    {"format", holds::data},
    {"enum", holds::data},
    {"type", holds::data},
    {"multipleOf", holds::data},
    {"maximum", holds::data},
    {"exclusiveMaximum", holds::data},
    {"minimum", holds::data},
    {"exclusiveMinimum", holds::data},
    {"maxLength", holds::data},
    {"minLength", holds::data},
    {"pattern", holds::data},
    {"maxItems", holds::data},
    {"minItems", holds::data},
    {"uniqueItems", holds::data},
    {"maxProperties", holds::data},
    {"minProperties", holds::data},
    {"required", holds::data},
    {"items", holds::schema_or_list},
    {"additionalItems", holds::schema},
    {"additionalProperties", holds::schema},
    {"not", holds::schema},
    {"allOf", holds::schema_or_list},
    {"anyOf", holds::schema_or_list},
    {"oneOf", holds::schema_or_list},
    {"properties", holds::named_schemas},
    {"patternProperties", holds::named_schemas},
    {"definitions", holds::named_schemas},
    {"dependencies", holds::dependencies},
};

// Goes through a schema once, and makes one correction: RapidJSON 1.1 takes a member that matches
// `patternProperties` for invalid unless `additionalProperties` is a schema.
class reviewer {
  public:
    explicit reviewer(rj::Document& root) : root_(root) {}

    std::optional<std::string> review() { return schema(root_, "#"); }

  private:
    using fault = std::optional<std::string>;

    fault schema(rj::Value& v, const std::string& place) {
        if (!v.IsObject()) return place + ": a schema is an object";
        for (auto& m : v.GetObject()) {
            const std::string name(json::view(m.name));
            const auto* known = std::find_if(std::begin(keywords), std::end(keywords),
                                             [&](const keyword& k) { return k.name == name; });
            const std::string here = place + '/' + name;
            if (known == std::end(keywords)) return here + ": no keyword of draft 4";
            if (auto f = value_of(*known, m.value, here)) return f;
        }
        return json::find(v, "patternProperties") ? close(v, place) : std::nullopt;
    }

    fault value_of(const keyword& k, rj::Value& v, const std::string& here) {
        switch (k.what) {
            case holds::data:
                return data(k.name, v, here);
            case holds::schema:
                if (v.IsBool() && k.name.starts_with("additional")) return std::nullopt;
                return schema(v, here);
            case holds::schema_or_list:
                if (!v.IsArray())
                    return k.name == "items" ? schema(v, here) : here + ": must be an array";
                for (rj::SizeType i = 0; i < v.Size(); ++i)
                    if (auto f = schema(v[i], here + '/' + std::to_string(i))) return f;
                return std::nullopt;
            case holds::named_schemas:
                if (!v.IsObject()) return here + ": must be an object";
                for (auto& m : v.GetObject()) {
                    if (k.name == "patternProperties" && !is_pattern(m.name))
                        return here + ": a pattern that is not understood";
                    if (auto f = schema(m.value, here + '/' + m.name.GetString())) return f;
                }
                return std::nullopt;
            case holds::dependencies:
                if (!v.IsObject()) return here + ": must be an object";
                for (auto& m : v.GetObject())
                    if (!m.value.IsArray())
                        if (auto f = schema(m.value, here + '/' + m.name.GetString())) return f;
                return std::nullopt;
        }
        return std::nullopt;
    }

    fault data(std::string_view name, const rj::Value& v, const std::string& here) {
        if (name == "$schema" &&
            (!v.IsString() || json::view(v).find("draft-04") == std::string_view::npos))
            return here + ": must be draft-04";
        if (name == "pattern" && !is_pattern(v)) return here + ": a pattern that is not understood";
        if (name.starts_with("exclusiveM") && !v.IsBool())
            return here + ": must be true or false, beside minimum or maximum";
        if ((name.starts_with("min") || name.starts_with("max")) && !v.IsNumber())
            return here + ": must be a number";
        if (name == "required" && !v.IsArray()) return here + ": must be an array";
        if (name == "enum" && (!v.IsArray() || v.Empty())) return here + ": must be an array";
        if (name == "type" && !is_type(v)) return here + ": no type";
        if (name == "$ref") return reference(v, here);
        return std::nullopt;
    }

    static bool is_type(const rj::Value& v) {
        constexpr std::string_view types[] = {"null",   "boolean", "object", "array",
                                              "number", "string",  "integer"};
        const auto known = [&](const rj::Value& one) {
            return one.IsString() && std::find(std::begin(types), std::end(types),
                                               json::view(one)) != std::end(types);
        };
        if (!v.IsArray()) return known(v);
        return !v.Empty() && std::all_of(v.Begin(), v.End(), known);
    }

    static bool is_pattern(const rj::Value& v) {
        return v.IsString() && rj::internal::GenericRegex<rj::UTF8<>>(v.GetString()).IsValid();
    }

    // Within this document, and not in a circle of references that never reaches a rule.
    fault reference(const rj::Value& v, const std::string& here) const {
        const rj::Value* at = &v;
        for (int hops = 0; hops < reference_hops; ++hops) {
            if (!at->IsString() || at->GetStringLength() == 0 || *at->GetString() != '#')
                return here + ": must lead to a place in this document";
            const rj::Value* target = rj::Pointer(at->GetString()).Get(root_);
            if (target == nullptr || !target->IsObject()) return here + ": leads nowhere";
            at = json::find(*target, "$ref");
            if (at == nullptr) return std::nullopt;
        }
        return here + ": leads in a circle";
    }

    // A schema there would be an alternative to the pattern's in RapidJSON, and not what is left.
    fault close(rj::Value& v, const std::string& place) {
        const auto rest = v.FindMember("additionalProperties");
        if (rest == v.MemberEnd() || rest->value.IsTrue()) return std::nullopt;
        if (!rest->value.IsFalse())
            return place + ": beside patternProperties, additionalProperties must be true or false";
        rj::Value never(rj::kObjectType);
        never.AddMember("not", rj::Value(rj::kObjectType), root_.GetAllocator());
        rest->value = never;
        return std::nullopt;
    }

    rj::Document& root_;
};

}  // namespace

struct compiled::rules {
    rj::Document text;
    std::optional<rj::SchemaDocument> schema;
    // Patterns are matched in buffers of the compiled schema.
    std::mutex mutex;
};

result<compiled> compiled::from(std::string_view json_schema) {
    auto doc = json::parse(json_schema, schema_bytes);
    if (!doc) return error{errc::invalid_argument, "the schema is no JSON: " + doc.error().detail};
    auto made = std::make_shared<rules>();
    made->text = std::move(*doc);
    if (const auto fault = reviewer(made->text).review())
        return error{errc::invalid_argument, "in the schema, " + *fault};
    made->schema.emplace(made->text);
    return compiled(std::move(made));
}

result<void> compiled::validate(const json::value& v) const {
    const std::lock_guard lock(rules_->mutex);
    return detail::judge(*rules_->schema, rules_->text, v);
}

}  // namespace mission::schemas
