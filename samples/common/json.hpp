// JSON of the samples: one line written, one small object read. RapidJSON in a host's own
// namespace; the receiver library keeps its copy to itself.
#pragma once

#include <rapidjson/document.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace sample {

namespace rj = RAPIDJSON_NAMESPACE;

// {"a":"b","n":1}: members in the order they were added.
class json_object {
  public:
    json_object& add(std::string_view name, std::string_view text) {
        return add_raw(name, quoted(text));
    }
    json_object& add(std::string_view name, const char* text) {
        return add(name, std::string_view(text));
    }
    json_object& add(std::string_view name, std::int64_t number) {
        return add_raw(name, std::to_string(number));
    }
    json_object& add(std::string_view name, int number) {
        return add(name, static_cast<std::int64_t>(number));
    }
    json_object& add(std::string_view name, bool yes) {
        return add_raw(name, yes ? "true" : "false");
    }
    // `json` is JSON text already.
    json_object& add_raw(std::string_view name, std::string_view json) {
        if (!members_.empty()) members_ += ',';
        members_ += quoted(name);
        members_ += ':';
        members_ += json;
        return *this;
    }
    std::string str() const { return "{" + members_ + "}"; }

  private:
    static std::string quoted(std::string_view text) {
        rj::StringBuffer out;
        rj::Writer<rj::StringBuffer> writer(out);
        writer.String(text.data(), static_cast<rj::SizeType>(text.size()));
        return {out.GetString(), out.GetSize()};
    }
    std::string members_;
};

// The object that a body is, or nothing: the iterative parser does not recurse on hostile depth.
inline std::optional<rj::Document> parse_object(std::string_view body) {
    rj::Document d;
    d.Parse<rj::kParseIterativeFlag | rj::kParseValidateEncodingFlag>(body.data(), body.size());
    if (d.HasParseError() || !d.IsObject()) return std::nullopt;
    return std::optional<rj::Document>(std::move(d));
}

// The member's text, empty when it is missing or no string.
inline std::string text_member(const rj::Value& object, const char* name) {
    const auto it = object.FindMember(name);
    if (it == object.MemberEnd() || !it->value.IsString()) return {};
    return {it->value.GetString(), it->value.GetStringLength()};
}

inline std::int64_t int_member(const rj::Value& object, const char* name, std::int64_t otherwise) {
    const auto it = object.FindMember(name);
    return it != object.MemberEnd() && it->value.IsInt64() ? it->value.GetInt64() : otherwise;
}

}  // namespace sample
