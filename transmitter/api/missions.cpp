#include <charconv>

#include "jose/base64url.hpp"
#include "jose/digest.hpp"
#include "transmitter/api/mission_history.hpp"
#include "transmitter/api/mission_views.hpp"
#include "transmitter/api/report_routes.hpp"
#include "transmitter/missions/visibility.hpp"

// GET /missions/{id} and GET /missions (wire.md section 4): bearer, mission.read, the visibility
// rule.

namespace mission::transmitter {
namespace {

constexpr std::size_t default_limit = 100;
// Rows looked at for one page: a client that may know few of many gets short pages and a cursor.
constexpr std::size_t rows_per_page = 5000;

using fields = std::vector<std::pair<std::string, std::string>>;

std::string cursor_context(const client_config& client) {
    return "missions cursor " + client.id;
}

// Row numbers never cross the wire: a cursor is sealed, and another client's is none.
std::string seal_cursor(const issuer_service& issuer, const client_config& client,
                        store::mission_row row) {
    return jose::base64url_encode(
        jose::seal(issuer.common->settings.secrets_key, cursor_context(client),
                   std::to_string(static_cast<std::int64_t>(row)), *issuer.common->random));
}

result<store::mission_row> open_cursor(const issuer_service& issuer, const client_config& client,
                                       std::string_view text) {
    const error wrong{errc::invalid_request, "cursor: not one of this list"};
    const auto sealed = jose::base64url_decode(text);
    if (!sealed) return wrong;
    const auto plain =
        jose::open_sealed(issuer.common->settings.secrets_key, cursor_context(client), *sealed);
    if (!plain) return wrong;
    std::int64_t row = 0;
    const auto [end, failed] = std::from_chars(plain->data(), plain->data() + plain->size(), row);
    if (failed != std::errc{} || end != plain->data() + plain->size()) return wrong;
    return store::mission_row{row};
}

result<store::mission_filter> filter_of(const issuer_service& issuer, const client_config& client,
                                        const fields& query) {
    store::mission_filter f;
    f.limit = default_limit;
    for (const auto& [name, value] : query) {
        if (name == "state") {
            const auto state = events::parse_state(value);
            if (!state) return error{errc::invalid_request, "state: no such state"};
            f.states.push_back(*state);
        } else if (name == "agent") {
            f.agent_client_id = value;
        } else if (name == "tenant") {
            f.tenant = value;
        } else if (name == "parent") {
            f.parent = value;
        } else if (name == "cursor") {
            const auto row = open_cursor(issuer, client, value);
            if (!row) return row.error();
            f.after = *row;
        } else if (name == "limit") {
            std::size_t limit = 0;
            const auto [end, failed] =
                std::from_chars(value.data(), value.data() + value.size(), limit);
            if (failed != std::errc{} || end != value.data() + value.size() || limit == 0 ||
                limit > limits::list_page)
                return error{errc::invalid_request, "limit: must be between 1 and 1000"};
            f.limit = limit;
        }
    }
    return f;
}

struct page {
    std::vector<mission_view> missions;
    std::optional<store::mission_row> next;  // there is more beyond this row
    std::vector<store::mission_row> due;     // past a deadline: to be written before they are shown
};

// Reads until `limit` missions that the client may know have been found.
page read_page(const store::rows& rows, const issuer_service& issuer, const client_config& client,
               const store::mission_filter& filter, wall_time now, bool clock_ok) {
    page out;
    auto f = filter;
    std::size_t looked = 0;
    store::mission_row last{};  // of the missions on the page
    for (;;) {
        f.limit = limits::list_page;
        const auto found = rows.list_missions(issuer.id, f);
        for (const auto& m : found) {
            f.after = m.state.row;
            ++looked;
            if (!may_know(client, keys_of(m))) continue;
            // A filter by what is not disclosed would tell it to whoever guesses.
            const bool asks_hidden =
                (filter.tenant && !discloses(client, "tenant")) || filter.parent;
            if (asks_hidden && !sees_whole(client, m)) continue;
            if (out.missions.size() == filter.limit) {
                out.next = last;
                return out;
            }
            last = m.state.row;
            if (is_pending(rows, m.state, now, clock_ok)) out.due.push_back(m.state.row);
            out.missions.push_back(view_of(rows, m));
        }
        if (found.size() < f.limit) return out;
        if (looked >= rows_per_page) {
            out.next = f.after;
            return out;
        }
    }
}

std::string render_page(const page& p, const issuer_service& issuer, const client_config& client) {
    json::buffer buffer;
    json::writer w(buffer);
    w.StartObject();
    json::key(w, "missions");
    w.StartArray();
    for (const auto& v : p.missions)
        json::raw(w, render_mission(v, issuer, client));
    w.EndArray();
    if (p.next) json::member(w, "next_cursor", seal_cursor(issuer, client, *p.next));
    w.EndObject();
    return json::text(buffer);
}

void list(issuer_service& issuer, const client_config& client, store::mission_filter filter,
          int left, net::responder respond) {
    auto found = std::make_shared<page>();
    const auto now = issuer.common->time->now();
    const bool clock_ok = clock_trusted(*issuer.common);
    issuer.common->db->read(
        [found, &issuer, &client, filter, now, clock_ok](const store::rows& rows) {
            *found = read_page(rows, issuer, client, filter, now, clock_ok);
        },
        [found, &issuer, &client, filter, left, clock_ok, respond](result<void> done) {
            if (!done) return respond(error_answer(done.error()));
            if (found->due.empty())
                return respond(json_answer(200, render_page(*found, issuer, client)));
            if (left == 0) return respond(error_answer(errc::unavailable));
            issuer.common->db->submit(
                [&issuer, due = found->due, clock_ok, txn = new_txn(issuer)](
                    const store::rows& rows, wall_time at) -> result<store::changes> {
                    settlement s(rows, context_of(issuer, rows, txn, at), clock_ok);
                    for (const auto row : due)
                        s.settle(row);
                    return s.take();
                },
                [&issuer, &client, filter, left, respond](result<store::receipt> written) {
                    if (!written) return respond(error_answer(written.error()));
                    list(issuer, client, filter, left - 1, respond);
                });
        });
}

// Who sees the whole of it is told who has heard of which version as well.
void show_one(issuer_service& issuer, const client_config& client, delivery& out,
              const std::shared_ptr<mission_view>& shown, mission_details details,
              const net::responder& respond) {
    if (!sees_whole(client, shown->mission))
        return respond(json_answer(
            200, with_members(render_mission(*shown, issuer, client), details.members)));
    out.acked_versions(
        shown->mission, [&issuer, &client, shown, details = std::move(details),
                         respond](result<std::vector<delivery::acked_version>> acked) {
            if (!acked) return respond(error_answer(acked.error()));
            const streams_heard heard{*acked, details.teardown};
            respond(json_answer(200, with_members(render_mission(*shown, issuer, client, &heard),
                                                  details.members)));
        });
}

void get_one(issuer_service& issuer, const client_config& client, delivery& out, std::string id,
             net::responder respond) {
    load_mission(issuer, std::move(id), [&issuer, &client, &out, respond](result<mission_view> v) {
        if (v && !may_know(client, keys_of(v->mission))) v = error{errc::mission_not_found};
        if (!v) return respond(error_answer(v.error()));
        auto shown = std::make_shared<mission_view>(std::move(*v));
        load_details(
            issuer, client, shown->mission,
            [&issuer, &client, &out, shown, respond](const result<mission_details>& details) {
                if (!details) return respond(error_answer(details.error()));
                show_one(issuer, client, out, shown, *details, respond);
            });
    });
}

}  // namespace

void add_mission_routes(router& r, issuer_service& issuer, authenticator& auth, delivery& out) {
    r.add("GET", "/missions/*",
          [&](net::http_request request, std::string id, net::responder respond) {
              const auto who = auth.bearer_with(request, {"mission.read"});
              if (!who) return respond(error_answer(who.error()));
              if (!events::valid_mission_id(id))
                  return respond(
                      error_answer({errc::invalid_request, "mission_id: not a mission id"}));
              const auto query = query_of(request);
              if (!query) return respond(error_answer(query.error()));
              if (has_field(*query, "at"))
                  return answer_at(issuer, *who->client, std::move(id), field(*query, "at"),
                                   std::move(respond));
              get_one(issuer, *who->client, out, std::move(id), std::move(respond));
          });
    r.add("GET", "/missions", [&](net::http_request request, std::string, net::responder respond) {
        const auto who = auth.bearer_with(request, {"mission.read"});
        if (!who) return respond(error_answer(who.error()));
        const auto query = query_of(request);
        if (!query) return respond(error_answer(query.error()));
        const auto filter = filter_of(issuer, *who->client, *query);
        if (!filter) return respond(error_answer(filter.error()));
        list(issuer, *who->client, *filter, 3, std::move(respond));
    });
    add_history_route(r, issuer, auth);
    add_report_routes(r, issuer, auth);
    add_create_mission_route(r, issuer, auth);
    add_scope_route(r, issuer, auth);
    add_transition_route(r, issuer, auth);
    add_status_route(r, issuer, auth);
    add_lifecycle_route(r, issuer, auth);
}

}  // namespace mission::transmitter
