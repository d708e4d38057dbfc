// JSON at the doors: bounded, strict parsing; canonical and plain printing.
//
// RapidJSON lives in a private namespace (RAPIDJSON_NAMESPACE, set by the build), so that a host's
// own copy never meets ours.
#pragma once

#include <rapidjson/document.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/limits.hpp"

namespace mission::json {

using value = RAPIDJSON_NAMESPACE::Value;
using document = RAPIDJSON_NAMESPACE::Document;
using allocator = document::AllocatorType;
using buffer = RAPIDJSON_NAMESPACE::StringBuffer;
using writer = RAPIDJSON_NAMESPACE::Writer<buffer>;

// Parses one JSON text. Refuses, with a sentence that names the place: more than `max_bytes`
// (too_large), nesting beyond `max_depth` (too_deep), a member name twice in one object
// (duplicate_member), invalid UTF-8, trailing text and everything else (not_json).
result<document> parse(std::string_view text, std::size_t max_bytes = limits::json_bytes,
                       std::size_t max_depth = limits::json_depth);

// The member, or null when `object` is no object or has none of that name.
const value* find(const value& object, std::string_view name) noexcept;
// The member's value if it is there and of that type; views live as long as `object`.
std::optional<std::string_view> find_string(const value& object, std::string_view name) noexcept;
std::optional<std::int64_t> find_int(const value& object, std::string_view name) noexcept;
std::optional<bool> find_bool(const value& object, std::string_view name) noexcept;

inline std::string_view view(const value& s) noexcept {
    return {s.GetString(), s.GetStringLength()};
}
// Copies `s` into `a`.
value make_string(std::string_view s, allocator& a);
// Adds or overwrites nothing: the caller knows the name is new.
void add(value& object, std::string_view name, std::string_view text, allocator& a);
void add(value& object, std::string_view name, std::int64_t number, allocator& a);
void add(value& object, std::string_view name, value&& v, allocator& a);

std::string write(const value& v);
inline std::string text(const buffer& b) {
    return {b.GetString(), b.GetSize()};
}
inline void key(writer& w, std::string_view s) {
    w.Key(s.data(), static_cast<RAPIDJSON_NAMESPACE::SizeType>(s.size()));
}
inline void string(writer& w, std::string_view s) {
    w.String(s.data(), static_cast<RAPIDJSON_NAMESPACE::SizeType>(s.size()));
}
inline void member(writer& w, std::string_view name, std::string_view s) {
    key(w, name);
    string(w, s);
}
inline void raw(writer& w, std::string_view json_text) {
    w.RawValue(json_text.data(), json_text.size(), RAPIDJSON_NAMESPACE::kObjectType);
}

// RFC 8785: members sorted by UTF-16 code units, numbers as ECMAScript prints them. Integers
// beyond 2^53 are refused (invalid_argument), as I-JSON has it.
result<std::string> canonical(const value& v);

}  // namespace mission::json
