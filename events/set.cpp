#include "events/set.hpp"

#include <cmath>

#include "events/detail/text_writer.hpp"
#include "events/set_reader.hpp"

namespace mission::events {
namespace {

error bad_claim(std::string_view name, std::string_view why) {
    return error{errc::bad_claims,
                 "\"" + std::string(name.substr(0, 128)) + "\" " + std::string(why)};
}

// NumericDate may have a fraction (RFC 7519 section 2); whole seconds are what we work with.
std::optional<std::int64_t> numeric_date(const json::value& v) {
    if (v.IsInt64()) return v.GetInt64();
    if (!v.IsNumber()) return std::nullopt;
    const double d = std::floor(v.GetDouble());
    if (!(d >= 0 && d < 9e15)) return std::nullopt;
    return static_cast<std::int64_t>(d);
}

result<std::vector<std::string>> audiences(const json::value& claims) {
    constexpr std::size_t audiences_max = 64;
    const json::value* aud = json::find(claims, "aud");
    if (!aud) return bad_claim("aud", "is missing");
    std::vector<std::string> out;
    if (aud->IsString()) {
        out.emplace_back(json::view(*aud));
    } else if (aud->IsArray()) {
        if (aud->Size() > audiences_max) return bad_claim("aud", "has more than 64 entries");
        for (const json::value& one : aud->GetArray()) {
            if (!one.IsString()) return bad_claim("aud", "has an entry that is no string");
            out.emplace_back(json::view(one));
        }
    } else {
        return bad_claim("aud", "is neither a string nor an array");
    }
    if (out.empty()) return bad_claim("aud", "is empty");
    return out;
}

}  // namespace

std::string encode(const set_claims& c) {
    std::string out;
    detail::text_writer w(out, 768 + c.event.size());
    w.open();
    w.member("iss", c.iss);
    w.member("aud", c.aud);
    w.member("iat", c.iat);
    w.member("jti", c.jti);
    if (!c.txn.empty()) w.member("txn", c.txn);
    w.key("sub_id");
    w.raw(to_json(c.sub_id));
    w.key("events");
    w.open();
    w.foreign_key(c.type);
    w.raw(c.event);
    w.close();
    w.close();
    w.finish();
    return out;
}

namespace {

// Reads the claims that `out` owns already into its other members.
std::optional<error> read_claims(received_set& out) {
    const json::document& claims = out.claims;
    if (!claims.IsObject()) return error{errc::malformed_token, "the claims are no JSON object"};

    const auto iss = json::find_string(claims, "iss");
    if (!iss || iss->empty()) return bad_claim("iss", "is missing or no string");
    out.iss = *iss;

    auto aud = audiences(claims);
    if (!aud) return aud.error();
    out.aud = std::move(*aud);

    const json::value* iat = json::find(claims, "iat");
    const auto issued = iat ? numeric_date(*iat) : std::nullopt;
    if (!issued) return bad_claim("iat", "is missing or no NumericDate");
    out.iat = *issued;

    const auto jti = json::find_string(claims, "jti");
    if (!jti || jti->empty()) return bad_claim("jti", "is missing or no string");
    out.jti = *jti;

    if (const json::value* txn = json::find(claims, "txn")) {
        if (!txn->IsString()) return bad_claim("txn", "is no string");
        out.txn = json::view(*txn);
    }
    // SSF 1.0 "SET Profile": a SET that could pass for an ID or access token is refused.
    if (json::find(claims, "sub")) return bad_claim("sub", "must not stand in a SET");
    if (json::find(claims, "exp")) return bad_claim("exp", "must not stand in a SET");

    if (const json::value* sub_id = json::find(claims, "sub_id")) {
        auto parsed = parse_subject(*sub_id);
        if (!parsed) return bad_claim("sub_id", "is wrong: " + parsed.error().detail);
        out.sub_id.emplace(std::move(*parsed));
    }

    const json::value* events = json::find(claims, "events");
    if (!events || !events->IsObject()) return bad_claim("events", "is missing or no object");
    if (events->MemberCount() != 1) return bad_claim("events", "must have exactly one member");
    const auto& event = *events->MemberBegin();
    if (!event.value.IsObject()) return bad_claim(json::view(event.name), "is no object");
    out.type = json::view(event.name);
    // The value lies in the document's allocator, so it stays where it is when the document moves.
    out.event = &event.value;
    return std::nullopt;
}

result<received_set> received(json::document claims) {
    result<received_set> out(received_set{{}, {}, 0, {}, {}, {}, {}, std::move(claims), nullptr});
    if (auto e = read_claims(*out)) out = std::move(*e);
    return out;
}

}  // namespace

namespace {

result<received_set> decoded(result<json::document> doc) {
    if (doc) return received(std::move(*doc));
    if (doc.error() == errc::duplicate_member) return doc.error();
    return error{errc::malformed_token, "the claims are not JSON: " + doc.error().detail};
}

}  // namespace

result<received_set> decode(std::string_view payload) {
    return decoded(json::parse(payload, limits::token_bytes));
}

result<received_set> decode(std::string_view payload, json::scratch& memory) {
    return decoded(memory.parse(payload, limits::token_bytes));
}

std::string to_json(const verification& v) {
    json::buffer b;
    json::writer w(b);
    w.StartObject();
    if (v.state) json::member(w, "state", *v.state);
    if (v.as_of && v.continuity && v.log_epoch) {
        json::member(w, "as_of", to_rfc3339(*v.as_of));
        w.Key("continuity");
        w.Int64(*v.continuity);
        json::member(w, "log_epoch", *v.log_epoch);
    }
    w.EndObject();
    return json::text(b);
}

result<verification> parse_verification(const json::value& body) {
    if (!body.IsObject()) return bad_claim("verification", "is no object");
    verification out;
    if (const json::value* state = json::find(body, "state")) {
        if (!state->IsString()) return bad_claim("state", "is no string");
        out.state = json::view(*state);
    }
    if (const json::value* as_of = json::find(body, "as_of")) {
        const auto time =
            as_of->IsString() ? from_rfc3339(json::view(*as_of)) : result<wall_time>(errc{});
        if (!time) return bad_claim("as_of", "is no RFC 3339 date-time");
        out.as_of = *time;
    }
    if (const json::value* continuity = json::find(body, "continuity")) {
        if (!continuity->IsInt64()) return bad_claim("continuity", "is no integer");
        out.continuity = continuity->GetInt64();
    }
    if (const json::value* epoch = json::find(body, "log_epoch")) {
        if (!epoch->IsString() || epoch->GetStringLength() == 0)
            return bad_claim("log_epoch", "is no string");
        out.log_epoch = json::view(*epoch);
    }
    const int heartbeat = int{out.as_of.has_value()} + int{out.continuity.has_value()} +
                          int{out.log_epoch.has_value()};
    if (heartbeat != 0 && heartbeat != 3)
        return bad_claim(!out.as_of        ? "as_of"
                         : !out.continuity ? "continuity"
                                           : "log_epoch",
                         "is missing: a heartbeat has all three members");
    return out;
}

std::string to_json(const stream_updated& u) {
    json::buffer b;
    json::writer w(b);
    w.StartObject();
    json::member(w, "status", u.status);
    if (u.reason) json::member(w, "reason", *u.reason);
    w.EndObject();
    return json::text(b);
}

result<stream_updated> parse_stream_updated(const json::value& body) {
    const auto status = json::find_string(body, "status");
    if (!status || (*status != "enabled" && *status != "paused" && *status != "disabled"))
        return bad_claim("status", "is missing or unknown");
    stream_updated out{std::string(*status), std::nullopt};
    if (const json::value* reason = json::find(body, "reason")) {
        if (!reason->IsString()) return bad_claim("reason", "is no string");
        out.reason = json::view(*reason);
    }
    return out;
}

subject stream_subject(std::string_view stream_id) {
    return subject::opaque(std::string(stream_id));
}

}  // namespace mission::events
