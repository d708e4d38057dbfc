// Reading the members of one event object. Private to events/.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/time.hpp"
#include "events/detail/same.hpp"

namespace mission::events::detail {

inline constexpr std::size_t languages_max = 64;
inline constexpr std::size_t list_max = 64;
// The last second of the year 9999; what is beyond it counts something else than seconds.
inline constexpr double numeric_date_max = 253402300799.0;

inline error bad_claim(std::string_view name, std::string_view why) {
    return error{errc::bad_claims, "\"" + std::string(name) + "\" " + std::string(why)};
}

// Reads the members of one event object; the first fault is kept and everything after it is void.
class event_reader {
  public:
    explicit event_reader(const json::value& object) : object_(object) {}

    const std::optional<error>& fault() const noexcept { return fault_; }

    std::string text(std::string_view name) {
        auto s = optional_text(name);
        if (!s || s->empty()) fail(name, "is missing or empty");
        return s ? std::move(*s) : std::string();
    }
    std::optional<std::string> optional_text(std::string_view name) {
        const json::value* v = find(name);
        if (!v) return std::nullopt;
        if (!v->IsString()) {
            fail(name, "is no string");
            return std::nullopt;
        }
        return std::string(json::view(*v));
    }
    std::int64_t positive(std::string_view name) {
        const auto n = integer(name);
        if (!n || *n < 1) fail(name, "is missing or no positive integer");
        return n.value_or(0);
    }
    wall_time time(std::string_view name) {
        const auto t = optional_time(name);
        if (!t) fail(name, "is missing");
        return t.value_or(wall_time{});
    }
    std::optional<wall_time> optional_time(std::string_view name) {
        const json::value* v = find(name);
        if (!v) return std::nullopt;
        if (v->IsString())
            if (const auto t = from_rfc3339(json::view(*v))) return *t;
        fail(name, "is no RFC 3339 date-time");
        return std::nullopt;
    }
    bool flag(std::string_view name) {
        const json::value* v = find(name);
        if (v && !v->IsBool()) fail(name, "is no boolean");
        return v && v->IsBool() && v->GetBool();
    }
    std::map<std::string, std::string> languages(std::string_view name) {
        std::map<std::string, std::string> out;
        const json::value* v = find(name);
        if (!v) return out;
        if (!v->IsObject() || v->MemberCount() > languages_max) {
            fail(name, "is no language map");
            return out;
        }
        for (const auto& m : v->GetObject()) {
            if (!m.value.IsString()) {
                fail(name, "has a text that is no string");
                return out;
            }
            out.emplace(json::view(m.name), json::view(m.value));
        }
        return out;
    }
    std::optional<std::string> array(std::string_view name) {
        const json::value* v = find(name);
        if (!v) return std::nullopt;
        if (!v->IsArray()) {
            fail(name, "is no array");
            return std::nullopt;
        }
        return json::write(*v);
    }
    // The value of an optional member that must be an object, as JSON text.
    std::optional<std::string> object(std::string_view name) {
        const json::value* v = find(name);
        if (!v) return std::nullopt;
        if (!v->IsObject()) {
            fail(name, "is no object");
            return std::nullopt;
        }
        return json::write(*v);
    }
    std::vector<std::string> texts(std::string_view name) {
        std::vector<std::string> out;
        const json::value* v = find(name);
        if (!v) return out;
        if (!v->IsArray() || v->Size() > list_max) {
            fail(name, "is no array of at most 64");
            return out;
        }
        for (const json::value& item : v->GetArray()) {
            if (!item.IsString()) {
                fail(name, "has an entry that is no string");
                return out;
            }
            out.emplace_back(json::view(item));
        }
        return out;
    }
    // A NumericDate (RFC 7519 section 2): seconds, with a fraction if need be.
    std::optional<wall_time> numeric_date(std::string_view name) {
        const json::value* v = find(name);
        if (!v) return std::nullopt;
        if (!v->IsNumber() || !(v->GetDouble() >= 0 && v->GetDouble() <= numeric_date_max)) {
            fail(name, "is no time in seconds");
            return std::nullopt;
        }
        if (v->IsInt64()) return from_numeric_date(v->GetInt64());
        return from_milliseconds(static_cast<std::int64_t>(v->GetDouble() * 1000.0));
    }
    // A language map, or a text of no stated language ("und", BCP 47).
    std::map<std::string, std::string> text_or_languages(std::string_view name) {
        const json::value* v = find(name);
        if (v && v->IsString()) return {{"und", std::string(json::view(*v))}};
        return languages(name);
    }
    void fail(std::string_view name, std::string_view why) {
        if (!fault_) fault_ = bad_claim(name, why);
    }

  private:
    // Members are asked for in the order in which they are printed, so the search goes on where
    // the last one was found; another order costs a turn around.
    const json::value* find(std::string_view name) {
        const auto count = object_.IsObject() ? object_.MemberCount() : 0;
        for (auto left = count; left > 0; --left) {
            if (next_ >= count) next_ = 0;
            const auto& m = *(object_.MemberBegin() + static_cast<std::ptrdiff_t>(next_++));
            if (same(json::view(m.name), name)) return &m.value;
        }
        return nullptr;
    }
    std::optional<std::int64_t> integer(std::string_view name) {
        const json::value* v = find(name);
        if (!v || !v->IsInt64()) return std::nullopt;
        return v->GetInt64();
    }

    const json::value& object_;
    RAPIDJSON_NAMESPACE::SizeType next_ = 0;
    std::optional<error> fault_;
};

}  // namespace mission::events::detail
