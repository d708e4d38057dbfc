#include "receiver/teardown/report.hpp"

#include <algorithm>

#include "base/json.hpp"
#include "base/limits.hpp"
#include "jose/jws.hpp"
#include "net/http.hpp"
#include "receiver/words.hpp"

namespace mission::receiver {
namespace {

constexpr std::size_t evidence_shown = 160;
constexpr std::size_t name_shown = 120;

std::string cut(std::string text, std::size_t most) {
    if (text.size() > most) text = text.substr(0, most) + "...";
    return text;
}

// "released": gone by other means, as the host says. What was not tried yet is unknown.
std::string_view outcome_of(const task_record& t) {
    return t.cancelled ? std::string_view("released") : ms::name(t.last);
}

void write_task(json::writer& w, const task_record& t) {
    w.StartObject();
    json::member(w, "handler", cut(peer_words(t.handler), name_shown));
    if (!t.name.empty()) json::member(w, "name", cut(peer_words(t.name), name_shown));
    json::member(w, "outcome", outcome_of(t));
    json::key(w, "attempts");
    w.Uint(t.attempts);
    json::member(w, "at", to_rfc3339(t.updated));
    // One line without anything that looks like a token: a handler may have quoted one.
    if (!t.evidence.empty())
        json::member(w, "evidence", cut(peer_words(t.evidence), evidence_shown));
    w.EndObject();
}

void write_detail(json::writer& w, const teardown_account& a, wall_time now, std::size_t named) {
    w.StartObject();
    json::key(w, "version");
    w.Int64(a.version);
    json::member(w, "effect", ms::name(a.why));
    json::key(w, "complete");
    w.Bool(a.complete());
    json::member(w, "since", to_rfc3339(a.since));
    json::member(w, "at", to_rfc3339(now));
    for (const auto& [name, count] :
         {std::pair{"total", a.total()}, std::pair{"acknowledged", a.acknowledged},
          std::pair{"released", a.released}, std::pair{"unconfirmed", a.open}}) {
        json::key(w, name);
        w.Uint64(count);
    }
    json::key(w, "tasks");
    w.StartArray();
    for (std::size_t n = 0; n < named; ++n)
        write_task(w, a.named[n]);
    w.EndArray();
    json::key(w, "not_listed");
    w.Uint64(a.total() - std::min(a.total(), named));
    w.EndObject();
}

}  // namespace

std::string report_detail(const teardown_account& a, wall_time now) {
    for (auto named = a.named.size();; --named) {
        json::buffer b;
        json::writer w(b);
        write_detail(w, a, now, named);
        auto text = json::text(b);
        if (text.size() <= limits::report_detail_bytes || named == 0) return text;
    }
}

result<report_record> make_report(const teardown_account& a, const report_author& by,
                                  const std::string& transmitter, wall_time now,
                                  const std::string& random) {
    const auto detail = report_detail(a, now);
    json::buffer claims;
    json::writer c(claims);
    c.StartObject();
    json::member(c, "iss", by.client_id);
    json::member(c, "sub", by.client_id);
    json::member(c, "aud", transmitter);
    json::key(c, "iat");
    c.Int64(to_milliseconds(now) / 1000);
    json::member(c, "jti", random);
    json::member(c, "mission_id", a.mission.id);
    json::member(c, "kind", "teardown");
    json::key(c, "detail");
    json::raw(c, detail);
    c.EndObject();
    const auto evidence = jose::sign_compact(by.key, report_typ, json::text(claims));
    if (evidence.has_error()) return evidence.error();

    json::buffer body;
    json::writer w(body);
    w.StartObject();
    json::member(w, "kind", "teardown");
    json::key(w, "detail");
    json::raw(w, detail);
    json::member(w, "evidence", *evidence);
    w.EndObject();
    return report_record{a.mission, a.version, a.complete(), false, random, json::text(body), now};
}

std::string report_url(std::string_view reports_url, std::string_view issuer,
                       std::string_view mission_id) {
    constexpr std::string_view place = "{mission_id}";
    const auto id = net::percent_encode(mission_id);
    if (reports_url.empty()) {
        while (issuer.ends_with('/'))
            issuer.remove_suffix(1);
        return std::string(issuer) + "/missions/" + id + "/reports";
    }
    std::string out(reports_url);
    if (const auto at = out.find(place); at != std::string::npos) out.replace(at, place.size(), id);
    return out;
}

report_fate fate_of(int status, std::string_view body) {
    switch (status) {
        case 200:
        case 201:
        case 202:
        case 204:
            return report_fate::sent;
        case 400:  // its form
        case 409:  // as many reports as are kept
        case 410:
        case 413:
        case 415:
        case 422:
            return report_fate::refused;
        case 403:
            return report_fate::forbidden;
        case 404: {
            // Only its own word about the mission is about the mission.
            const auto said = json::parse(body, limits::json_bytes);
            const bool of_mission = said.has_value() && json::find_string(*said, "error") ==
                                                            std::string_view("not_found");
            return of_mission ? report_fate::refused : report_fate::absent;
        }
        case 405:
        case 501:
            return report_fate::absent;
        default:
            return report_fate::later;
    }
}

}  // namespace mission::receiver
