#include "tests/receiver/model/patient.hpp"

#include <algorithm>

#include "base/random.hpp"
#include "receiver/teardown/plan.hpp"

namespace mission::model {

using receiver::state_snapshot;
using receiver::state_write;

result<state_snapshot> model_state::load() {
    state_snapshot s;
    s.missions_stored = !rows_.missions.empty();
    for (const auto& [name, value] : rows_.settings)
        s.settings.emplace_back(name, value);
    for (const auto& [key, j] : rows_.jtis)
        s.jtis.push_back(j);
    return s;
}

void model_state::submit(state_write w, std::function<void(result<void>)> answered,
                         std::function<void()> committed) {
    if (on_task) {
        for (const auto& t : w.tasks)
            on_task(t);
    }
    waiting_.push_back({std::move(w), std::move(answered), std::move(committed)});
}

void model_state::write(const state_write& w) {
    for (const auto& t : w.tasks)
        rows_.torn_down.insert(t.mission);
    for (const auto& key : w.forgotten) {
        rows_.missions.erase(key);
        std::erase_if(rows_.order, [&](const auto& numbered) { return numbered.second == key; });
        rows_.torn_down.erase(key);
    }
    const auto put = [&](const receiver::record& r, bool with_authority) {
        if (rows_.missions.count(r.key) == 0)
            rows_.order.emplace(rows_.order.empty() ? 1 : rows_.order.rbegin()->first + 1, r.key);
        auto& row = rows_.missions[r.key];
        const auto authority = row.authority;
        const auto authority_version = row.authority_version;
        row = r;
        if (!with_authority) {
            row.authority = authority;
            row.authority_version = authority_version;
        }
        const bool over =
            r.version != 0 && receiver::ms::is_terminal(receiver::standing_of(r.state));
        if (over && rows_.torn_down.count(r.key) == 0 && on_untorn) on_untorn(r.key);
    };
    for (const auto& r : w.missions)
        put(r, true);
    for (const auto& r : w.states)
        put(r, false);
    for (const auto& [name, value] : w.settings)
        rows_.settings[name] = value;
    for (const auto& j : w.jtis)
        rows_.jtis[{j.iss, j.jti}] = j;
}

result<std::optional<receiver::record>> model_state::read(const mission_key& key) {
    const auto it = rows_.missions.find(key);
    if (it == rows_.missions.end()) return std::optional<receiver::record>();
    return std::optional<receiver::record>(it->second);
}

result<std::size_t> model_state::each(receiver::row_place& after, std::size_t limit, bool,
                                      const std::function<void(const receiver::record&)>& fn) {
    std::size_t n = 0;
    for (auto it = rows_.order.upper_bound(after.number); it != rows_.order.end() && n < limit;
         ++it, ++n) {
        after.number = it->first;
        auto r = rows_.missions.at(it->second);
        r.authority.reset();
        fn(r);
    }
    return n;
}

result<std::vector<mission_key>> model_state::in_doubt(std::size_t limit) {
    std::vector<mission_key> out;
    for (const auto& [key, r] : rows_.missions) {
        if (out.size() < limit && (r.gap || !r.denied_as.empty() || r.authority_needed > 0))
            out.push_back(key);
    }
    return out;
}

void model_state::commit(std::size_t n) {
    std::vector<unit> now;
    for (n = std::min(n, waiting_.size()); n != 0; --n) {
        write(waiting_.front().write);
        now.push_back(std::move(waiting_.front()));
        waiting_.pop_front();
    }
    for (auto& u : now) {
        if (u.committed) u.committed();
        if (u.answered) u.answered({});
    }
}

void model_state::fail() {
    std::vector<std::function<void(result<void>)>> told;
    for (auto& u : waiting_) {
        if (u.answered) told.push_back(std::exchange(u.answered, nullptr));
    }
    for (auto& answered : told)
        answered(error{errc::store_full});
}

patient::patient(disk_rows& rows, std::size_t max_missions, bool tears_down,
                 std::chrono::seconds max_stale, hooks h)
    : disk_(std::make_unique<model_state>(rows)),
      runner_(receiver::make_task_runner(system_random())) {
    disk_->on_task = std::move(h.planned);
    if (tears_down) disk_->on_untorn = std::move(h.untorn);
    if (tears_down) {
        receiver::ms::handler_options all;
        all.name = "teardown";
        all.on = receiver::ms::terminal_effects();
        all.per_hold = false;
        runner_->add_handler(
            all, [](const receiver::ms::task&) { return receiver::ms::outcome::done(); });
    }
    receiver::engine::hooks e;
    e.now = std::move(h.now);
    e.ask_status = [wants = std::move(h.wants_status)](const mission_key& k, bool) { wants(k); };
    engine_ = std::make_unique<receiver::engine>(*disk_, *runner_, max_missions, std::move(e));
    engine_->load(*disk_->load());
    engine_->set_issuers("https://mas.example", {});
    engine_->set_max_stale(max_stale);
}

patient::~patient() {
    disk_->stop();
}

void patient::adopt(const std::string& stream_id, std::vector<std::string> types, bool older) {
    // As the stream's client does with one that it finds and does not remember.
    if (older && engine_->setting("stream_id") != stream_id) engine_->on_older_stream();
    receiver::stream_identity s;
    s.stream_id = stream_id;
    s.events_delivered = std::move(types);
    s.all_subjects = true;
    engine_->on_stream(std::move(s));
}

}  // namespace mission::model
