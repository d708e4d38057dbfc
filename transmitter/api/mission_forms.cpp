#include "transmitter/api/mission_forms.hpp"

#include <algorithm>

#include "transmitter/api/rate_limit.hpp"
#include "transmitter/api/router.hpp"
#include "transmitter/api/status_lists.hpp"
#include "transmitter/missions/visibility.hpp"

namespace mission::transmitter {
namespace {

// How long the signed answer itself is good; what may be relied on is `fresh_until`.
constexpr std::chrono::seconds answer_lifetime{60};

struct shape {
    int status;
    std::string_view symbol;
    std::string_view sentence;  // empty: the error's own detail
};

// draft-mcguinness-oauth-mission-status "Error Responses".
shape shape_of(errc code) {
    switch (http_status(code)) {
        case 400:
            return {400, "invalid_request", ""};
        case 401:
            return {401, "unauthorized", "the request is not authenticated"};
        // An authenticated caller that may not is told what an unknown mission is told.
        case 403:
        case 404:
            return {404, "not_found", "the mission is not found or not visible"};
        case 409:
            return code == errc::stale_version ? shape{409, "stale_version", ""}
                                               : shape{409, "conflict", ""};
        case 413:
            return {413, "invalid_request", "the request is too large"};
        case 415:
            return {415, "invalid_request", "the body must be a form"};
        case 429:
            return {429, "rate_limited", "too many requests; wait"};
        case 503:
            return {503, "unavailable", "the service cannot do this at the moment"};
        default:
            return {500, "unavailable", "the service failed"};
    }
}

// draft-mcguinness-oauth-mission-child-delegation "Child Mission State": the parent, as context for
// who may know it. What its state means for this mission is in this mission's own.
void write_parent(json::writer& w, const mission_view& v, const issuer_service& issuer,
                  const client_config& client, std::string_view fresh_until) {
    const auto& id = v.mission.record.parent;
    if (!id || !v.parent_state || !v.parent || !may_know(client, *v.parent)) return;
    json::key(w, "parent");
    w.StartObject();
    json::member(w, "id", *id);
    json::member(w, "issuer", issuer.settings.url);
    json::member(w, "state", events::name(*v.parent_state));
    // Of a mirrored family the authority alone knows.
    if (!v.mission.state.mirrored) json::member(w, "cascade_mode", "immediate");
    json::member(w, "fresh_until", fresh_until);
    w.EndObject();
}

}  // namespace

std::optional<std::size_t> count_characters(std::string_view text) noexcept {
    std::size_t count = 0;
    for (std::size_t i = 0; i < text.size(); ++count) {
        const auto lead = static_cast<unsigned char>(text[i]);
        if (lead < 0x20 || lead == 0x7f) return std::nullopt;
        const std::size_t length = lead < 0x80                    ? 1
                                   : lead >= 0xc2 && lead < 0xe0  ? 2
                                   : lead >= 0xe0 && lead < 0xf0  ? 3
                                   : lead >= 0xf0 && lead <= 0xf4 ? 4
                                                                  : 0;
        if (length == 0 || i + length > text.size()) return std::nullopt;
        std::uint32_t point = length == 1 ? lead : lead & (0xffu >> (length + 1));
        for (std::size_t k = 1; k < length; ++k) {
            const auto next = static_cast<unsigned char>(text[i + k]);
            if ((next & 0xc0) != 0x80) return std::nullopt;
            point = point << 6 | (next & 0x3f);
        }
        constexpr std::uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
        if (point < least[length] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
            return std::nullopt;
        i += length;
    }
    return count;
}

net::http_response form_error_answer(const form_error& e) {
    const auto s = shape_of(e.what.code);
    return draft_error_answer(
        {s.status, s.symbol, s.sentence.empty() ? e.what.detail : std::string(s.sentence)}, e.what,
        e.nonce.value_or(""));
}

net::http_response draft_error_answer(const shown_error& shown, const error& why,
                                      std::string_view nonce) {
    json::buffer buffer;
    json::writer w(buffer);
    w.StartObject();
    json::member(w, "error", shown.symbol);
    json::member(w, "error_description", shown.description);
    if (shown.status == 429) {
        json::key(w, "retry_after");
        w.Int64(retry_after(why));
    }
    if (!nonce.empty()) json::member(w, "nonce", nonce);
    w.EndObject();
    auto r = json_answer(shown.status, json::text(buffer));
    if (shown.status == 401) add_challenges(r, why.code, false);
    if (shown.status == 429 || shown.status == 503)
        r.fields.set("retry-after", std::to_string(retry_after(why)));
    return r;
}

net::http_response draft_signed_answer(std::string_view media_type, std::string token) {
    net::http_response r;
    r.fields.set("content-type", "application/" + std::string(media_type));
    r.fields.set("cache-control", "no-store");
    r.fields.set("pragma", "no-cache");
    r.body = std::move(token);
    return r;
}

std::optional<form_error> read_mission_form(const net::http_request& request,
                                            const authenticator& auth,
                                            std::string_view endpoint_url, std::string_view scope,
                                            mission_form& out, principal& who) {
    if (!form_content_type(request)) return form_error{errc::unsupported_media_type, {}};
    if (request.body_too_large) return form_error{errc::too_large, {}};
    auto fields = net::parse_form(request.body);
    if (!fields)
        return form_error{
            {errc::invalid_request, "the form is malformed: " + fields.error().detail}, {}};
    out.fields = std::move(*fields);
    const auto nonce = field(out.fields, "nonce");
    const auto length = count_characters(nonce);
    const bool good_nonce = length && *length >= 1 && *length <= limits::nonce_max;
    std::optional<std::string> echoed;
    if (good_nonce) echoed = out.nonce = std::string(nonce);

    auto p = auth.form_client(request, out.fields, endpoint_url, scope);
    if (!p) return form_error{p.error(), echoed};
    who = std::move(*p);
    if (!good_nonce)
        return form_error{{errc::invalid_request, "nonce: must have 1 to 255 characters"}, {}};
    out.mission_id = std::string(field(out.fields, "mission_id"));
    if (!events::valid_mission_id(out.mission_id))
        return form_error{{errc::invalid_request, "mission_id: not a mission id"}, echoed};
    return std::nullopt;
}

std::string status_claims(const mission_view& v, const issuer_service& issuer,
                          const status_request& request, wall_time now) {
    const auto iat = to_numeric_date(now);
    const auto fresh_until = from_numeric_date(iat) + issuer.common->settings.ssf.max_stale;
    const auto& s = v.mission.state;
    json::buffer buffer;
    json::writer w(buffer);
    w.StartObject();
    json::member(w, "iss", issuer.settings.url);
    json::member(w, "aud", request.audience ? *request.audience : request.client->id);
    json::member(w, "sub", request.client->id);
    json::member(w, "nonce", request.nonce);
    json::key(w, "iat");
    w.Int64(iat);
    json::key(w, "exp");
    w.Int64(iat + answer_lifetime.count());
    json::key(w, "mission");
    w.StartObject();
    json::member(w, "id", v.mission.record.mission_id);
    json::member(w, "issuer", issuer.settings.url);
    json::member(w, "authority_hash", v.mission.record.authority_hash);
    json::member(w, "state", events::name(s.state));
    json::key(w, "version");
    w.Int64(s.version);
    json::member(w, "committed_at", to_rfc3339(s.changed_at));
    json::member(w, "expires_at", to_rfc3339(s.expires_at));
    json::member(w, "fresh_until", to_rfc3339(fresh_until));
    json::member(w, "log_epoch", v.log_epoch);
    if (s.state == events::mission_state::suspended && s.suspend_until) {
        json::member(w, "suspend_until", to_rfc3339(*s.suspend_until));
        if (s.on_expiry) json::member(w, "on_expiry", events::name(*s.on_expiry));
    }
    // Named to whom may know it (wire.md section 3).
    if (s.state == events::mission_state::superseded && s.successor && v.successor &&
        may_know(*request.client, *v.successor))
        json::member(w, "successor", *s.successor);
    write_parent(w, v, issuer, *request.client, to_rfc3339(fresh_until));
    if (issuer.lists) {
        const auto place = issuer.lists->of(s.row);
        json::key(w, "status_list");
        w.StartObject();
        json::key(w, "idx");
        w.Uint(place.idx);
        json::member(w, "uri", place.uri);
        w.EndObject();
    }
    w.EndObject();
    if (request.audience) {
        json::key(w, "authorization_details");
        json::raw(w, entries_for(v.in_force, *request.audience));
    }
    w.EndObject();
    return json::text(buffer);
}

void answer_signed(const issuer_service& issuer, const std::string& claims,
                   const std::optional<std::string>& nonce, const net::responder& respond) {
    auto token = issuer.keys->status_signer()->sign(claims);
    if (!token) {
        log(level::error, "a status could not be signed", {{"why", token.error().message()}});
        return respond(form_error_answer({errc::unavailable, nonce}));
    }
    respond(draft_signed_answer("mission-status-response+jwt", std::move(*token)));
}

}  // namespace mission::transmitter
