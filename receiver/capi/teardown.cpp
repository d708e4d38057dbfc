// Holds, handlers of effects, tasks.
#include <algorithm>
#include <cstring>

#include "receiver/capi/handles.hpp"

using namespace mission::receiver::capi;

namespace {

ms::handler_options options_of(const ms_handler_options* given) {
    const auto o = take(given, "options", ms_handler_options MS_HANDLER_OPTIONS_INIT);
    ms::handler_options out;
    out.name = need(o.name, "options->name");
    for (ms_effect e = 0; e < 32; ++e) {
        if ((o.on & MS_ON(e)) == 0) continue;
        const auto effect = effect_from(e);
        if (!effect) refuse(MS_E_ARGUMENT, "options->on: there is no effect " + std::to_string(e));
        out.on.push_back(*effect);
    }
    if (out.on.empty()) refuse(MS_E_ARGUMENT, "options->on: no effect");
    if (o.timeout_ms < 0 || o.retry_first_ms < 0 || o.retry_max_ms < 0) {
        refuse(MS_E_ARGUMENT, "options: a negative time");
    }
    out.per_hold = o.per_mission == 0;
    if (o.concurrency > 0) out.concurrency = o.concurrency;
    if (o.timeout_ms > 0) out.timeout = wait_of(o.timeout_ms);
    if (o.retry_first_ms > 0) out.retry_first = wait_of(o.retry_first_ms);
    if (o.retry_max_ms > 0) out.retry_max = wait_of(o.retry_max_ms);
    return out;
}

template <class Each>
int tell_task(const ms::task_view& v, Each&& each) {
    const auto t = task_of(v.what);
    ms_task_view out{};
    out.size = sizeof(out);
    out.last = outcome_of(v.last);
    out.task = &t;
    out.handler = v.handler.c_str();
    out.evidence = v.evidence.c_str();
    out.finished = v.finished ? 1 : 0;
    out.cancelled = v.cancelled ? 1 : 0;
    out.created_ms = ms_of(v.created);
    out.updated_ms = ms_of(v.updated);
    return each(&out);
}

}  // namespace

ms_result ms_hold(ms_receiver* receiver, const char* mission_id, const char* name, const void* data,
                  size_t data_length) {
    return guarded([&] {
        need_here(receiver);
        if (data_length > 0) need(data, "data");
        const std::string_view bytes(data_length > 0 ? static_cast<const char*>(data) : "",
                                     data_length);
        if (!receiver->rx->hold(need(mission_id, "mission_id"), need(name, "name"), bytes)) {
            refuse(MS_E_DENIED, std::string(receiver->missions->check(mission_id).reason()));
        }
    });
}

ms_result ms_release(ms_receiver* receiver, const char* mission_id, const char* name) {
    return guarded([&] {
        need_here(receiver).rx->release(need(mission_id, "mission_id"), need(name, "name"));
    });
}

ms_result ms_held_each(const ms_receiver* receiver, const char* mission_id, ms_held_fn each,
                       void* user) {
    return guarded([&] {
        need_here(receiver);
        need(each, "each");
        for (const auto& h : receiver->rx->held(text_or_empty(mission_id))) {
            ms_held out{};
            out.size = sizeof(out);
            out.mission_id = h.mission_id.c_str();
            out.name = h.name.c_str();
            out.data = h.data.c_str();
            out.data_length = h.data.size();
            if (each(user, &out) != 0) return;
        }
    });
}

void ms_outcome_done(ms_outcome* outcome, const char* evidence) {
    (void)guarded(
        [&] { need(outcome, "outcome")->value = ms::outcome::done(text_or_empty(evidence)); });
}

void ms_outcome_failed(ms_outcome* outcome, const char* why) {
    (void)guarded(
        [&] { need(outcome, "outcome")->value = ms::outcome::failed(text_or_empty(why)); });
}

ms_result ms_on_effect(ms_receiver* receiver, const ms_handler_options* options,
                       ms_handler_fn handler, void* user, ms_free_fn free_user) {
    return guarded([&] {
        const auto held = hold_user(user, free_user);
        need_here(receiver);
        need(handler, "handler");
        receiver->rx->on_effect(options_of(options),
                                [receiver, handler, held](const ms::task& t) -> ms::outcome {
                                    const inside_callback inside(receiver);
                                    const auto task = task_of(t);
                                    ms_outcome said;
                                    handler(held.get(), &task, &said);
                                    return std::move(said.value);
                                });
    });
}

ms_result ms_process_group_data(int32_t pid, char* out, size_t capacity) {
    return guarded([&] {
        need(out, "out");
        const auto g = ms::process_group::of(pid);
        if (!g) refuse(MS_E_NOT_FOUND, "there is no live process " + std::to_string(pid));
        const auto data = g->to_data();
        if (data.size() >= capacity) refuse(MS_E_ARGUMENT, "capacity: too small");
        std::memcpy(out, data.c_str(), data.size() + 1);
    });
}

ms_result ms_on_effect_process_group(ms_receiver* receiver, const ms_handler_options* options,
                                     int64_t grace_ms) {
    return guarded([&] {
        need_here(receiver);
        receiver->rx->on_effect(options_of(options), ms::process_group_handler(wait_of(grace_ms)));
    });
}

ms_result ms_tasks(const ms_receiver* receiver, int unfinished_only, ms_task_view_fn each,
                   void* user) {
    return guarded([&] {
        need_here(receiver);
        need(each, "each");
        for (const auto& v : receiver->rx->tasks(unfinished_only != 0)) {
            if (tell_task(v, [&](const ms_task_view* t) { return each(user, t); }) != 0) return;
        }
    });
}

ms_result ms_task_retry(ms_receiver* receiver, const char* idempotency_key) {
    return guarded([&] {
        if (!need_here(receiver).rx->retry_task(need(idempotency_key, "idempotency_key"))) {
            refuse(MS_E_NOT_FOUND, "there is no unfinished task of this key");
        }
    });
}

ms_result ms_on_task(ms_receiver* receiver, ms_task_view_fn told, void* user,
                     ms_free_fn free_user) {
    return guarded([&] {
        const auto held = hold_user(user, free_user);
        need_here(receiver);
        need(told, "told");
        receiver->rx->on_task([receiver, told, held](const ms::task_view& v) {
            const inside_callback inside(receiver);
            (void)tell_task(v, [&](const ms_task_view* t) { return told(held.get(), t); });
        });
    });
}

ms_result ms_handlers(const ms_receiver* receiver, ms_handler_status_fn each, void* user) {
    return guarded([&] {
        need_here(receiver);
        need(each, "each");
        for (const auto& h : receiver->rx->handlers()) {
            ms_handler_status out{};
            out.size = sizeof(out);
            out.name = h.name.c_str();
            out.acknowledged = h.acknowledged;
            out.failed = h.failed;
            out.timed_out = h.timed_out;
            out.unknown = h.unknown;
            out.open = h.open;
            out.running = h.running;
            out.oldest_open_ms = ms_of(h.oldest_open);
            if (each(user, &out) != 0) return;
        }
    });
}
