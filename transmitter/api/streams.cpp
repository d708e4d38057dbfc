// POST, GET and DELETE /ssf/streams (SSF 1.0 section 8.1.1); update_stream.cpp has PATCH and PUT.
#include "transmitter/streams/config.hpp"

#include <memory>

#include "jose/digest.hpp"
#include "transmitter/api/ssf_routes.hpp"

namespace mission::transmitter {

namespace {

void create_stream(issuer_service& issuer, delivery& out, const principal& who,
                   const net::egress_policy& egress, const net::http_request& request,
                   const net::responder& respond) {
    // SSF 1.0 lets every member out: no body asks for a poll stream without events.
    json::document nothing;
    nothing.SetObject();
    auto body = has_body(request) ? checked_body(request, "stream-create")
                                  : result<json::document>(std::move(nothing));
    if (!body) return respond(error_answer(body.error()));
    const auto wanted = parse_create(*body, egress);
    if (!wanted) return respond(error_answer(wanted.error()));

    service& common = *issuer.common;
    const std::string stream_id = jose::random_id(16, *common.random);
    std::string sealed;
    if (!wanted->authorization_header.empty()) {
        sealed = jose::seal(common.settings.secrets_key, authorization_context(stream_id),
                            wanted->authorization_header, *common.random);
    }
    struct outcome {
        new_stream wanted;
        store::changes changes;  // of the run that was committed
    };
    auto made = std::make_shared<outcome>();
    made->wanted =
        make_stream(*wanted, *who.client, issuer, stream_id, std::move(sealed), common.time->now());
    common.db->submit(
        [made, limit = common.settings.ssf.streams_per_receiver](
            const store::rows& rows, wall_time) -> result<store::changes> {
            auto changes = create_decision(made->wanted, limit, rows);
            if (changes) made->changes = *changes;
            return changes;
        },
        [made, respond, &issuer, &out, client = who.client](result<store::receipt> receipt) {
            if (!receipt) return respond(error_answer(receipt.error()));
            store::stream s = made->wanted.row;
            s.row = receipt->streams.front();
            store::stream_epoch epoch = made->changes.epochs.front();
            epoch.stream = s.row;
            store::cursor cursor = made->changes.cursors.front();
            cursor.stream = s.row;
            const std::string answer = to_json(s, epoch, *client, issuer);
            log(level::info, "stream created", {{"stream", s.stream_id}, {"client", s.client_id}});
            out.stream_added(std::move(s), {std::move(epoch)}, std::move(cursor));
            respond(json_answer(201, answer));
        });
}

void show_streams(issuer_service& issuer, delivery& out, const principal& who,
                  std::string stream_id, const net::responder& respond) {
    // Filled on the reader thread, read after it in the completion.
    auto text = std::make_shared<std::string>();
    auto heard_of = std::make_shared<std::vector<store::stream_row>>();
    const client_config* client = who.client;
    issuer.common->db->read(
        [text, heard_of, client, stream_id, &issuer](const store::rows& rows) {
            text->clear();
            heard_of->clear();
            const auto show = [&](const store::stream& s) {
                heard_of->push_back(s.row);
                const auto epochs = rows.epochs(s.row);
                return to_json(s, epochs.empty() ? store::stream_epoch{} : epochs.back(), *client,
                               issuer);
            };
            if (!stream_id.empty()) {
                const auto s = rows.find_stream(issuer.id, stream_id);
                if (s && s->client_id == client->id) *text = show(*s);
                return;
            }
            *text = '[';
            for (const auto& s : rows.streams(issuer.id, client->id)) {
                if (text->size() > 1) *text += ',';
                *text += show(s);
            }
            *text += ']';
        },
        [text, heard_of, &out, respond](const result<void>& read) {
            if (!read) return respond(error_answer(read.error()));
            for (const auto row : *heard_of)
                out.touched(row);
            if (text->empty()) return respond(error_answer({errc::stream_not_found}));
            respond(json_answer(200, *text));
        });
}

void delete_stream(issuer_service& issuer, delivery& out, const delivery::stream_ref& stream,
                   const std::string& stream_id, const net::responder& respond) {
    issuer.common->db->submit(
        [id = issuer.id, stream, stream_id](const store::rows& rows,
                                            wall_time) -> result<store::changes> {
            const auto present = rows.find_stream(id, stream_id);
            if (!present || present->row != stream.row) return error{errc::stream_not_found};
            store::changes changes;
            changes.removed_streams.push_back(stream.row);
            return changes;
        },
        [&out, stream, stream_id, respond](const result<store::receipt>& receipt) {
            if (!receipt) return respond(error_answer(receipt.error()));
            log(level::info, "stream deleted",
                {{"stream", stream_id}, {"client", stream.client_id}});
            out.stream_removed(stream.row);
            respond(empty_answer(204));
        });
}

}  // namespace

result<delivery::stream_ref> own_stream(delivery& out, const principal& who,
                                        std::string_view stream_id) {
    auto found = out.find_stream(stream_id);
    if (!found || found->client_id != who.client->id) return error{errc::stream_not_found};
    out.touched(found->row);
    return std::move(*found);
}

result<std::string> stream_id_of(const net::http_request& request) {
    const auto query = query_of(request);
    if (!query) return query.error();
    for (const auto& [name, text] : *query) {
        if (name == "stream_id") return text;
    }
    return std::string{};
}

void add_stream_routes(router& r, issuer_service& issuer, authenticator& auth, delivery& out) {
    // An entry of push.allow that cannot be read is a fault of the configuration: found at start.
    auto policy = net::egress_policy::parse(issuer.common->settings.push.allow);
    auto egress = std::make_shared<const net::egress_policy>(std::move(policy).value());

    r.add("POST", "/ssf/streams",
          [&issuer, &auth, &out, egress](net::http_request request, std::string,
                                         net::responder respond) {
              const auto who = auth.bearer_with(request, {"ssf.manage"});
              if (!who) return respond(error_answer(who.error()));
              create_stream(issuer, out, *who, *egress, request, respond);
          });
    r.add("GET", "/ssf/streams",
          [&issuer, &auth, &out](net::http_request request, std::string, net::responder respond) {
              const auto who = auth.bearer_with(request, {"ssf.read", "ssf.manage"});
              if (!who) return respond(error_answer(who.error()));
              auto id = stream_id_of(request);
              if (!id) return respond(error_answer(id.error()));
              show_streams(issuer, out, *who, std::move(*id), respond);
          });
    r.add("DELETE", "/ssf/streams",
          [&issuer, &auth, &out](net::http_request request, std::string, net::responder respond) {
              const auto who = auth.bearer_with(request, {"ssf.manage"});
              if (!who) return respond(error_answer(who.error()));
              const auto id = stream_id_of(request);
              if (!id) return respond(error_answer(id.error()));
              if (id->empty()) {
                  return respond(error_answer({errc::invalid_request, "stream_id is required"}));
              }
              const auto stream = own_stream(out, *who, *id);
              if (!stream) return respond(error_answer(stream.error()));
              delete_stream(issuer, out, *stream, *id, respond);
          });
    add_update_routes(r, issuer, auth, out, egress);
    add_status_routes(r, issuer, auth, out);
    add_subject_routes(r, issuer, auth, out);
    add_poll_route(r, auth, out);
    add_verify_route(r, issuer, auth, out);
    add_signal_route(r, issuer, auth);
}

}  // namespace mission::transmitter
