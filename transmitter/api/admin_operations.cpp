// POST /admin/streams/{stream_id}/pause, /enable and /replay: what operators do to a stream.
#include <algorithm>
#include <memory>
#include <optional>

#include "events/mission_event.hpp"
#include "transmitter/api/audit_notes.hpp"
#include "transmitter/api/ssf_routes.hpp"

namespace mission::transmitter {

namespace {

// Which signals are to go again, as it was asked.
struct replay_wish {
    std::optional<wall_time> since;
    std::optional<store::seq_t> from_seq;
    std::string mission_id, signal_id;
};

error invalid(std::string what) {
    return {errc::invalid_request, std::move(what)};
}

result<replay_wish> parse_replay(const json::value& body) {
    if (!body.IsObject()) return invalid("the body must be an object");
    replay_wish out;
    int given = 0;
    if (const json::value* v = json::find(body, "since"); v != nullptr) {
        ++given;
        const auto at = from_rfc3339(v->IsString() ? json::view(*v) : std::string_view{});
        if (!at) return invalid("since: not an RFC 3339 date-time");
        out.since = *at;
    }
    if (const json::value* v = json::find(body, "from_seq"); v != nullptr) {
        ++given;
        if (!v->IsInt64() || v->GetInt64() < 1) return invalid("from_seq: must be 1 or more");
        out.from_seq = v->GetInt64();
    }
    if (json::find(body, "mission_id") != nullptr) {
        ++given;
        out.mission_id = json::find_string(body, "mission_id").value_or("");
        if (!events::valid_mission_id(out.mission_id))
            return invalid("mission_id: not a mission id");
    }
    if (json::find(body, "signal_id") != nullptr) {
        ++given;
        out.signal_id = json::find_string(body, "signal_id").value_or("");
        if (out.signal_id.empty()) return invalid("signal_id: must be a string");
    }
    if (given != 1) return invalid("exactly one of since, from_seq, mission_id and signal_id");
    return out;
}

// The first seq committed at or after `at`; head + 1 when there is none. Commits are in order of
// time, so halving finds it with a few reads, however long the log is.
store::seq_t first_since(const store::rows& rows, wall_time at) {
    store::seq_t low = rows.tail(), high = rows.head() + 1;
    while (low < high) {
        const auto middle = low + (high - low) / 2;
        const auto found = rows.signals(middle - 1, middle, 1);
        if (!found.empty() && found.front().committed_at >= at)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

result<delivery::replay_request> resolve(const replay_wish& wish, store::issuer_id issuer,
                                         const store::rows& rows) {
    delivery::replay_request out;
    if (wish.since) {
        out.from = first_since(rows, *wish.since);
    } else if (wish.from_seq) {
        out.from = std::max(*wish.from_seq, rows.tail());
    } else if (!wish.mission_id.empty()) {
        const auto m = rows.find_mission(issuer, wish.mission_id);
        if (!m) return error{errc::mission_not_found};
        for (const auto& s : rows.mission_signals(m->record.row))
            out.only.push_back(s.seq);
    } else {
        const auto s = rows.find_signal(issuer, wish.signal_id);
        if (!s) return error{errc::not_found};
        out.only.push_back(s->seq);
    }
    return out;
}

// What was asked, for the audit.
std::string text_of(const replay_wish& wish) {
    return audit_members({{"since", wish.since ? to_rfc3339(*wish.since) : std::string()},
                          {"from_seq", wish.from_seq ? std::to_string(*wish.from_seq) : ""},
                          {"mission_id", wish.mission_id},
                          {"signal_id", wish.signal_id}});
}

void replay(issuer_service& issuer, delivery& out, store::stream_row row, replay_wish wish,
            const net::responder& respond, store::audit_entry by) {
    by.detail = text_of(wish);
    auto what = std::make_shared<result<delivery::replay_request>>(error{errc::not_found});
    issuer.common->db->read(
        [what, wish = std::move(wish), id = issuer.id](const store::rows& rows) {
            *what = resolve(wish, id, rows);
        },
        [what, &issuer, &out, row, respond, by = std::move(by)](const result<void>& read) {
            if (!read) return respond(error_answer(read.error()));
            if (!*what) return respond(error_answer(what->error()));
            out.replay(row, **what, [&issuer, respond, by](const result<std::size_t>& done) {
                if (!done) return respond(error_answer(done.error()));
                respond(json_answer(200, R"({"replayed":)" + std::to_string(*done) + "}"));
                auto entry = by;
                entry.outcome = "done";
                write_note(issuer, std::move(entry));
            });
        });
}

// The body of an operator's request; there need not be one.
result<json::document> operator_body(const net::http_request& request, std::string_view schema) {
    if (!has_body(request)) {
        json::document nothing;
        nothing.SetObject();
        return nothing;
    }
    return checked_body(request, schema);
}

}  // namespace

void add_admin_operation_routes(router& r, issuer_service& issuer, authenticator& auth,
                                delivery& out) {
    for (const auto status : {store::stream_status::paused, store::stream_status::enabled}) {
        const bool pause = status == store::stream_status::paused;
        r.add("POST", pause ? "/admin/streams/*/pause" : "/admin/streams/*/enable",
              [&issuer, &auth, &out, status](net::http_request request, std::string id,
                                             net::responder respond) {
                  const auto who = auth.bearer_with(request, {"ssf.admin"});
                  if (!who) return respond(error_answer(who.error()));
                  const auto body = operator_body(request, "admin-status");
                  if (!body) return respond(error_answer(body.error()));
                  auto reason = parse_reason(*body);
                  if (!reason) return respond(error_answer(reason.error()));
                  const auto stream = out.find_stream(id);
                  if (!stream) return respond(error_answer({errc::stream_not_found}));
                  const bool pausing = status == store::stream_status::paused;
                  change_status(issuer, out, stream->row, {id, status, *reason},
                                status_actor::operator_, respond,
                                audit_note(audited(issuer, *who, request),
                                           pausing ? "stream.pause" : "stream.enable", id, {},
                                           audit_members({{"reason", *reason}})));
              });
    }
    r.add(
        "POST", "/admin/streams/*/replay",
        [&issuer, &auth, &out](net::http_request request, std::string id, net::responder respond) {
            const auto who = auth.bearer_with(request, {"ssf.admin"});
            if (!who) return respond(error_answer(who.error()));
            const auto body = checked_body(request, "admin-replay");
            if (!body) return respond(error_answer(body.error()));
            auto wish = parse_replay(*body);
            if (!wish) return respond(error_answer(wish.error()));
            const auto stream = out.find_stream(id);
            if (!stream) return respond(error_answer({errc::stream_not_found}));
            replay(issuer, out, stream->row, std::move(*wish), respond,
                   audit_note(audited(issuer, *who, request), "stream.replay", id, {}));
        });
}

}  // namespace mission::transmitter
