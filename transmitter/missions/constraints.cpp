#include <algorithm>
#include <optional>
#include <string>

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

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return out;
}

bool domain_within(const json::value& candidate, const json::value& held) {
    if (!candidate.IsString() || !held.IsString() || held.GetStringLength() == 0) return false;
    const auto c = lower(json::view(candidate));
    const auto h = lower(json::view(held));
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

}  // namespace

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
