#include "tests/receiver/model/world.hpp"

#include <algorithm>

#include "base/time.hpp"
#include "events/set.hpp"

namespace mission::model {
namespace {

const std::string issuer = "https://mas.example";
constexpr moment second = 1000;
constexpr moment max_stale = 90 * second;

std::vector<std::string> types_of(events::form f) {
    if (f == events::form::lifecycle_change) return {std::string(events::lifecycle_change_type)};
    std::vector<std::string> out;
    for (const auto n : events::mission_event_names)
        out.push_back(std::string(events::event_type_base) + std::string(n));
    return out;
}

}  // namespace

std::string authority_json(unsigned bits) {
    std::string actions;
    for (unsigned n = 0; n < 4; ++n) {
        if (bits & (1u << n))
            actions += (actions.empty() ? "\"a" : ",\"a") + std::to_string(n) + '"';
    }
    return R"([{"type":"mission_resource_access","resource":"r","actions":[)" + actions + "]}]";
}

std::map<std::string, std::uint64_t>& world::counts() {
    static std::map<std::string, std::uint64_t> all;
    return all;
}

world::world(std::uint64_t seed) : judge_(truth_, max_stale) {
    dice d(seed);
    if (d.chance(30)) form_ = events::form::lifecycle_change;
    // So few that it forgets all the time.
    if (d.chance(25)) missions_kept_ = static_cast<std::size_t>(d.between(2, 7));
    begin_run(false);
    judge_.started(now_ + wall_ahead_, now_);
}

world::~world() = default;

void world::say(const std::string& text) const {
    if (trace != nullptr)
        trace->push_back("t=" + std::to_string((now_ - 1'800'000'000'000) / 1000) + " " + text);
}

receiver::mission_key world::key_of(std::size_t m) const {
    const auto n = std::to_string(m);
    return {issuer, "msn_8RfX2Lqv9TqMv4z7sA2" +
                        std::string(4 - std::min<std::size_t>(n.size(), 4), '0') + n};
}

events::mission_change world::change_of(std::size_t m, const fact& f) const {
    events::mission_change c;
    c.mission_id = key_of(m).id;
    c.issuer = issuer;
    c.log_epoch = "e" + std::to_string(f.history);
    c.state = name(f.is);
    if (f.version > 1) c.prior_state = name(f.was);
    c.version = f.version;
    c.authority_hash = "sha-256:x";
    c.committed_at = from_milliseconds(f.committed);
    c.expires_at = from_milliseconds(f.expires);
    c.agent_client_id = "agent";
    if (f.is == f.was && (f.authority_changed || f.expiry_changed)) {
        c.authority_changed = f.authority_changed;
        c.change = "narrowed";
        if (form_ == events::form::ours) c.authorization_details = authority_json(f.authority);
    }
    return c;
}

// ----------------------------------------------------------------------------- the receiver's runs

void world::begin_run(bool lost) {
    ++run_;
    const auto horizon = rows_.settings.find("horizon");
    const auto horizon_was = horizon == rows_.settings.end() ? std::string() : horizon->second;
    patient::hooks h;
    h.now = [this] { return clock(); };
    h.wants_status = [this](const receiver::mission_key& k) { note_wish(k); };
    h.planned = [this](const receiver::task_record& t) {
        for (std::size_t m = 0; m < truth_.size(); ++m) {
            if (key_of(m) != t.mission) continue;
            if (auto why = judge_.judge_teardown(m, std::string(mission_signals::name(t.why))))
                fail(m, *why);
        }
    };
    wishes_.clear();
    rx_.reset();
    h.untorn = [this](const receiver::mission_key& k) {
        for (std::size_t m = 0; m < truth_.size(); ++m) {
            if (key_of(m) == k) fail(m, "its end is on disk without the tasks of its teardown");
        }
    };
    rx_ = std::make_unique<patient>(rows_, missions_kept_, missions_kept_ == all_missions,
                                    std::chrono::seconds(max_stale / second), std::move(h));
    rx_->adopt(stream_, types_of(form_), run_ > 1);
    forgotten_ = 0;
    if (rx_->engine().setting("horizon") != horizon_was) {
        lost = true;
        no_news_until_ = std::max(no_news_until_, clock().wall);
    }
    if (lost) judge_.memory_lost(clock().wall, now_);
    // As a receiver does once its stream is ready.
    for (const auto& key : rx_->engine().doubtful(1000))
        note_wish(key);
}

void world::note_wish(const receiver::mission_key& key) {
    for (std::size_t m = 0; m < truth_.size(); ++m) {
        if (key_of(m) == key) wishes_.insert(m);
    }
}

void world::disturb() {
    disturbed_at_ = now_;
    heard_since_.reset();
    clean_.clear();
}

void world::restart(dice& d) {
    const auto how = d.below(10);
    bool lost = false;
    if (how == 0) {
        say("restart: all state is lost");
        ++counts()["restart: lost"];
        rows_ = {};
        no_news_until_ = 0;
        lost = true;
        copy_.reset();
        blind_epoch_.reset();
        judge_.sees_all_again();
        disturb();
    } else if (how <= 3 && copy_) {
        const bool noticed = now_ + std::min<moment>(wall_ahead_, 0) > copy_->at + 2 * max_stale;
        say("restart: a copy is put back, " + std::to_string((now_ - copy_->at) / 1000) + " s old");
        ++counts()[noticed ? "restart: old copy" : "restart: young copy"];
        rows_ = copy_->rows;
        lost = noticed;
        blind_epoch_.reset();
        judge_.sees_all_again();
        if (!noticed) {
            judge_.forget_since(copy_->told);
            blind_until_ = copy_->at + 4 * max_stale;  // with a clock that is set back meanwhile
            blind_epoch_ = std::strtoull(rows_.settings["epoch"].c_str(), nullptr, 10);
        }
        copy_.reset();
        disturb();
    } else {
        say("restart after a crash, " + std::to_string(rx_->disk().waiting()) + " units unwritten");
        ++counts()["restart: crash"];
        // Where the last word of the stream is on disk, nothing is forgotten.
        if (rx_->disk().waiting() != 0 || now_ - last_heard_ > max_stale / 2) disturb();
    }
    begin_run(lost);
    judge_.started(now_ + wall_ahead_, now_);
}

// What was forgotten, or found no room, makes of every SET of before an old one.
void world::note_forgotten() {
    const auto& c = rx_->engine().counts();
    const auto now = c.missions_evicted.load() + c.missions_refused.load();
    if (now == forgotten_) return;
    counts()["forgotten"] += now - forgotten_;
    forgotten_ = now;
    no_news_until_ = std::max(no_news_until_, std::max(now_, clock().wall) + 31 * second);
    disturb();
}

void world::set_clock(dice& d) {
    disturb();
    ++counts()["clock set"];
    if (wall_ahead_ != 0 && d.chance(70)) {
        wall_ahead_ = 0;
    } else {
        constexpr moment jumps[] = {-86'400, -3600, -100, -40, -20,  -5,
                                    5,       20,    40,   100, 3600, 864'000};
        wall_ahead_ = second * jumps[d.below(std::size(jumps))];
    }
    say("the receiver's clock is " + std::to_string(wall_ahead_ / 1000) + " s ahead");
    judge_.clock_shows(now_ + wall_ahead_, now_);
    rx_->engine().watch();
}

void world::pass(moment by) {
    // An end by time is written within a second of it, because heartbeats vouch for silence.
    for (const auto end = now_ + by; now_ != end;) {
        now_ = std::min(end, (now_ / second + 1) * second);
        expire_due();
    }
    rx_->engine().watch();
}

void world::expire_due() {
    for (auto m = truth_.expire_next(now_); m != registry::npos; m = truth_.expire_next(now_))
        committed(m);
}

// -------------------------------------------------------------------------- registry, transmitter

void world::committed(std::size_t m) {
    const auto& all = truth_.of(m);
    const auto& f = all.back();
    log_.push_back({m, all.size() - 1, false, false, 0});
    say("mission " + std::to_string(m) + ": version " + std::to_string(f.version) + " " +
        name(f.is) + (f.authority_changed ? ", other authority" : "") +
        (f.expiry_changed ? ", other expiry" : "") + " (e" + std::to_string(f.history) + ")");
    if (f.version == 1 && heard_since_ && enabled_ && now_ > *heard_since_ && now_ > no_news_until_)
        clean_.insert(m);
    if (form_ == events::form::lifecycle_change && f.authority_changed) clean_.erase(m);
}

void world::change_registry(dice& d) {
    pass(second);  // each commit has a second of its own
    std::size_t alive = 0;
    for (std::size_t m = 0; m < truth_.size(); ++m)
        alive += truth_.permits(m, now_) || truth_.now_of(m).is == state::suspended ? 1 : 0;
    if (truth_.size() < missions_max_ && alive < missions_alive_ && d.chance(40)) {
        committed(truth_.create(now_, d));
    } else if (truth_.size() != 0) {
        // Most of them are over before long: one of the later ones.
        const auto recent = std::min<std::size_t>(truth_.size(), 2 * missions_alive_);
        const auto m = truth_.change(truth_.size() - 1 - d.below(recent), now_, d);
        if (m != registry::npos) committed(m);
    }
    pass(second);
    ++counts()["registry"];
}

moment world::settled_until() const {
    moment until = now_ - 1;
    for (const auto& s : log_) {
        if (!s.settled) until = std::min(until, truth_.of(s.mission)[s.fact].from - 1);
    }
    return until;
}

bool world::all_settled() const {
    return std::all_of(log_.begin(), log_.end(), [](const signal& s) { return s.settled; });
}

void world::offer(dice& d) {
    if (!enabled_) return;
    std::set<std::size_t> busy;  // missions that have an older one unsettled
    for (std::size_t n = 0; n < log_.size(); ++n) {
        auto& s = log_[n];
        if (s.settled || !busy.insert(s.mission).second || s.again_at > now_) continue;
        s.sent = true;
        s.again_at = now_ + 5 * second;
        parcel p{carries::set, now_ + (d.chance(80) ? 0 : d.between(0, 60 * second)), n, stream_};
        p.critical = d.chance(1);
        if (d.chance(5)) {
            ++counts()["lost"];
        } else {
            network_.push_back(p);
        }
        if (d.chance(10)) {
            // Again, whenever that may be.
            p.due = now_ + d.between(1, d.chance(50) ? 20 * second : 1000 * second);
            network_.push_back(p);
            ++counts()["repeated"];
        }
    }
}

void world::make_heartbeat(dice& d) {
    if (!enabled_) return;
    if (update_due_) {
        parcel u{carries::updated, now_, 0, stream_};
        u.enabled = true;
        network_.push_back(u);
        update_due_ = false;
        disturb();
    }
    parcel p{carries::heartbeat, now_ + (d.chance(80) ? 0 : d.between(0, 80 * second)), 0, stream_};
    p.as_of = settled_until();
    p.continuity = continuity_;
    p.history = truth_.history();
    network_.push_back(p);
}

// By a declared rule: the oldest ones, whatever they are about (I3).
void world::drop_signals(dice& d) {
    std::size_t until = d.below(log_.size() + 1);
    bool any = false;
    for (std::size_t n = 0; n < until; ++n) {
        any = any || !log_[n].settled;
        log_[n].settled = true;
    }
    if (!any) return;
    ++continuity_;
    update_due_ = d.chance(50);
    say("signals are dropped, continuity " + std::to_string(continuity_));
    ++counts()["dropped"];
    disturb();
}

void world::update_stream(dice& d) {
    enabled_ = !enabled_ || d.chance(30);
    parcel u{carries::updated, now_, 0, stream_};
    u.enabled = enabled_;
    network_.push_back(u);
    say(enabled_ ? "the stream is enabled" : "the stream is paused");
    disturb();
}

void world::another_stream(dice& d) {
    // What the old one had not delivered is nobody's any more.
    for (auto& s : log_)
        s.settled = true;
    stream_ = "stream-" + std::to_string(++streams_);
    continuity_ = d.between(0, 2);
    enabled_ = true;
    update_due_ = false;
    rx_->adopt(stream_, types_of(form_), false);
    say("another stream");
    ++counts()["another stream"];
    disturb();
}

void world::restore_registry(dice& d) {
    if (!truth_.has_copy()) {
        truth_.take_copy();
        return;
    }
    pass(second);
    // Their cursors are restored with it: what they had not settled by then goes out, or is lost.
    const bool keeps = d.chance(50);
    for (auto& s : log_) {
        if (!keeps || truth_.of(s.mission)[s.fact].from > truth_.copied_at()) s.settled = true;
    }
    truth_.restore(now_);
    pass(second);
    say("the registry is restored from a copy: e" + std::to_string(truth_.history()));
    ++counts()["restored"];
    disturb();
}

}  // namespace mission::model
