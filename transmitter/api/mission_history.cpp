#include "transmitter/api/mission_history.hpp"

#include <charconv>

#include "transmitter/api/mission_evidence.hpp"
#include "transmitter/missions/visibility.hpp"

namespace mission::transmitter {
namespace {

constexpr std::size_t default_limit = 100;
// Versions that are looked at to find out what bound a mission at a moment, written later: more
// than a family's effects of one moment.
constexpr std::size_t late_versions = 1000;

error invalid(std::string what) {
    return {errc::invalid_request, std::move(what)};
}

// The mission as it stood with that version.
store::mission as_of(store::mission m, const store::mission_version& v) {
    auto& s = m.state;
    s.state = v.state;
    s.version = v.version;
    s.authority_revision = v.authority_revision;
    s.expires_at = v.expires_at;
    s.suspend_until = v.suspend_until;
    s.on_expiry = v.on_expiry;
    s.successor = v.successor;
    s.reason = v.reason;
    s.changed_at = v.committed_at;
    s.parent_hold = s.own_hold = false;  // not kept with versions
    return m;
}

// The last version whose cause was there at `at`, although it was written later: a parent's end
// binds its children from its own moment on. nullopt: none.
std::optional<store::mission_version> bound_later(const store::rows& rows,
                                                  const store::mission_version& v, wall_time at) {
    std::optional<store::mission_version> out;
    for (auto& later : rows.versions(v.mission, v.version, late_versions)) {
        if (later.bound_at > at) break;
        out = std::move(later);
    }
    return out;
}

bool active_at(const store::mission_version& v, wall_time at) {
    return v.state == events::mission_state::active && at < v.expires_at;
}

result<std::string> render_at(const issuer_service& issuer, const client_config& client,
                              store::mission_row row, wall_time at, const store::rows& rows) {
    auto present = rows.find_mission(row);
    const auto v = rows.version_at(row, at);
    if (!present || !v) return error{errc::mission_not_found};
    const bool whole = sees_whole(client, *present);
    const auto view = view_of(rows, as_of(std::move(*present), *v));
    const auto later = bound_later(rows, *v, at);
    json::buffer buffer;
    json::writer w(buffer);
    w.StartObject();
    json::member(w, "at", to_rfc3339(at));
    json::key(w, "active");
    w.Bool(active_at(*v, at) && (!later || active_at(*later, at)));
    if (later) {
        json::key(w, "bound");
        w.StartObject();
        json::member(w, "state", events::name(later->state));
        json::key(w, "version");
        w.Int64(later->version);
        json::member(w, "bound_at", to_rfc3339(later->bound_at));
        w.EndObject();
    }
    if (whole) write_author(w, "by", rows, *v);
    w.EndObject();
    const auto members = json::text(buffer);
    return with_members(render_mission(view, issuer, client),
                        std::string_view(members).substr(1, members.size() - 2));
}

struct history_request {
    std::string mission_id;
    std::int64_t after = 0;
    std::size_t limit = default_limit;
};

result<history_request> read_history_request(const net::http_request& http,
                                             std::string mission_id) {
    const auto query = query_of(http);
    if (!query) return query.error();
    history_request out;
    for (const auto& [name, value] : *query) {
        const auto* begin = value.data();
        const auto* end = value.data() + value.size();
        if (name == "cursor") {
            const auto [stop, failed] = std::from_chars(begin, end, out.after);
            if (failed != std::errc{} || stop != end || out.after < 0)
                return invalid("cursor: must be a version");
        } else if (name == "limit") {
            const auto [stop, failed] = std::from_chars(begin, end, out.limit);
            if (failed != std::errc{} || stop != end || out.limit == 0 ||
                out.limit > limits::list_page)
                return invalid("limit: must be between 1 and 1000");
        }
    }
    if (!events::valid_mission_id(mission_id)) return invalid("mission_id: not a mission id");
    out.mission_id = std::move(mission_id);
    return out;
}

void write_version(json::writer& w, const store::rows& rows, const issuer_service& issuer,
                   const client_config& client, bool whole, const store::mission_version& v) {
    w.StartObject();
    json::key(w, "version");
    w.Int64(v.version);
    json::member(w, "state", events::name(v.state));
    json::member(w, "committed_at", to_rfc3339(v.committed_at));
    if (v.bound_at < v.committed_at) json::member(w, "bound_at", to_rfc3339(v.bound_at));
    json::member(w, "expires_at", to_rfc3339(v.expires_at));
    if (v.suspend_until) json::member(w, "suspend_until", to_rfc3339(*v.suspend_until));
    if (v.on_expiry) json::member(w, "on_expiry", events::name(*v.on_expiry));
    if (v.successor)
        if (const auto named = rows.find_mission(issuer.id, *v.successor);
            named && may_know(client, keys_of(*named)))
            json::member(w, "successor", *v.successor);
    if (v.reason && (whole || discloses(client, "reason"))) json::member(w, "reason", *v.reason);
    if (whole) {
        json::key(w, "authority_revision");
        w.Int64(v.authority_revision);
        write_author(w, "by", rows, v);
    }
    w.EndObject();
}

std::string render_history(const issuer_service& issuer, const client_config& client,
                           const store::mission& m, const history_request& request,
                           const store::rows& rows) {
    const bool whole = sees_whole(client, m);
    json::buffer buffer;
    json::writer w(buffer);
    w.StartObject();
    json::member(w, "mission_id", m.record.mission_id);
    json::key(w, "versions");
    w.StartArray();
    const auto found = rows.versions(m.state.row, request.after, request.limit + 1);
    for (std::size_t i = 0; i < found.size() && i < request.limit; ++i)
        write_version(w, rows, issuer, client, whole, found[i]);
    w.EndArray();
    if (found.size() > request.limit)
        json::member(w, "next_cursor", std::to_string(found[request.limit - 1].version));
    w.EndObject();
    return json::text(buffer);
}

// Settles the mission, asks whether the client may know it, and answers what `render` makes of one
// snapshot.
void answer_from(
    issuer_service& issuer, const client_config& client, std::string mission_id,
    std::function<result<std::string>(const store::rows&, const store::mission&)> render,
    const net::responder& respond) {
    load_mission(issuer, std::move(mission_id),
                 [&issuer, &client, render = std::move(render), respond](result<mission_view> v) {
                     if (v && !may_know(client, keys_of(v->mission)))
                         v = error{errc::mission_not_found};
                     if (!v) return respond(error_answer(v.error()));
                     auto text = std::make_shared<result<std::string>>(error{errc::unavailable});
                     auto shown = std::make_shared<mission_view>(std::move(*v));
                     issuer.common->db->read(
                         [text, shown, render](const store::rows& rows) {
                             *text = render(rows, shown->mission);
                         },
                         [text, respond](const result<void>& read) {
                             if (!read) return respond(error_answer(read.error()));
                             respond(*text ? json_answer(200, std::move(**text))
                                           : error_answer(text->error()));
                         });
                 });
}

}  // namespace

std::string with_members(std::string object, std::string_view members) {
    if (members.empty()) return object;
    object.pop_back();
    if (!object.ends_with('{')) object += ',';
    return object.append(members).append("}");
}

void load_details(issuer_service& issuer, const client_config& client, const store::mission& m,
                  std::function<void(result<mission_details>)> done) {
    if (!sees_whole(client, m) && !events::is_terminal(m.state.state))
        return done(mission_details{});
    auto text = std::make_shared<mission_details>();
    issuer.common->db->read(
        [text, &client, m](const store::rows& rows) { *text = details_of(rows, client, m); },
        [text, done = std::move(done)](const result<void>& read) {
            if (!read) return done(read.error());
            done(std::move(*text));
        });
}

void answer_at(issuer_service& issuer, const client_config& client, std::string mission_id,
               std::string_view at, net::responder respond) {
    const auto moment = from_rfc3339(at);
    if (!moment) return respond(error_answer(invalid("at: not an RFC 3339 date-time")));
    if (*moment > issuer.common->time->now())
        return respond(error_answer(invalid("at: lies in the future")));
    answer_from(
        issuer, client, std::move(mission_id),
        [&issuer, &client, moment = *moment](const store::rows& rows, const store::mission& m) {
            return render_at(issuer, client, m.state.row, moment, rows);
        },
        respond);
}

void add_history_route(router& r, issuer_service& issuer, authenticator& auth) {
    r.add("GET", "/missions/*/history",
          [&issuer, &auth](net::http_request http, std::string id, net::responder respond) {
              const auto who = auth.bearer_with(http, {"mission.read"});
              if (!who) return respond(error_answer(who.error()));
              auto request = read_history_request(http, std::move(id));
              if (!request) return respond(error_answer(request.error()));
              const auto& client = *who->client;
              auto mission_id = request->mission_id;
              answer_from(
                  issuer, client, std::move(mission_id),
                  [&issuer, &client, request = std::move(*request)](
                      const store::rows& rows, const store::mission& m) -> result<std::string> {
                      return render_history(issuer, client, m, request, rows);
                  },
                  respond);
          });
}

}  // namespace mission::transmitter
