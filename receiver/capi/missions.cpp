// What is known of missions: check, permits, resolve, confirm, views.
#include <algorithm>
#include <chrono>

#include "receiver/capi/handles.hpp"

using namespace mission::receiver::capi;

namespace {

const ms_authority* handle_of(const ms::authority* a) noexcept {
    return reinterpret_cast<const ms_authority*>(a);
}
const ms::authority& authority_behind(const ms_authority* a) {
    return *reinterpret_cast<const ms::authority*>(need(a, "authority"));
}

void each_entry(const ms::authority& set, ms_authority_entry_fn each, void* user) {
    std::vector<const char*> actions;
    for (const auto& e : set.entries) {
        actions.clear();
        for (const auto& action : e.actions)
            actions.push_back(action.c_str());
        ms_authority_entry out{};
        out.size = sizeof(out);
        out.action_count = static_cast<std::uint32_t>(actions.size());
        out.type = e.type.c_str();
        out.resource = e.resource.c_str();
        out.actions = actions.data();
        out.json = e.json.c_str();
        if (each(user, &out) != 0) return;
    }
}

ms_grant grant_of(ms::permission::grant g) noexcept {
    switch (g) {
        case ms::permission::grant::granted:
            return MS_GRANT_GRANTED;
        case ms::permission::grant::not_granted:
            return MS_GRANT_NOT_GRANTED;
        case ms::permission::grant::not_known:
            break;
    }
    return MS_GRANT_NOT_KNOWN;
}

void tell_confirmation(const ms::confirmation& c, ms_confirmation_fn told, void* user) {
    ms_confirmation out{};
    out.size = sizeof(out);
    out.permitted = c.permitted() ? 1 : 0;
    out.error = c.error.c_str();
    out.state = c.state.c_str();
    out.version = c.version;
    out.authority = handle_of(c.authority.get());
    out.now = standing_of(c.now.what);
    out.age_at_most_ms = -1;
    if (c.answered()) {
        out.issued_at_ms = ms_of(c.issued_at);
        out.expires_at_ms = ms_of(c.expires_at);
        out.fresh_until_ms = ms_of(c.fresh_until);
        out.committed_at_ms = ms_of(c.committed_at);
        // Rounded up: an answer is never younger than it is said to be.
        out.age_at_most_ms = std::chrono::ceil<std::chrono::milliseconds>(
                                 std::chrono::steady_clock::now() - c.sent_at)
                                 .count();
    }
    told(user, &out);
}

}  // namespace

int ms_check(const ms_receiver* receiver, const char* mission_id, ms_answer* out) {
    if (receiver == nullptr || mission_id == nullptr) {
        (void)fail(MS_E_ARGUMENT, "receiver or mission_id is null");
        return tell({}, out);
    }
    return tell(receiver->missions->check(mission_id), out);
}

int ms_check_n(const ms_receiver* receiver, const char* mission_id, size_t length, ms_answer* out) {
    if (receiver == nullptr || mission_id == nullptr) {
        (void)fail(MS_E_ARGUMENT, "receiver or mission_id is null");
        return tell({}, out);
    }
    return tell(receiver->missions->check(std::string_view(mission_id, length)), out);
}

int ms_permits(const ms_receiver* receiver, const char* mission_id, const char* resource,
               const char* action, ms_permission* out) {
    ms::permission p;
    (void)guarded([&] {
        p = need_here(receiver).missions->permits(
            need(mission_id, "mission_id"), need(resource, "resource"), need(action, "action"));
    });
    ms_permission told = MS_PERMISSION_INIT;
    told.standing = standing_of(p.now.what);
    told.version = p.now.version;
    told.grant = grant_of(p.authority);
    put(told, out);
    return p.permitted() ? 1 : 0;
}

int ms_resolve(ms_receiver* receiver, const char* mission_id, int64_t timeout_ms, ms_answer* out) {
    ms::answer a;
    (void)guarded([&] {
        a = need_here(receiver).missions->resolve(need(mission_id, "mission_id"),
                                                  wait_of(timeout_ms));
    });
    return tell(a, out);
}

ms_result ms_resolve_async(ms_receiver* receiver, const char* mission_id, uint32_t flags,
                           ms_answer_fn done, void* user) {
    return guarded([&] {
        need_here(receiver);
        need(mission_id, "mission_id");
        need(done, "done");
        if ((flags & ~MS_RESOLVE_FORCE) != 0) refuse(MS_E_ARGUMENT, "flags: unknown ones");
        receiver->missions->resolve(
            mission_id,
            [receiver, done, user](ms::answer come) {
                const inside_callback inside(receiver);
                const auto a = answer_of(come);
                done(user, &a);
            },
            (flags & MS_RESOLVE_FORCE) != 0);
    });
}

int ms_authority_permits(const ms_authority* authority, const char* resource, const char* action) {
    bool permitted = false;
    (void)guarded([&] {
        permitted =
            authority_behind(authority).permits(need(resource, "resource"), need(action, "action"));
    });
    return permitted ? 1 : 0;
}

ms_result ms_authority_each(const ms_authority* authority, ms_authority_entry_fn each, void* user) {
    return guarded([&] { each_entry(authority_behind(authority), need(each, "each"), user); });
}

ms_result ms_authority_of(const ms_receiver* receiver, const char* mission_id,
                          ms_authority_entry_fn each, void* user) {
    return guarded([&] {
        const auto set = need_here(receiver).missions->authority_of(need(mission_id, "mission_id"));
        need(each, "each");
        if (!set) refuse(MS_E_NOT_FOUND, "the mission's authority is not known");
        each_entry(*set, each, user);
    });
}

int ms_confirm(ms_receiver* receiver, const char* mission_id, int64_t timeout_ms,
               ms_confirmation_fn told, void* user) {
    ms::confirmation c;
    if (guarded([&] {
            c = need_here(receiver).missions->confirm(need(mission_id, "mission_id"),
                                                      wait_of(timeout_ms));
        }) != MS_OK) {
        (void)guarded([&] { c.error = ms_error(); });
    }
    if (told != nullptr && guarded([&] { tell_confirmation(c, told, user); }) != MS_OK) return 0;
    return c.permitted() ? 1 : 0;
}

ms_result ms_confirm_async(ms_receiver* receiver, const char* mission_id, ms_confirmation_fn told,
                           void* user) {
    return guarded([&] {
        need_here(receiver);
        need(told, "told");
        receiver->missions->confirm(need(mission_id, "mission_id"),
                                    [receiver, told, user](const ms::confirmation& c) {
                                        const inside_callback inside(receiver);
                                        tell_confirmation(c, told, user);
                                    });
    });
}

ms_result ms_mission_view(const ms_receiver* receiver, const char* mission_id, ms_mission_fn told,
                          void* user) {
    return guarded([&] {
        const auto v = need_here(receiver).missions->view(need(mission_id, "mission_id"));
        need(told, "told");
        if (!v) refuse(MS_E_NOT_FOUND, "nothing is held of this mission");
        const auto m = mission_of(*v);
        (void)told(user, &m);
    });
}

ms_result ms_missions(const ms_receiver* receiver, size_t limit, ms_mission_fn each, void* user) {
    return guarded([&] {
        need_here(receiver);
        need(each, "each");
        for (const auto& v : receiver->missions->list(limit)) {
            const auto m = mission_of(v);
            if (each(user, &m) != 0) return;
        }
    });
}
