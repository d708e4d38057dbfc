#include "transmitter/api/manage.hpp"
#include "transmitter/api/mission_forms.hpp"

// What answers of /mission/manage look like.

namespace mission::transmitter {
namespace {

constexpr std::chrono::seconds answer_lifetime{60};

struct shape {
    int status;
    std::string_view symbol;
    std::string_view sentence;  // empty: the error's own detail
};

// RFC 6749 section 5.2: %x20-21 / %x23-5B / %x5D-7E. Details may quote a member's name.
std::string describable(std::string_view text) {
    std::string out(text.substr(0, 500));
    for (char& c : out)
        if (c == '"' || c == '\\' || c < 0x20 || c > 0x7e) c = '\'';
    return out;
}

// draft-mcguinness-oauth-mission-management "Error Responses".
shape shape_of(const error& e) {
    const int status = http_status(e.code);
    switch (status) {
        case 400:
            return {400,
                    e == errc::invalid_bulk_token || e == errc::filter_too_broad
                        ? name(e.code)
                        : std::string_view("invalid_request"),
                    ""};
        case 401:
            return {401, "unauthorized", "the request is not authenticated"};
        case 403:
            return {403, "forbidden",
                    e == errc::forbidden && !e.detail.empty()
                        ? std::string_view()
                        : std::string_view("this client may not manage missions")};
        case 409:
            return {409, "stale_bulk_token", "the membership has left this client's scope"};
        case 413:
            return {413, "invalid_request", "the request is too large"};
        case 415:
            return {415, "invalid_request", "the body must be application/json"};
        case 429:
            return {429, "rate_limited", "too many requests; wait"};
        case 503:
            return {503, "unavailable", "the service cannot do this at the moment"};
        default:
            return {500, "unavailable", "the service failed"};
    }
}

}  // namespace

manage_outcome manage_refusal(error why, bool kept) {
    manage_outcome out;
    out.refused = std::move(why);
    out.kept = kept;
    return out;
}

void answer_signed_claims(const manage_call& call, const std::string& claims) {
    auto token = call.issuer.keys->management_signer()->sign(claims);
    if (!token) {
        log(level::error, "a management answer could not be signed",
            {{"why", token.error().message()}});
        return call.respond(manage_error_answer(errc::unavailable, call.nonce));
    }
    call.respond(draft_signed_answer("mission-management-response+jwt", std::move(*token)));
}

net::http_response manage_error_answer(const error& e, std::string_view nonce) {
    const auto s = shape_of(e);
    return draft_error_answer(
        {s.status, s.symbol, describable(s.sentence.empty() ? e.detail : s.sentence)}, e, nonce);
}

std::string manage_detail(const manage_subject& subject, const detail_members& more) {
    json::buffer buffer;
    json::writer w(buffer);
    w.StartObject();
    if (!subject.operation.empty()) json::member(w, "operation", subject.operation);
    if (!subject.mode.empty()) json::member(w, "mode", subject.mode);
    if (!subject.filter.empty()) {
        json::key(w, "filter");
        json::raw(w, subject.filter);
    }
    if (!subject.why.empty())
        json::member(w, subject.operation == "enumerate" ? "purpose" : "reason", subject.why);
    for (const auto& [member, text] : more) {
        json::key(w, member);
        json::raw(w, text);
    }
    w.EndObject();
    return json::text(buffer);
}

std::string manage_claims(const manage_call& call, wall_time now,
                          const std::function<void(json::writer&)>& members) {
    const auto iat = to_numeric_date(now);
    json::buffer buffer;
    json::writer w(buffer);
    w.StartObject();
    json::member(w, "iss", call.issuer.settings.url);
    json::member(w, "aud", call.client.id);
    json::member(w, "sub", call.client.id);
    json::member(w, "nonce", call.nonce);
    json::key(w, "iat");
    w.Int64(iat);
    json::key(w, "exp");
    w.Int64(iat + answer_lifetime.count());
    members(w);
    w.EndObject();
    return json::text(buffer);
}

}  // namespace mission::transmitter
