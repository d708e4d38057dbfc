#include "receiver/sidecar/core.hpp"

#include <algorithm>

#include "receiver/sidecar/limits.hpp"

namespace mission::receiver::sidecar {

std::string_view name(door d) noexcept {
    switch (d) {
        case door::auth_request:
            return "auth_request";
        case door::ext_authz:
            return "ext_authz";
        case door::authzen:
            return "authzen";
        case door::mission:
            return "mission";
    }
    return "mission";
}

std::string counters::text() const {
    std::string out =
        "# HELP mission_sidecar_decisions_total Decisions of the sidecar, by door and reason.\n"
        "# TYPE mission_sidecar_decisions_total counter\n";
    for (std::size_t d = 0; d < doors; ++d) {
        for (std::size_t r = 0; r < reasons; ++r) {
            const auto n = cells_[d][r].load(std::memory_order_relaxed);
            if (n == 0) continue;
            const auto why = static_cast<reason>(r);
            out.append("mission_sidecar_decisions_total{door=\"")
                .append(name(static_cast<door>(d)))
                .append("\",decision=\"")
                .append(why == reason::active ? "permit" : "deny")
                .append("\",reason=\"")
                .append(name(why))
                .append("\"} ")
                .append(std::to_string(n))
                .append("\n");
        }
    }
    out.append(
           "# HELP mission_sidecar_reloads_total Settings that were read again.\n"
           "# TYPE mission_sidecar_reloads_total counter\n"
           "mission_sidecar_reloads_total{outcome=\"applied\"} ")
        .append(std::to_string(reloads_.load()))
        .append("\nmission_sidecar_reloads_total{outcome=\"refused\"} ")
        .append(std::to_string(bad_reloads_.load()))
        .append("\n");
    return out;
}

// One request that waits for Mission Status: until everything is answered, or the time is over.
struct core::wait : std::enable_shared_from_this<core::wait> {
    wait(std::shared_ptr<core> c, std::vector<std::string> ids, std::function<void(causes)> t)
        : owner(std::move(c)), left(ids.size()), then(std::move(t)) {
        for (auto& id : ids)
            told.emplace_back(std::move(id), ms::cause::timed_out);
    }

    void answered(std::size_t which, ms::answer a) {
        std::function<void(causes)> call;
        {
            const std::lock_guard lock(m);
            if (!then) return;
            told[which].second = a.why;
            if (--left != 0) return;
            call = take();
        }
        finish(std::move(call));
    }
    void timed_out() {
        std::function<void(causes)> call;
        {
            const std::lock_guard lock(m);
            if (!then) return;
            call = take();
        }
        finish(std::move(call));
    }
    void start_timer(std::chrono::milliseconds after) {
        auto made = owner->rt->after(after, [self = shared_from_this()] { self->timed_out(); });
        const std::lock_guard lock(m);
        if (then) timer = std::move(made);  // else it was answered meanwhile: the timer goes
    }

  private:
    std::function<void(causes)> take() { return std::exchange(then, nullptr); }
    void finish(std::function<void(causes)> call) {
        std::unique_ptr<net::timer> over;
        {
            const std::lock_guard lock(m);
            over = std::move(timer);
        }
        over.reset();  // outside the lock: it drops its hold on this
        owner->waiting_.fetch_sub(1);
        call(told);
    }

    const std::shared_ptr<core> owner;
    std::mutex m;
    causes told;
    std::size_t left;
    std::function<void(causes)> then;
    std::unique_ptr<net::timer> timer;
};

void core::settle(std::vector<std::string> ids, const settings& s,
                  std::function<void(causes)> then) {
    if (ids.size() > limits::resolved_per_request ||
        waiting_.fetch_add(1) >= limits::waiting_requests) {
        if (ids.size() <= limits::resolved_per_request) waiting_.fetch_sub(1);
        causes none;
        for (auto& id : ids)
            none.emplace_back(std::move(id), ms::cause::status_limited);
        return then(std::move(none));
    }
    const auto w = std::make_shared<wait>(shared_from_this(), ids, std::move(then));
    w->start_timer(s.resolve_wait);
    for (std::size_t i = 0; i < ids.size(); ++i)
        missions.resolve(ids[i], [w, i](ms::answer a) { w->answered(i, a); });
}

ms::cause cause_of(const core::causes& all, std::string_view mission_id) noexcept {
    const auto it = std::find_if(all.begin(), all.end(),
                                 [&](const auto& one) { return one.first == mission_id; });
    return it == all.end() ? ms::cause::none : it->second;
}

}  // namespace mission::receiver::sidecar
