// Life of a receiver, its status, and what it is told: changes, events, push requests.
#include <algorithm>
#include <cstring>

#include "receiver/capi/handles.hpp"

using namespace mission::receiver::capi;

namespace {

// Ending a receiver from one of its own callbacks would wait for itself.
void not_from_a_callback(const ms_receiver* r) {
    if (inside_callback::of(r)) {
        refuse(MS_E_STATE, "not from a callback of the same receiver");
    }
}

ms_status status_of(const ms::status& s) {
    ms_status out{};
    out.size = sizeof(out);
    out.streaming = s.streaming ? 1 : 0;
    out.stream_id = s.stream_id.c_str();
    out.iss = s.iss.c_str();
    out.aud = s.aud.c_str();
    out.log_epoch = s.log_epoch.c_str();
    out.last_error = s.last_error.c_str();
    out.continuity = s.continuity;
    out.live_until_ms = ms_of(s.live_until);
    out.sets_received = s.sets_received;
    out.sets_rejected = s.sets_rejected;
    out.sets_duplicate = s.sets_duplicate;
    out.status_requests = s.status_requests;
    out.gaps = s.gaps;
    out.heartbeats = s.heartbeats;
    out.tasks_pending = s.tasks_pending;
    out.unknown_events = s.unknown_events;
    out.missions = s.missions;
    out.missions_evicted = s.missions_evicted;
    out.missions_refused = s.missions_refused;
    out.reports_sent = s.reports_sent;
    out.reports_pending = s.reports_pending;
    return out;
}

}  // namespace

ms_result ms_receiver_new(const ms_options* options, ms_receiver** out) {
    return guarded([&] {
        need(options, "options");
        *need(out, "out") = nullptr;
        auto made = std::make_unique<ms_receiver>();
        made->rx = ms::make_receiver(options->value);
        made->missions = &made->rx->missions();
        *out = made.release();
    });
}

ms_result ms_receiver_start(ms_receiver* receiver) {
    return guarded([&] {
        need(receiver, "receiver");
        // It is at home where it is started: it may have been made before a fork.
        receiver->home = mission::receiver::process_mark::of_this_process();
        receiver->rx->start();
    });
}

ms_result ms_receiver_wait_live(ms_receiver* receiver, int64_t timeout_ms) {
    return guarded([&] {
        if (!need_here(receiver).rx->wait_live(wait_of(timeout_ms))) {
            const auto why = receiver->rx->last_setup_problem();
            refuse(MS_E_TIMEOUT, why.empty() ? "the stream is not live yet" : why);
        }
    });
}

ms_result ms_receiver_stop(ms_receiver* receiver) {
    return guarded([&] {
        need(receiver, "receiver");
        not_from_a_callback(receiver);
        receiver->rx->stop();
    });
}

ms_result ms_receiver_free(ms_receiver* receiver) {
    return guarded([&] {
        if (receiver == nullptr) return;
        not_from_a_callback(receiver);
        delete receiver;
    });
}

size_t ms_receiver_problem(const ms_receiver* receiver, char* out, size_t capacity) {
    std::string why;
    if (guarded([&] { why = need_here(receiver).rx->last_setup_problem(); }) != MS_OK) {
        why = ms_error();
    }
    if (out != nullptr && capacity > 0) {
        const auto n = std::min(why.size(), capacity - 1);
        std::memcpy(out, why.data(), n);
        out[n] = '\0';
    }
    return why.size();
}

ms_result ms_status_get(const ms_receiver* receiver, ms_status_fn told, void* user) {
    return guarded([&] {
        need_here(receiver);
        need(told, "told");
        const auto now = receiver->rx->current_status();
        const auto s = status_of(now);
        told(user, &s);
    });
}

ms_result ms_on_change(ms_receiver* receiver, ms_change_fn told, void* user, ms_free_fn free_user) {
    return guarded([&] {
        const auto held = hold_user(user, free_user);
        need_here(receiver);
        need(told, "told");
        receiver->rx->on_change(
            [receiver, told, held](const ms::mission_view& v, ms::effect effect) {
                const inside_callback inside(receiver);
                const auto m = mission_of(v);
                told(held.get(), &m, effect_of(effect));
            });
    });
}

ms_result ms_on_event(ms_receiver* receiver, const char* name, const char* const* types,
                      size_t type_count, ms_event_fn handler, void* user, ms_free_fn free_user) {
    return guarded([&] {
        const auto held = hold_user(user, free_user);
        need_here(receiver);
        need(name, "name");
        need(handler, "handler");
        if (type_count > 0) need(types, "types");
        std::vector<std::string> wanted;
        for (std::size_t i = 0; i < type_count; ++i)
            wanted.emplace_back(need(types[i], "types[]"));
        receiver->rx->on_event(
            name, std::move(wanted),
            [receiver, handler, held](const ms::security_event& e) -> ms::outcome {
                const inside_callback inside(receiver);
                ms_event out{};
                out.size = sizeof(out);
                out.attempt = e.attempt;
                out.type = e.type.c_str();
                out.iss = e.iss.c_str();
                out.jti = e.jti.c_str();
                out.txn = e.txn.c_str();
                out.issued_at_ms = ms_of(e.issued_at);
                out.subject = e.subject.c_str();
                out.event = e.event.c_str();
                ms_outcome said;
                handler(held.get(), &out, &said);
                return std::move(said.value);
            });
    });
}

ms_result ms_handle_push(ms_receiver* receiver, const ms_push_request* request, ms_push_fn done,
                         void* user) {
    return guarded([&] {
        need_here(receiver);
        need(done, "done");
        const auto asked = take(request, "request", ms_push_request MS_PUSH_REQUEST_INIT);
        if (asked.body_length > 0) need(asked.body, "request->body");
        ms::push_request r;
        r.content_type = text_or_empty(asked.content_type);
        r.authorization = text_or_empty(asked.authorization);
        if (asked.body_length > 0) r.body.assign(asked.body, asked.body_length);
        receiver->rx->handle_push(std::move(r), [receiver, done, user](ms::push_response come) {
            const inside_callback inside(receiver);
            std::vector<ms_log_field> headers;
            headers.reserve(come.headers.size());
            for (const auto& [name, value] : come.headers)
                headers.push_back({name.c_str(), value.c_str()});
            ms_push_response out{};
            out.size = sizeof(out);
            out.status = come.status;
            out.headers = headers.data();
            out.header_count = headers.size();
            out.body = come.body.c_str();
            out.body_length = come.body.size();
            done(user, &out);
        });
    });
}

uint16_t ms_push_port(const ms_receiver* receiver) {
    std::uint16_t port = 0;
    (void)guarded([&] { port = need_here(receiver).rx->push_port(); });
    return port;
}
