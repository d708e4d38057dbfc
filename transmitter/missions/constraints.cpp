#include <algorithm>
#include <optional>
#include <string>

#include "base/ascii.hpp"
#include "base/time.hpp"
#include "transmitter/missions/subset.hpp"

// Common Constraints of draft-mcguinness-oauth-mission ("Common Constraints"), compared in value
// space: "500" and "500.00" are one amount, two offsets one instant.

namespace mission::transmitter {
namespace {

// A decimal number without exponent, as digits before and after the point with insignificant zeros
// removed; so amounts of any length compare exactly.
struct decimal {
    bool negative = false;
    std::string whole, fraction;
};

std::optional<decimal> parse_decimal(std::string_view text) {
    decimal d;
    if (!text.empty() && text.front() == '-') {
        d.negative = true;
        text.remove_prefix(1);
    }
    const auto digits = [](std::string_view s) {
        return std::all_of(s.begin(), s.end(), [](char c) { return c >= '0' && c <= '9'; });
    };
    const auto point = text.find('.');
    const auto whole = text.substr(0, point);
    const auto fraction =
        point == std::string_view::npos ? std::string_view("0") : text.substr(point + 1);
    if (whole.empty() || fraction.empty() || !digits(whole) || !digits(fraction))
        return std::nullopt;
    d.whole = whole.substr(std::min(whole.find_first_not_of('0'), whole.size()));
    const auto last = fraction.find_last_not_of('0');
    d.fraction = fraction.substr(0, last == std::string_view::npos ? 0 : last + 1);
    if (d.whole.empty() && d.fraction.empty()) d.negative = false;
    return d;
}

bool magnitude_at_most(const decimal& a, const decimal& b) {
    if (a.whole.size() != b.whole.size()) return a.whole.size() < b.whole.size();
    if (a.whole != b.whole) return a.whole < b.whole;
    return a.fraction <= b.fraction;  // trailing zeros are gone, so text order is number order
}

bool at_most(const decimal& a, const decimal& b) {
    if (a.negative != b.negative) return a.negative;
    return a.negative ? magnitude_at_most(b, a) : magnitude_at_most(a, b);
}

bool amount_within(const json::value& candidate, const json::value& held) {
    const auto c = parse_decimal(json::find_string(candidate, "amount").value_or(""));
    const auto h = parse_decimal(json::find_string(held, "amount").value_or(""));
    const auto currency = json::find_string(held, "currency");
    return c && h && currency && json::find_string(candidate, "currency") == currency &&
           at_most(*c, *h);
}

std::optional<wall_time> instant(const json::value* v) {
    if (!v || !v->IsString()) return std::nullopt;
    const auto t = from_rfc3339(json::view(*v));
    return t ? std::optional(*t) : std::nullopt;
}

bool domain_within(const json::value& candidate, const json::value& held) {
    if (!candidate.IsString() || !held.IsString() || held.GetStringLength() == 0) return false;
    const auto c = ascii_lower(json::view(candidate));
    const auto h = ascii_lower(json::view(held));
    return c == h || (c.size() > h.size() + 1 && c.ends_with("." + h));
}

bool window_within(const json::value& candidate, const json::value& held) {
    if (!candidate.IsObject() || !held.IsObject()) return false;
    const auto* from = json::find(held, "not_before");
    const auto* to = json::find(held, "not_after");
    if (from) {
        const auto h = instant(from), c = instant(json::find(candidate, "not_before"));
        if (!h || !c || *c < *h) return false;
    }
    if (to) {
        const auto h = instant(to), c = instant(json::find(candidate, "not_after"));
        if (!h || !c || *c > *h) return false;
    }
    return from || to;
}

bool members_within(const json::value& candidate, const json::value& held) {
    if (!candidate.IsArray() || !held.IsArray()) return false;
    return std::all_of(candidate.Begin(), candidate.End(), [&](const json::value& c) {
        return c.IsString() &&
               std::any_of(held.Begin(), held.End(), [&](const json::value& h) { return h == c; });
    });
}

// "^[0-9]+(\\.[0-9]{1,18})?$": no sign, no exponent, no separator.
bool is_ceiling(std::string_view text) {
    const auto point = text.find('.');
    const auto fraction =
        point == std::string_view::npos ? std::string_view("0") : text.substr(point + 1);
    return parse_decimal(text) && text.front() != '-' && fraction.size() <= 18;
}

result<void> wrong(std::string what) {
    return error{errc::invalid_request, "must be " + std::move(what)};
}

result<void> check_amount(const json::value& value) {
    if (!value.IsObject() || !is_ceiling(json::find_string(value, "amount").value_or("")))
        return wrong("{amount, currency}, with the amount in decimal digits as a string");
    const auto currency = json::find_string(value, "currency").value_or("");
    if (currency.size() != 3 ||
        !std::all_of(currency.begin(), currency.end(), [](char c) { return c >= 'A' && c <= 'Z'; }))
        return wrong("{amount, currency}, with an ISO 4217 code as the currency");
    return {};
}

result<void> check_window(const json::value& value) {
    if (!value.IsObject()) return wrong("{not_before, not_after}");
    const auto* from = json::find(value, "not_before");
    const auto* to = json::find(value, "not_after");
    if ((!from && !to) || (from && !instant(from)) || (to && !instant(to)))
        return wrong("{not_before, not_after}, one of them at least, as RFC 3339 date-times");
    if (from && to && *instant(from) > *instant(to)) return wrong("a window that is not empty");
    return {};
}

// A name of letters, digits and hyphens in labels (RFC 1123 section 2.1).
bool is_domain(const json::value& value) {
    if (!value.IsString()) return false;
    const auto name = json::view(value);
    if (name.empty() || name.size() > 253) return false;
    for (std::size_t at = 0; at <= name.size();) {
        const auto end = std::min(name.find('.', at), name.size());
        const auto label = name.substr(at, end - at);
        if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-')
            return false;
        if (!std::all_of(label.begin(), label.end(), [](char c) {
                return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       c == '-' || c == '_';
            }))
            return false;
        at = end + 1;
    }
    return true;
}

// The later of two `not_before`, the earlier of two `not_after`; null when neither has one.
const json::value* bound_of(const json::value& a, const json::value& b, const char* name,
                            bool later) {
    const auto* x = json::find(a, name);
    const auto* y = json::find(b, name);
    if (!x || !y) return x ? x : y;
    return (*instant(x) >= *instant(y)) == later ? x : y;
}

}  // namespace

result<void> check_constraint(std::string_view key, const json::value& value) {
    if (key == "max_amount") return check_amount(value);
    if (key == "time_window") return check_window(value);
    if (key == "resource_issued_after" || key == "resource_issued_before") {
        if (!instant(&value)) return wrong("an RFC 3339 date-time");
    } else if (key == "tenant") {
        if (!value.IsString() || value.GetStringLength() == 0) return wrong("a string");
    } else if (key == "recipient_domain") {
        if (!is_domain(value)) return wrong("a DNS name");
    } else if (key == "data_classification" || key == "allowed_tools") {
        if (!value.IsArray() || !std::all_of(value.Begin(), value.End(),
                                             [](const json::value& v) { return v.IsString(); }))
            return wrong("an array of strings");
    } else if (key == "requires_action_approval") {
        if (!value.IsBool()) return wrong("true or false");
    }
    return {};
}

std::optional<json::value> constraint_overlap(std::string_view key, const json::value& a,
                                              const json::value& b, json::allocator& memory) {
    if (key == "data_classification" || key == "allowed_tools") {
        if (!a.IsArray() || !b.IsArray()) return std::nullopt;
        json::value out(RAPIDJSON_NAMESPACE::kArrayType);
        for (const auto& v : a.GetArray())
            if (std::find(b.Begin(), b.End(), v) != b.End())
                out.PushBack(json::value(v, memory), memory);
        if (out.Empty()) return std::nullopt;
        return out;
    }
    if (key != "time_window" || !check_window(a) || !check_window(b)) return std::nullopt;
    json::value out(RAPIDJSON_NAMESPACE::kObjectType);
    if (const auto* from = bound_of(a, b, "not_before", true))
        json::add(out, "not_before", json::value(*from, memory), memory);
    if (const auto* to = bound_of(a, b, "not_after", false))
        json::add(out, "not_after", json::value(*to, memory), memory);
    if (!check_window(out)) return std::nullopt;
    return out;
}

bool constraint_within(std::string_view key, const json::value& candidate,
                       const json::value& held) {
    if (candidate == held) return true;
    if (key == "max_amount") return amount_within(candidate, held);
    if (key == "resource_issued_after" || key == "resource_issued_before") {
        const auto c = instant(&candidate), h = instant(&held);
        if (!c || !h) return false;
        return key == "resource_issued_after" ? *c >= *h : *c <= *h;
    }
    if (key == "recipient_domain") return domain_within(candidate, held);
    if (key == "time_window") return window_within(candidate, held);
    if (key == "data_classification" || key == "allowed_tools")
        return members_within(candidate, held);
    if (key == "requires_action_approval") return candidate.IsTrue();
    return false;
}

}  // namespace mission::transmitter
