#include "samples/authorization_server/token_endpoint.hpp"

#include <algorithm>
#include <ctime>
#include <set>

#include "samples/common/jwt.hpp"

namespace sample {

namespace ms = mission_signals;

namespace {

// The same words for a mission that nobody knows and for one of another agent.
constexpr const char* not_yours = "there is no such mission for this client";
constexpr const char* not_good = "the refresh token is not good";

std::int64_t seconds_now() {
    return static_cast<std::int64_t>(std::time(nullptr));
}

bool is_mission_id(const std::string& text) {
    constexpr std::string_view others = "_-";
    return text.size() >= 22 && text.size() <= 128 &&
           std::all_of(text.begin(), text.end(), [&](char c) {
               return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                      others.find(c) != std::string_view::npos;
           });
}

bool repeated(const httplib::Request& request) {
    // RFC 6749 section 3.2; `resource` alone may come several times (RFC 8707 section 2).
    std::set<std::string> seen;
    for (const auto& [name, value] : request.params)
        if (name != "resource" && !seen.insert(name).second) return true;
    return false;
}

std::vector<authority_entry> entries_for(const std::vector<authority_entry>& entries,
                                         const std::vector<std::string>& resources) {
    std::vector<authority_entry> out;
    for (const auto& e : entries)
        if (std::find(resources.begin(), resources.end(), e.resource) != resources.end())
            out.push_back(e);
    return out;
}

bool all_in(const std::vector<std::string>& wanted, const std::vector<std::string>& had) {
    return std::all_of(wanted.begin(), wanted.end(), [&](const auto& w) {
        return std::find(had.begin(), had.end(), w) != had.end();
    });
}

std::string audiences_json(const std::vector<authority_entry>& entries) {
    std::vector<std::string> seen;
    for (const auto& e : entries)
        if (std::find(seen.begin(), seen.end(), e.resource) == seen.end())
            seen.push_back(e.resource);
    rj::StringBuffer out;
    rj::Writer<rj::StringBuffer> writer(out);
    if (seen.size() != 1) writer.StartArray();
    for (const auto& s : seen)
        writer.String(s.data(), static_cast<rj::SizeType>(s.size()));
    if (seen.size() != 1) writer.EndArray();
    return {out.GetString(), out.GetSize()};
}

std::string list_json(const std::vector<authority_entry>& entries) {
    std::string text;
    for (const auto& e : entries)
        text += (text.empty() ? "" : ",") + e.json;
    return "[" + text + "]";
}

void invalid(std::string& error, std::string& why, const char* code, const char* sentence) {
    error = code;
    why = sentence;
}

}  // namespace

token_endpoint::token_endpoint(ms::receiver& receiver, mission_records& records,
                               refresh_tokens& refresh, const client_list& clients,
                               const es256_key& key, settings s)
    : receiver_(receiver),
      records_(records),
      refresh_(refresh),
      clients_(clients),
      key_(key),
      settings_(std::move(s)) {}

void token_endpoint::add_handlers() {
    // What is held for a mission is the grant, under its id.
    receiver_.on_effect({.name = "refresh-tokens", .on = ms::terminal_effects()},
                        [this](const ms::task& t) {
                            const std::string why = "mission " + std::string(ms::name(t.why));
                            const bool news = refresh_.end(t.name, why);
                            log_line(event_line("authorization_server", "teardown")
                                         .add("mission", t.mission_id)
                                         .add("version", t.version)
                                         .add("reason", why)
                                         .add("grant", t.name)
                                         .add("outcome", news ? "destroyed" : "was destroyed"));
                            return ms::outcome::done("refresh tokens of " + t.name);
                        });
}

void token_endpoint::end_what_is_not_held() {
    std::set<std::string> held;
    for (const auto& h : receiver_.held())
        held.insert(h.name);
    for (const auto& g : refresh_.open())
        if (held.count(g.id) == 0) refresh_.end(g.id, "it was never handed out");
}

void token_endpoint::answer_request(const httplib::Request& request, httplib::Response& response) {
    response.set_header("Pragma", "no-cache");
    const auto refuse_with = [&](int status, std::string_view error, std::string_view why) {
        answer(response, status, json_object().add("error", error).add("error_description", why));
    };
    // RFC 6749 section 2.3.1: nothing of this belongs into a URL.
    if (request.target.find('?') != std::string::npos || repeated(request))
        return refuse_with(400, "invalid_request", "parameters: in the body, each once");
    const auto client = clients_.authenticate(request);
    if (!client) {
        response.set_header("WWW-Authenticate", "Basic realm=\"token\"");
        return refuse_with(401, "invalid_client", "the client is not authenticated");
    }
    asked what{.client = *client, .resources = {}};
    for (std::size_t n = 0; n < request.get_param_value_count("resource"); ++n)
        what.resources.push_back(request.get_param_value("resource", n));

    const auto type = request.get_param_value("grant_type");
    decision d;
    if (type == mission_grant)
        d = from_mission(request, what);
    else if (type == "refresh_token")
        d = from_refresh(request, what);
    else if (type == exchange_grant)
        d = from_exchange(request, what);
    else
        return refuse_with(400, type.empty() ? "invalid_request" : "unsupported_grant_type",
                           "grant_type");

    auto line = event_line("authorization_server", "decision");
    line.add("decision", d.error.empty() ? "permit" : "refuse")
        .add("mission", d.mission)
        .add("version", d.version)
        .add("action", d.action)
        .add("client", *client)
        .add("reason", d.error.empty() ? "active" : d.why);
    if (!d.token_id.empty()) line.add("token", d.token_id);
    log_line(line);

    if (d.error.empty()) {
        response.status = 200;
        response.set_header("Cache-Control", "no-store");
        response.set_content(d.body, "application/json");
        return;
    }
    json_object body;
    body.add("error", d.error).add("error_description", d.why);
    if (!d.mission_error.empty()) body.add("mission_error", d.mission_error);
    answer(response, d.error == "temporarily_unavailable" ? 503 : 400, body);
}

bool token_endpoint::refuse(decision& d, const ms::answer& standing) {
    d.version = standing.version;
    if (standing.permitted()) return false;
    d.error = "invalid_grant";
    d.why = standing.reason();
    // The three that draft-mcguinness-oauth-mission "Issuance Gating" names.
    if (standing.what == ms::standing::revoked || standing.what == ms::standing::expired ||
        standing.what == ms::standing::superseded)
        d.mission_error = "mission_" + std::string(ms::name(standing.what));
    return true;
}

bool token_endpoint::permitted(decision& d) {
    auto standing = receiver_.missions().check(d.mission);
    if (standing.what == ms::standing::unknown || standing.what == ms::standing::gap) {
        standing = receiver_.missions().resolve(d.mission, std::chrono::seconds(2));
    } else if (standing.what == ms::standing::stale) {
        // Denied at once; asked for behind the caller's back.
        receiver_.missions().resolve(d.mission, [](ms::answer) {});
    }
    return !refuse(d, standing);
}

std::optional<mission_record> token_endpoint::record(decision& d) {
    std::string why;
    auto r = records_.at_least(d.mission, d.version, why);
    if (!r && d.error.empty())
        invalid(d.error, d.why, "temporarily_unavailable", "the mission's record cannot be read");
    return r;
}

// Read a moment later than the look: it may know more, and a denial is one wherever it is from.
bool token_endpoint::alive(decision& d, const mission_record& r) {
    if (r.state == "active" && r.expires > seconds_now()) return true;
    d.error = "invalid_grant";
    d.why = "mission " + (r.state == "active" ? std::string("expired") : r.state);
    d.version = r.version;
    return false;
}

void token_endpoint::give(decision& d, const mission_record& r,
                          const std::vector<authority_entry>& entries, std::int64_t not_after,
                          const std::string& refresh_token) {
    const auto now = seconds_now();
    const auto until = std::min({now + settings_.access_seconds, r.expires, not_after});
    d.token_id = "at_" + random_text(16);
    json_object mission;
    mission.add("id", r.id)
        .add("issuer", r.issuer)
        .add("authority_hash", r.authority_hash)
        .add("version", r.version)
        .add("expires_at", r.expires_at);
    json_object claims;
    claims.add("iss", settings_.issuer)
        .add("sub", r.subject)
        .add_raw("aud", audiences_json(entries))
        .add("client_id", d.client)
        .add("iat", now)
        .add("exp", until)
        .add("jti", d.token_id)
        .add_raw("authorization_details", list_json(entries))
        .add_raw("mission", mission.str());
    json_object body;
    body.add("access_token", key_.sign("at+jwt", claims))
        .add("token_type", "Bearer")
        .add("expires_in", until - now)
        .add_raw("authorization_details", list_json(entries));
    if (!refresh_token.empty()) body.add("refresh_token", refresh_token);
    if (d.action == "token.exchange") body.add("issued_token_type", access_token_type);
    // The last look, behind everything that took time: an end that came meanwhile is honoured.
    const auto standing = receiver_.missions().check(d.mission);
    const bool decided = d.action == "token.refresh" && !ms::is_terminal(standing.what);
    if (!decided && refuse(d, standing)) return;
    d.version = r.version;
    d.body = body.str();
}

token_endpoint::decision token_endpoint::from_mission(const httplib::Request& request,
                                                      const asked& what) {
    decision d{.action = "token.mission", .client = what.client};
    d.mission = request.get_param_value("mission_id");
    const bool active = is_mission_id(d.mission) && permitted(d);
    const auto r = is_mission_id(d.mission) ? record(d) : std::nullopt;
    // Whether it has ended, or ever was, is its agent's business alone.
    if ((!r && d.error != "temporarily_unavailable") || (r && r->agent != what.client)) {
        d.mission_error.clear();
        invalid(d.error, d.why, "invalid_grant", not_yours);
        return d;
    }
    if (!active || !r || !alive(d, *r)) return d;
    const auto resources = what.resources.empty() ? r->resources() : what.resources;
    const auto entries = entries_for(r->entries, resources);
    if (entries.empty() || !all_in(resources, r->resources())) {
        invalid(d.error, d.why, "invalid_target", "the mission's authority does not name it");
        return d;
    }
    const grant g{.id = "grant-" + random_text(12),
                  .mission = d.mission,
                  .client_id = what.client,
                  .resources = resources,
                  .expires_at = seconds_now() + settings_.refresh_seconds,
                  .ended = {}};
    const auto token = refresh_.begin(g);
    // Held before it is handed out, durably: from here on the mission's end finds it.
    if (!receiver_.hold(d.mission, g.id, what.client)) {
        refresh_.end(g.id, "it was never handed out");
        if (!refuse(d, receiver_.missions().check(d.mission)))
            invalid(d.error, d.why, "temporarily_unavailable", "the grant cannot be recorded");
        return d;
    }
    give(d, *r, entries, r->expires, token);
    return d;
}

token_endpoint::decision token_endpoint::from_refresh(const httplib::Request& request,
                                                      const asked& what) {
    decision d{.action = "token.refresh", .client = what.client};
    const auto presented = request.get_param_value("refresh_token");
    const auto found = refresh_.find(presented, seconds_now());
    if (found.what == refresh_tokens::standing::unknown || found.of.client_id != what.client) {
        invalid(d.error, d.why, "invalid_grant", not_good);
        return d;
    }
    d.mission = found.of.mission;
    const auto used_again = [&] {
        // RFC 9700 section 4.14.2: somebody has a copy, and nobody knows who.
        if (refresh_.end(found.of.id, "a refresh token was used twice"))
            receiver_.release(d.mission, found.of.id);
        invalid(d.error, d.why, "invalid_grant", "a refresh token was used twice");
    };
    if (!permitted(d)) return d;
    if (!found.of.ended.empty()) {
        d.error = "invalid_grant";
        d.why = found.of.ended;
        return d;
    }
    if (found.what == refresh_tokens::standing::used) {
        used_again();
        return d;
    }
    const auto r = record(d);
    if (!r || !alive(d, *r)) return d;
    const auto resources = what.resources.empty() ? found.of.resources : what.resources;
    const auto entries = entries_for(r->entries, resources);
    if (entries.empty() || !all_in(resources, found.of.resources)) {
        invalid(d.error, d.why, "invalid_target", "the grant does not cover it");
        return d;
    }
    // The look that decides is the one before the token is used up: a suspension that it does not
    // see yet finds the next token in the client's hands, and denies there.
    bool denied = false;
    const auto next = refresh_.rotate(presented, seconds_now(), [&] {
        denied = refuse(d, receiver_.missions().check(d.mission));
        return !denied;
    });
    if (denied) return d;
    if (!next) {
        used_again();
        return d;
    }
    give(d, *r, entries, r->expires, *next);
    return d;
}

token_endpoint::decision token_endpoint::from_exchange(const httplib::Request& request,
                                                       const asked& what) {
    // RFC 8693 section 2.2.2: what is wrong with a token is invalid_request.
    decision d{.action = "token.exchange", .client = what.client};
    const auto wanted = request.get_param_value("requested_token_type");
    if (request.has_param("actor_token") ||
        request.get_param_value("subject_token_type") != access_token_type ||
        (!wanted.empty() && wanted != access_token_type)) {
        invalid(d.error, d.why, "invalid_request",
                "an access token for an access token, without an actor");
        return d;
    }
    const auto claims = key_.verify(request.get_param_value("subject_token"), "at+jwt");
    const auto mission = claims ? claims->FindMember("mission") : rj::Value::ConstMemberIterator();
    const auto held =
        claims ? claims->FindMember("authorization_details") : rj::Value::ConstMemberIterator();
    if (!claims || mission == claims->MemberEnd() || !mission->value.IsObject() ||
        held == claims->MemberEnd() || text_member(*claims, "iss") != settings_.issuer ||
        text_member(*claims, "client_id") != what.client ||
        int_member(*claims, "exp", 0) <= seconds_now()) {
        invalid(d.error, d.why, "invalid_request", "subject_token is not good");
        return d;
    }
    d.mission = text_member(mission->value, "id");
    const auto r = permitted(d) ? record(d) : std::nullopt;
    if (!r || !alive(d, *r)) return d;
    auto wanted_resources = what.resources;
    for (std::size_t n = 0; n < request.get_param_value_count("audience"); ++n)
        wanted_resources.push_back(request.get_param_value("audience", n));
    // Only what was in the token, and of that only what is still in force.
    auto entries = within(entries_of(held->value), r->entries);
    if (!wanted_resources.empty()) entries = entries_for(entries, wanted_resources);
    const bool all =
        std::all_of(wanted_resources.begin(), wanted_resources.end(), [&](const std::string& w) {
            return std::any_of(entries.begin(), entries.end(),
                               [&](const auto& e) { return e.resource == w; });
        });
    if (entries.empty() || !all) {
        invalid(d.error, d.why, "invalid_target", "the token's authority does not cover it");
        return d;
    }
    // Narrower, never longer.
    give(d, *r, entries, int_member(*claims, "exp", 0), {});
    return d;
}

}  // namespace sample
