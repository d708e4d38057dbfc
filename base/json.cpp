#include "base/json.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/detail/json_reader.hpp"
#include "base/json_scratch.hpp"

namespace mission::json {
namespace {

namespace rj = RAPIDJSON_NAMESPACE;

// Names are short and mostly differ at an end: that is looked at before a call is made.
bool same(std::string_view a, std::string_view b) noexcept {
    return a.size() == b.size() && (a.empty() || (a.back() == b.back() && a.front() == b.front() &&
                                                  std::memcmp(a.data(), b.data(), a.size()) == 0));
}

// The first member name that stands twice in one object anywhere below `v`.
std::optional<std::string> duplicate_below(const value& v) {
    constexpr std::size_t few = 24;  // comparing with those before is quicker than sorting
    if (v.IsArray()) {
        for (const auto& item : v.GetArray())
            if (auto d = duplicate_below(item)) return d;
    } else if (v.IsObject()) {
        std::uint64_t seen = 0;  // a bit for each kind of name: most names are the first of theirs
        for (auto m = v.MemberBegin(); m != v.MemberEnd(); ++m) {
            if (m->value.IsObject() || m->value.IsArray())
                if (auto d = duplicate_below(m->value)) return d;
            if (v.MemberCount() > few) continue;
            const std::string_view name = view(m->name);
            const auto octet = [&](std::size_t i) {
                return name.empty() ? 0u : static_cast<unsigned char>(name[i]);
            };
            const std::size_t kind = name.size() * 5 + octet(0) * 3 + octet(name.size() - 1);
            const std::uint64_t bit = std::uint64_t{1} << (kind & 63);
            if ((seen & bit) != 0)
                for (auto before = v.MemberBegin(); before != m; ++before)
                    if (same(view(before->name), name)) return std::string(name);
            seen |= bit;
        }
        if (v.MemberCount() <= few) return std::nullopt;
        std::vector<std::string_view> names;
        names.reserve(v.MemberCount());
        for (const auto& m : v.GetObject())
            names.push_back(view(m.name));
        std::sort(names.begin(), names.end());
        const auto it = std::adjacent_find(names.begin(), names.end());
        if (it != names.end()) return std::string(*it);
    }
    return std::nullopt;
}

// UTF-8 to UTF-16 code units; the input was validated at parse time.
std::u16string utf16(std::string_view s) {
    std::u16string out;
    for (std::size_t i = 0; i < s.size();) {
        const auto b = static_cast<unsigned char>(s[i]);
        const auto next = [&](std::size_t k) {
            return static_cast<char32_t>(static_cast<unsigned char>(s[i + k]) & 0x3f);
        };
        char32_t cp = b;
        std::size_t n = 1;
        if (b >= 0xf0) {
            cp = (static_cast<char32_t>(b & 0x07) << 18) | (next(1) << 12) | (next(2) << 6) |
                 next(3);
            n = 4;
        } else if (b >= 0xe0) {
            cp = (static_cast<char32_t>(b & 0x0f) << 12) | (next(1) << 6) | next(2);
            n = 3;
        } else if (b >= 0xc0) {
            cp = (static_cast<char32_t>(b & 0x1f) << 6) | next(1);
            n = 2;
        }
        i += n;
        if (cp >= 0x10000) {
            cp -= 0x10000;
            out.push_back(static_cast<char16_t>(0xd800 + (cp >> 10)));
            out.push_back(static_cast<char16_t>(0xdc00 + (cp & 0x3ff)));
        } else {
            out.push_back(static_cast<char16_t>(cp));
        }
    }
    return out;
}

void canonical_string(std::string_view s, std::string& out) {
    static constexpr char hex[] = "0123456789abcdef";
    out += '"';
    for (const char c : s) {
        switch (c) {
            case '"':
                out += "\\\"";
                break;
            case '\\':
                out += "\\\\";
                break;
            case '\b':
                out += "\\b";
                break;
            case '\f':
                out += "\\f";
                break;
            case '\n':
                out += "\\n";
                break;
            case '\r':
                out += "\\r";
                break;
            case '\t':
                out += "\\t";
                break;
            default:
                if (static_cast<unsigned char>(c) < 0x20) {
                    out += "\\u00";
                    out += hex[static_cast<unsigned char>(c) >> 4];
                    out += hex[static_cast<unsigned char>(c) & 15];
                } else {
                    out += c;
                }
        }
    }
    out += '"';
}

// ECMAScript's Number::toString (RFC 8785 section 3.2.2.3), from the shortest round-trip digits.
std::string ecmascript_number(double d) {
    if (d == 0) return "0";
    char text[64];
    const auto end =
        std::to_chars(text, text + sizeof text, std::fabs(d), std::chars_format::scientific).ptr;
    std::string_view sci{text, static_cast<std::size_t>(end - text)};
    const auto e = sci.find('e');
    int exponent = 0;
    const char* digits_at = sci.data() + e + 1;
    if (*digits_at == '+') ++digits_at;
    std::from_chars(digits_at, sci.data() + sci.size(), exponent);
    std::string digits;
    for (const char c : sci.substr(0, e))
        if (c != '.') digits += c;
    const int k = static_cast<int>(digits.size()), n = exponent + 1;
    std::string out = d < 0 ? "-" : "";
    if (k <= n && n <= 21) {
        out += digits + std::string(static_cast<std::size_t>(n - k), '0');
    } else if (0 < n && n <= 21) {
        out += digits.substr(0, static_cast<std::size_t>(n)) + "." +
               digits.substr(static_cast<std::size_t>(n));
    } else if (-6 < n && n <= 0) {
        out += "0." + std::string(static_cast<std::size_t>(-n), '0') + digits;
    } else {
        out += digits.substr(0, 1);
        if (k > 1) out += "." + digits.substr(1);
        out += n - 1 < 0 ? "e-" : "e+";
        out += std::to_string(std::abs(n - 1));
    }
    return out;
}

bool canonical_into(const value& v, std::string& out) {
    static constexpr std::int64_t exact = std::int64_t{1} << 53;
    switch (v.GetType()) {
        case rj::kNullType:
            out += "null";
            return true;
        case rj::kFalseType:
            out += "false";
            return true;
        case rj::kTrueType:
            out += "true";
            return true;
        case rj::kStringType:
            canonical_string(view(v), out);
            return true;
        case rj::kNumberType:
            if (v.IsInt64()) {
                if (v.GetInt64() > exact || v.GetInt64() < -exact) return false;
                out += std::to_string(v.GetInt64());
                return true;
            }
            if (v.IsUint64() || !std::isfinite(v.GetDouble())) return false;
            out += ecmascript_number(v.GetDouble());
            return true;
        case rj::kArrayType: {
            out += '[';
            bool first = true;
            for (const auto& item : v.GetArray()) {
                if (!first) out += ',';
                first = false;
                if (!canonical_into(item, out)) return false;
            }
            out += ']';
            return true;
        }
        case rj::kObjectType: {
            std::vector<std::pair<std::u16string, const value::Member*>> members;
            members.reserve(v.MemberCount());
            for (const auto& m : v.GetObject())
                members.emplace_back(utf16(view(m.name)), &m);
            std::sort(members.begin(), members.end(),
                      [](const auto& a, const auto& b) { return a.first < b.first; });
            out += '{';
            bool first = true;
            for (const auto& [name, m] : members) {
                if (!first) out += ',';
                first = false;
                canonical_string(view(m->name), out);
                out += ':';
                if (!canonical_into(m->value, out)) return false;
            }
            out += '}';
            return true;
        }
    }
    return false;
}

// Reads into `doc`, which is empty; nullopt when all is well.
std::optional<error> read_into(document& doc, std::string_view text, std::size_t max_bytes,
                               std::size_t max_depth) {
    if (text.size() > max_bytes)
        return error{errc::too_large,
                     "JSON text of more than " + std::to_string(max_bytes) + " bytes"};
    // The reader unescapes in place, in a copy that is given up afterwards: the document has
    // strings of its own, or a value copied from it into another document would end with it.
    std::array<char, 4096> near;
    std::string far;
    const std::size_t room = text.size() + detail::reader_padding;
    if (room > near.size()) far.resize(room);
    char* copy = room > near.size() ? far.data() : near.data();
    if (!text.empty()) std::memcpy(copy, text.data(), text.size());
    std::memset(copy + text.size(), 0, detail::reader_padding);
    detail::reader reader(copy, text.size(), max_depth);
    bool read = false;
    auto generate = [&](document& handler) { return read = reader(handler); };
    doc.Populate(generate);
    if (!read) {
        if (reader.too_deep())
            return error{errc::too_deep, "JSON nested deeper than " + std::to_string(max_depth)};
        return error{errc::not_json, std::string(reader.why()) + " (at byte " +
                                         std::to_string(reader.offset()) + ")"};
    }
    if (!reader.all_ascii() && !detail::is_utf8(text)) return error{errc::not_json, "not UTF-8"};
    if (auto name = duplicate_below(doc))
        return error{errc::duplicate_member,
                     "member \"" + name->substr(0, 64) + "\" stands twice in one object"};
    return std::nullopt;
}

constexpr std::size_t scratch_bytes = 32u << 10;  // claims of several KiB fit
constexpr std::size_t scratch_more = 16u << 10;   // of the heap's, for what does not

}  // namespace

result<document> parse(std::string_view text, std::size_t max_bytes, std::size_t max_depth) {
    document doc;
    if (auto e = read_into(doc, text, max_bytes, max_depth)) return std::move(*e);
    return doc;
}

scratch::scratch()
    : area_(std::make_unique<char[]>(scratch_bytes)),
      memory_(area_.get(), scratch_bytes, scratch_more) {}

result<document> scratch::parse(std::string_view text, std::size_t max_bytes,
                                std::size_t max_depth) {
    memory_.Clear();
    document doc(&memory_);
    if (auto e = read_into(doc, text, max_bytes, max_depth)) return std::move(*e);
    return doc;
}

const value* find(const value& object, std::string_view name) noexcept {
    if (!object.IsObject()) return nullptr;
    for (const auto& m : object.GetObject())
        if (same(view(m.name), name)) return &m.value;
    return nullptr;
}

std::optional<std::string_view> find_string(const value& object, std::string_view name) noexcept {
    const value* v = find(object, name);
    if (!v || !v->IsString()) return std::nullopt;
    return view(*v);
}

std::optional<std::int64_t> find_int(const value& object, std::string_view name) noexcept {
    const value* v = find(object, name);
    if (!v || !v->IsInt64()) return std::nullopt;
    return v->GetInt64();
}

std::optional<bool> find_bool(const value& object, std::string_view name) noexcept {
    const value* v = find(object, name);
    if (!v || !v->IsBool()) return std::nullopt;
    return v->GetBool();
}

value make_string(std::string_view s, allocator& a) {
    return value(s.data(), static_cast<rj::SizeType>(s.size()), a);
}

void add(value& object, std::string_view name, std::string_view text, allocator& a) {
    object.AddMember(make_string(name, a), make_string(text, a), a);
}

void add(value& object, std::string_view name, std::int64_t number, allocator& a) {
    object.AddMember(make_string(name, a), value(number), a);
}

void add(value& object, std::string_view name, value&& v, allocator& a) {
    object.AddMember(make_string(name, a), v, a);
}

std::string write(const value& v) {
    buffer b;
    writer w(b);
    v.Accept(w);
    return text(b);
}

result<std::string> canonical(const value& v) {
    std::string out;
    if (!canonical_into(v, out))
        return error{errc::invalid_argument, "a number that RFC 8785 cannot represent exactly"};
    return out;
}

}  // namespace mission::json
