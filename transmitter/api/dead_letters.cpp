// GET and DELETE /admin/streams/{stream_id}/dead: SETs that their receiver has refused for good.
#include <memory>

#include "transmitter/api/audit_notes.hpp"
#include "transmitter/api/ssf_routes.hpp"
#include "transmitter/delivery/emitted.hpp"

namespace mission::transmitter {

namespace {

void write_signal(json::writer& w, const store::signal& s) {
    json::member(w, "committed_at", to_rfc3339(s.committed_at));
    json::member(w, "txn", s.txn);
    if (s.kind == store::signal_kind::mission) {
        json::member(w, "mission_id", s.keys.mission_id);
        json::key(w, "version");
        w.Int64(s.version);
        return;
    }
    json::member(w, "signal_id", s.signal_id);
    if (const auto event = from_record_event(s.body)) json::member(w, "type", event->type);
}

std::string dead_json(const store::rows& rows, store::stream_row row) {
    json::buffer text;
    json::writer w(text);
    w.StartArray();
    for (const auto& e : rows.exceptions(row)) {
        if (!e.dead) continue;
        w.StartObject();
        json::key(w, "seq");
        w.Int64(e.seq);
        // Trimmed signals leave their dead letter behind: what it said is gone.
        if (const auto s = rows.signals(e.seq - 1, e.seq, 1); !s.empty())
            write_signal(w, s.front());
        json::member(w, "err", e.err);
        if (!e.description.empty()) json::member(w, "description", e.description);
        json::key(w, "attempts");
        w.Uint(e.attempts);
        json::member(w, "since", to_rfc3339(e.since));
        json::member(w, "last", to_rfc3339(e.last));
        w.EndObject();
    }
    w.EndArray();
    return json::text(text);
}

void forget_dead(issuer_service& issuer, const std::string& id, store::stream_row row,
                 const store::audit_entry& by, const net::responder& respond) {
    auto count = std::make_shared<std::size_t>(0);
    issuer.common->db->submit(
        [count, issuer_id = issuer.id, id, row, by](const store::rows& rows,
                                                    wall_time) -> result<store::changes> {
            *count = 0;
            const auto present = rows.find_stream(issuer_id, id);
            if (!present || present->row != row) return error{errc::stream_not_found};
            store::changes changes;
            for (const auto& e : rows.exceptions(row))
                if (e.dead) changes.settled_exceptions.emplace_back(row, e.seq);
            *count = changes.settled_exceptions.size();
            changes.audit.push_back(audit_note(by, "stream.forget_dead", id,
                                               *count ? "done" : "unchanged",
                                               audit_members({{"count", std::to_string(*count)}})));
            return changes;
        },
        [count, id, respond](const result<store::receipt>& receipt) {
            if (!receipt) return respond(error_answer(receipt.error()));
            log(level::info, "dead letters forgotten",
                {{"stream", id}, {"count", std::to_string(*count)}});
            respond(json_answer(200, R"({"deleted":)" + std::to_string(*count) + "}"));
        });
}

}  // namespace

void add_dead_letter_routes(router& r, issuer_service& issuer, authenticator& auth, delivery& out) {
    r.add(
        "GET", "/admin/streams/*/dead",
        [&issuer, &auth, &out](net::http_request request, std::string id, net::responder respond) {
            const auto who = auth.bearer_with(request, {"ssf.admin"});
            if (!who) return respond(error_answer(who.error()));
            const auto stream = out.find_stream(id);
            if (!stream) return respond(error_answer({errc::stream_not_found}));
            auto text = std::make_shared<std::string>();
            issuer.common->db->read(
                [text, row = stream->row](const store::rows& rows) {
                    *text = dead_json(rows, row);
                },
                [text, respond](const result<void>& read) {
                    respond(read ? json_answer(200, std::move(*text)) : error_answer(read.error()));
                });
        });
    r.add(
        "DELETE", "/admin/streams/*/dead",
        [&issuer, &auth, &out](net::http_request request, std::string id, net::responder respond) {
            const auto who = auth.bearer_with(request, {"ssf.admin"});
            if (!who) return respond(error_answer(who.error()));
            const auto stream = out.find_stream(id);
            if (!stream) return respond(error_answer({errc::stream_not_found}));
            forget_dead(issuer, id, stream->row, audited(issuer, *who, request), respond);
        });
}

}  // namespace mission::transmitter
