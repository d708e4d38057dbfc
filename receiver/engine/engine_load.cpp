// The start: missions from their rows to the table; and what is done when the rows are lost.
#include <algorithm>
#include <new>
#include <thread>

#include "base/limits.hpp"
#include "receiver/cache/entry.hpp"
#include "receiver/engine/engine.hpp"

namespace mission::receiver {

using ms::log_level;
using ms::standing;
using std::chrono::milliseconds;

namespace {

constexpr std::size_t rows_at_once = 4096;  // some milliseconds of reading
constexpr auto read_again_after = milliseconds(200);
constexpr auto stop_look = milliseconds(20);

}  // namespace

void engine::in_background(std::function<void()> job) {
    if (hooks_.background) {
        hooks_.background(std::move(job));
    } else {
        job();
    }
}

// What was told before the start is fresh for as long as it was told to be, and never for longer
// than the transmitter's bound from the start on: how long ago it was told nobody knows, should the
// clock have been set back.
deadline engine::deadline_of(const record& row) const {
    if (!row.fresh_until || row_terms_.bound.count() == 0) return {};
    const auto until = to_milliseconds(*row.fresh_until);
    if (until > row_terms_.believed) return {};
    return deadline_within(until, row_terms_.bound, row_terms_.at);
}

void engine::load_missions() {
    row_place last;
    const auto begun = hooks_.now().mono;
    bool told = false;
    while (!stopping_.load(std::memory_order_relaxed) && loading_) {
        auto step = loading::no_memory;
        try {
            step = load_some(last);
        } catch (const std::bad_alloc&) {
            // None for its rows: they are read again.
        }
        try {
            if (step == loading::no_memory && !told) {
                log(log_level::error,
                    "there is no memory for all of the state's missions: they are unknown until "
                    "they are wanted, or there is some");
                told = true;
            }
        } catch (const std::bad_alloc&) {
            // Told the next time.
        }
        if (step == loading::over) break;
        if (step != loading::more && !wait_to_load()) break;
    }
    if (loading_) return;
    log(log_level::info, "the state's missions are there",
        {{"missions", std::to_string(table_.size())},
         {"milliseconds", std::to_string(hooks_.now().mono - begun)}});
}

bool engine::wait_to_load() const {
    if (!hooks_.background) return false;
    for (auto waited = milliseconds(0); waited < read_again_after; waited += stop_look) {
        if (stopping_.load(std::memory_order_relaxed)) return false;
        std::this_thread::sleep_for(stop_look);
    }
    return true;
}

engine::loading engine::load_some(row_place& last) {
    struct brief {
        mission_key key;
        published what;
        std::int64_t heard;
    };
    std::vector<brief> rows;
    rows.reserve(rows_at_once);
    slot s;
    auto next = last;
    std::uint64_t revision = 0;
    {
        std::lock_guard lock(m_);
        revision = revision_;
    }
    const auto read = state_.each(next, rows_at_once, true, [&](const record& r) {
        s.now.state = r.state;
        s.now.version = r.version;
        s.now.expires_at = r.expires_at;
        s.now.gap = r.gap;
        s.now.not_found = r.not_found;
        s.now.denied_as = r.denied_as;
        s.now.authority_needed = r.authority_needed;
        s.now.confirmed_epoch = r.confirmed_epoch;
        s.fresh_until = deadline_of(r);
        rows.push_back({r.key, face_of(s.now, s.fresh_until).what, r.heard_at});
    });
    if (read.has_error()) {
        log(log_level::error,
            "the state's missions cannot be read: they are unknown until they can",
            {{"error", read.error().message()}});
        return loading::unreadable;
    }
    state_write w;
    bool room = true;
    std::lock_guard lock(m_);
    if (!loading_) return loading::over;  // the rows are lost
    for (auto& row : rows) {
        // It was there before its turn, and may have changed since it was read.
        if (set_.peek(row.key) != nullptr) continue;
        if (const auto p = table_.find(row.key.issuer, row.key.id)) {
            // But what is in memory is not behind its row: unless that was overtaken since it was
            // read, the walk has met two of this mission, one of which the index of keys had lost.
            const bool later = std::min(row.what.version, version_max) > p->version;
            const bool denied = row.what.told != standing::active && p->told == standing::active;
            if (!later && !denied) continue;
            auto doubted = *p;
            if (doubted.told == standing::active) doubted.told = standing::gap;
            (void)table_.put(row.key.issuer, row.key.id, doubted);
            if (revision == revision_)
                state_.found_damaged({errc::store_corrupt, "a mission has two rows"});
            continue;
        }
        if (table_.put(row.key.issuer, row.key.id, row.what)) continue;
        if (table_.takes(row.key.id, row.what)) {
            // There is a place for it. It is unknown, and read when a SET or a Status is about it.
            room = false;
            continue;
        }
        // There are more than may be now.
        raise_horizon(row.heard, w);
        evicted_at(row.key.id) = ++revision_;
        counts_.missions_evicted.fetch_add(1, std::memory_order_relaxed);
        w.forgotten.push_back(row.key);
    }
    if (!w.forgotten.empty()) state_.submit(std::move(w), nullptr);
    if (!room) return loading::no_memory;
    last = next;
    if (*read == rows_at_once) return loading::more;
    loading_ = false;
    return loading::over;
}

// An old SET of a mission that was known proves nothing about what came after it.
void engine::forget_history(instant now, state_write& w, after& later) {
    raise_horizon((now.wall + milliseconds(limits::clock_skew).count()) / 1000, w);
    later.push_back([this] {
        log(log_level::error,
            "what was known of missions is lost: each is denied until Status or a new SET tells of "
            "it");
    });
}

void engine::on_older_stream() {
    std::lock_guard lock(m_);
    state_write w;
    raise_horizon(before_this_second(hooks_.now()), w);
    if (!w.settings.empty()) state_.submit(std::move(w), nullptr);
}

// On the state's writer thread: another file is in place of ours, with what could be read of it.
// Everything that is in memory whole is written again; missions are asked for anew.
void engine::state_lost() {
    after later;
    {
        std::lock_guard lock(m_);
        state_write w;
        loading_ = false;
        forget_history(hooks_.now(), w, later);
        // Those with a write on its way stay: their rows are written whole, to the new file.
        table_.keep_only([this](std::string_view issuer, std::string_view id) {
            const auto* s = set_.peek({std::string(issuer), std::string(id)});
            return s != nullptr && s->pinned();
        });
        dropped_ = std::max(dropped_, set_.drop_unpinned());
        authorities_.forget_all();
        evicted_.fill(++revision_);
        w.settings.clear();
        for (const auto& [name, value] : settings_)
            w.settings.emplace_back(name, value);
        for (const auto& [key, m] : held_) {
            for (const auto& [name, data] : m.things)
                w.holds.push_back({key, name, data});
            later.push_back([this, key = key] { hooks_.ask_status(key, true); });
        }
        w.tasks = runner_.list(false);
        std::erase_if(w.tasks, [](const task_record& t) { return !t.durable; });
        // Nobody else writes for us, and an answer is owed to nobody.
        set_.each([&](const slot& s) {
            w.missions.push_back(s.now);
            return true;
        });
        state_.submit(std::move(w), nullptr);
        watch_anew(hooks_.now(), later);
    }
    for (auto& f : later)
        f();
}

}  // namespace mission::receiver
