#include "receiver/verify/status_answer.hpp"

#include <algorithm>

#include "base/limits.hpp"
#include "receiver/verify/verify.hpp"

namespace mission::receiver {
namespace {

// "Equals": an answer that is for others as well is none of ours.
bool names(const json::value& claims, std::string_view audience) {
    const auto* aud = json::find(claims, "aud");
    if (aud == nullptr) return false;
    if (aud->IsArray() && aud->Size() == 1) aud = aud->Begin();
    return aud->IsString() && json::view(*aud) == audience;
}

// Absent is fine, present and not a date is not.
result<std::optional<wall_time>> find_date(const json::value& v, std::string_view name) {
    const auto* member = json::find(v, name);
    if (member == nullptr || member->IsNull()) return std::optional<wall_time>{};
    if (!member->IsString()) return error{errc::bad_claims, std::string(name)};
    auto t = from_rfc3339(json::view(*member));
    if (t.has_error()) return error{errc::bad_claims, std::string(name)};
    return std::optional<wall_time>{*t};
}

// draft-mcguinness-oauth-mission-child-delegation "Cascade": under a mode that we do not know a
// child's state alone says nothing; its parent would have to be asked each time.
bool stands_alone(const json::value& mission) {
    const auto* parent = json::find(mission, "parent");
    if (parent == nullptr || !parent->IsObject()) return true;
    const auto* mode = json::find(*parent, "cascade_mode");
    return mode == nullptr || (mode->IsString() && json::view(*mode) == "immediate");
}

}  // namespace

result<jose::compact> parse_status(std::string_view token, const status_expectation& expected) {
    if (token.size() > limits::json_bytes) return errc::too_large;
    auto parsed = jose::parse_compact(token);
    if (parsed.has_error()) return parsed.error();
    if (parsed->typ != status_typ) return error{errc::wrong_typ, "typ of the status answer"};
    const bool advertised =
        std::find(expected.algs.begin(), expected.algs.end(), parsed->alg) != expected.algs.end();
    if (!advertised || !jose::parse_alg(parsed->alg)) {
        return error{errc::alg_not_allowed, "alg of the status answer"};
    }
    return parsed;
}

result<status_word> read_status(const jose::compact& token, const status_expectation& expected,
                                instant now) {
    auto parsed = json::parse(token.payload);
    if (parsed.has_error()) return parsed.error();
    const json::value& claims = *parsed;
    if (!claims.IsObject()) return error{errc::bad_claims, "not an object"};

    if (json::find_string(claims, "iss") != expected.issuer) {
        return error{errc::wrong_issuer, "iss of the status answer"};
    }
    const auto& audience = expected.audience.empty() ? expected.client_id : expected.audience;
    if (!audience.empty() && !names(claims, audience)) {
        return error{errc::wrong_audience, "aud of the status answer"};
    }
    if (!expected.client_id.empty() && json::find_string(claims, "sub") != expected.client_id) {
        return error{errc::bad_claims, "sub of the status answer"};
    }
    if (json::find_string(claims, "nonce") != expected.nonce) {
        return error{errc::bad_claims, "nonce of the status answer"};
    }
    const auto iat = json::find_int(claims, "iat"), exp = json::find_int(claims, "exp");
    const auto skew = std::chrono::seconds(limits::clock_skew).count();
    if (!iat || !exp || *iat < 0 || *exp < 0)
        return error{errc::bad_claims, "iat and exp of the status answer"};
    if (*iat > now.wall / 1000 + skew) return error{errc::issued_in_future, "status answer"};
    if (*exp < now.wall / 1000 - skew) return error{errc::token_expired, "status answer"};

    const auto* m = json::find(claims, "mission");
    if (m == nullptr || !m->IsObject()) return error{errc::bad_claims, "mission"};
    if (json::find_string(*m, "id") != expected.mission_id) {
        return error{errc::bad_claims, "mission.id is not the one asked for"};
    }
    if (json::find_string(*m, "issuer") != expected.mission_issuer) {
        return error{errc::bad_claims, "mission.issuer is not the one asked for"};
    }

    status_word w;
    w.id = expected.mission_id;
    w.issuer = expected.mission_issuer;
    const auto state = json::find_string(*m, "state");
    const auto version = json::find_int(*m, "version");
    if (!state || state->empty()) return error{errc::bad_claims, "mission.state"};
    if (!version || *version < 1) return error{errc::bad_claims, "mission.version"};
    if (*state == "active" && !stands_alone(*m))
        return error{errc::bad_claims, "mission.parent.cascade_mode is none we know"};
    w.state = *state;
    w.version = *version;
    w.issued_at = from_numeric_date(*iat);
    w.log_epoch = json::find_string(*m, "log_epoch").value_or("");
    w.successor = json::find_string(*m, "successor").value_or("");
    for (const auto* text : {&w.state, &w.log_epoch, &w.successor}) {
        if (text->size() > limits::set_text_bytes) return error{errc::bad_claims, "mission"};
    }
    for (auto [name, into] :
         {std::pair{"committed_at", &w.committed_at}, std::pair{"expires_at", &w.expires_at},
          std::pair{"fresh_until", &w.fresh_until}, std::pair{"suspend_until", &w.suspend_until}}) {
        auto t = find_date(*m, name);
        if (t.has_error()) return t.error();
        *into = *t;
    }
    // The freshness cap; an answer without fresh_until confirms, and is fresh by the stream alone.
    if (w.fresh_until) {
        w.fresh_until = std::min(*w.fresh_until, from_numeric_date(*iat) + expected.max_stale);
    }
    if (!expected.audience.empty()) {
        const auto* details = json::find(claims, "authorization_details");
        if (details != nullptr && !details->IsArray()) {
            return error{errc::bad_claims, "authorization_details"};
        }
        // None for our audience is an empty set: known, and permitting nothing.
        w.authority = details == nullptr ? std::string("[]") : json::write(*details);
    }
    return w;
}

}  // namespace mission::receiver
