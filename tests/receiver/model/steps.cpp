// What reaches the receiver, in which order, and what has to hold once everything has arrived.
#include <algorithm>

#include "base/time.hpp"
#include "events/set.hpp"
#include "tests/receiver/model/world.hpp"

namespace mission::model {
namespace {

constexpr moment second = 1000;
const std::string issuer = "https://mas.example";

events::received_set made(const std::string& type, const std::string& event,
                          const events::subject& sub, const std::string& jti, moment committed) {
    events::set_claims c;
    c.iss = issuer;
    c.aud = "me";
    c.iat = committed / 1000;
    c.jti = jti;
    c.sub_id = sub;
    c.type = type;
    c.event = event;
    return std::move(*events::decode(events::encode(c)));
}

}  // namespace

// ------------------------------------------------------------------------------------- the network

void world::receive(std::size_t m, const events::mission_change& c, std::size_t fact_number,
                    bool critical, std::optional<std::size_t> signal_number, dice& d) {
    const auto committed = truth_.of(m)[fact_number].from;
    if (committed > clock().wall + 300 * second) return;  // wire.md section 5: `iat` is ahead
    auto subject = events::event_subject(c, form_);
    if (critical && form_ == events::form::ours) {
        rx_->engine().set_critical_members({"habitat"});
        subject.complex.emplace("habitat", events::subject::opaque("moon"));
        clean_.erase(m);
    }
    const bool lost = d.chance(5);
    const auto delay = d.chance(90) ? 0 : d.between(0, 20 * second);
    const bool told = !subject.is_complex() || subject.complex.count("habitat") == 0;
    say("  SET: mission " + std::to_string(m) + " version " + std::to_string(c.version) + " " +
        c.state + " (" + c.log_epoch + ")" + (told ? "" : ", with a critical member"));
    ++counts()["SETs"];
    rx_->engine().receive(
        made(events::event_type(c, form_), events::event_body(c, form_), subject,
             "j" + std::to_string(++jti_), committed),
        [this, m, fact_number, told, signal_number, lost, delay, run = run_,
         stream = stream_](const receiver::set_outcome& o) {
            if (run != run_) return;
            if (o.fate == receiver::set_fate::reject)
                return fail(m, "its SET is refused: " + o.why.message());
            if (o.fate != receiver::set_fate::acknowledge) return;
            if (told) judge_.told(m, fact_number);
            if (!signal_number || lost) return;
            network_.push_back({carries::ack, now_ + delay, *signal_number, stream});
        });
    rx_->engine().set_critical_members({});
}

void world::hand_over(const parcel& p, dice& d) {
    switch (p.what) {
        case carries::set: {
            const auto s = log_[p.number];
            const auto& f = truth_.of(s.mission)[s.fact];
            return receive(s.mission, change_of(s.mission, f), s.fact, p.critical, p.number, d);
        }
        case carries::ack:
            if (p.stream == stream_) log_[p.number].settled = true;
            return;
        case carries::heartbeat: {
            events::verification v;
            v.as_of = from_milliseconds(p.as_of);
            v.continuity = p.continuity;
            v.log_epoch = "e" + std::to_string(p.history);
            say("  heartbeat: as of " + std::to_string((now_ - p.as_of) / 1000) +
                " s ago, continuity " + std::to_string(p.continuity));
            ++counts()["heartbeats"];
            if (p.as_of > clock().wall + 300 * second) return;
            if (p.stream == stream_) {
                judge_.heard_heartbeat(p.as_of, clock().wall, now_);
                last_heard_ = std::max(last_heard_, p.as_of);
                if (!heard_since_ && p.as_of > disturbed_at_) heard_since_ = now_;
            }
            return rx_->engine().receive(
                made(std::string(events::verification_type), events::to_json(v),
                     events::stream_subject(p.stream), "h" + std::to_string(++jti_), p.as_of),
                [](const receiver::set_outcome&) {});
        }
        case carries::updated: {
            if (p.stream != stream_) return;
            events::stream_updated u;
            u.status = p.enabled ? "enabled" : "paused";
            say("  stream-updated: " + u.status);
            disturb();
            return rx_->engine().receive(
                made(std::string(events::stream_updated_type), events::to_json(u),
                     events::stream_subject(p.stream), "u" + std::to_string(++jti_), now_),
                [](const receiver::set_outcome&) {});
        }
        case carries::question:
            return answer(p.number, d);
        case carries::answer:
            return take_answer(p.number, d);
    }
}

void world::deliver(dice& d, bool all) {
    std::vector<parcel> due;
    for (std::size_t n = 0; n < network_.size();) {
        if (network_[n].due <= now_ && (all || d.chance(70))) {
            due.push_back(network_[n]);
            network_[n] = network_.back();
            network_.pop_back();
        } else {
            ++n;
        }
    }
    // Across missions in any order; of one mission as they were sent, but for repetitions.
    for (std::size_t n = due.size(); n > 1; --n)
        std::swap(due[n - 1], due[d.below(n)]);
    for (const auto& p : due) {
        if (!failure_.empty()) return;
        hand_over(p, d);
    }
}

void world::write(dice& d) {
    if (d.chance(10)) {
        rx_->disk().fail();
        ++counts()["disk full"];
    } else {
        rx_->disk().commit(1 + d.below(8));
    }
}

// ------------------------------------------------------------------------------------------ Status

void world::ask(std::size_t m, dice& d) {
    question q;
    q.mission = m;
    q.asked = rx_->engine().status_asked(key_of(m));
    q.asked_at = now_;
    q.run = run_;
    q.unavailable = d.chance(10);
    questions_.push_back(q);
    const auto delay = d.chance(70) ? 0 : d.between(0, d.chance(80) ? 3 * second : 50 * second);
    network_.push_back({carries::question, now_ + delay, questions_.size() - 1, {}});
    ++counts()["Status"];
}

void world::answer(std::size_t n, dice& d) {
    auto& q = questions_[n];
    const auto& f = truth_.now_of(q.mission);
    q.found = f.exists;
    q.fact = truth_.of(q.mission).size() - 1;
    q.issued = now_;
    if (!d.chance(10)) q.fresh_until = now_ / 1000 * 1000 + (d.chance(80) ? 90 : 10) * second;
    q.with_authority = !d.chance(10);
    const auto delay = d.chance(70) ? 0 : d.between(0, d.chance(80) ? 3 * second : 100 * second);
    network_.push_back({carries::answer, now_ + delay, n, {}});
}

void world::take_answer(std::size_t n, dice&) {
    const auto q = questions_[n];
    if (q.run != run_) return;
    const auto key = key_of(q.mission);
    const auto& f = truth_.of(q.mission)[q.fact];
    const auto iat = q.issued / 1000, wall = clock().wall / 1000;
    result<receiver::status_word> word = errc::unavailable;
    // draft-mcguinness-oauth-mission-status "Response", check 9.
    const bool refused = iat > wall + 30 || iat + 60 < wall - 30;
    if (!q.unavailable && !q.found) {
        word = errc::mission_not_found;
    } else if (!q.unavailable && !refused) {
        receiver::status_word w;
        w.id = key.id;
        w.issuer = key.issuer;
        w.state = name(f.is);
        w.log_epoch = "e" + std::to_string(f.history);
        w.version = f.version;
        w.issued_at = from_milliseconds(iat * 1000);
        w.committed_at = from_milliseconds(f.committed);
        w.expires_at = from_milliseconds(f.expires);
        if (q.fresh_until) w.fresh_until = from_milliseconds(*q.fresh_until);
        if (q.with_authority) w.authority = authority_json(f.authority);
        word = std::move(w);
    }
    say("  Status: mission " + std::to_string(q.mission) + " " +
        (word.has_value() ? std::string(name(f.is)) + " version " + std::to_string(f.version) +
                                " (e" + std::to_string(f.history) + ")"
                          : word.error().message()) +
        ", asked " + std::to_string((now_ - q.asked_at) / 1000) + " s ago");
    const bool says = word.has_value();
    rx_->engine().on_status(key, word, q.asked, [this, q, says, key] {
        if (q.run != run_) return;
        // Not what is not on disk: nobody was promised that it would be remembered.
        const auto row = rows_.missions.find(key);
        const auto& known = truth_.of(q.mission)[q.fact];
        if (says && row != rows_.missions.end() && row->second.version == known.version &&
            row->second.log_epoch == "e" + std::to_string(known.history)) {
            judge_.told(q.mission, q.fact);
            judge_.sees_again(q.mission);
        }
        if (rx_->engine().wants_status(key)) wishes_.insert(q.mission);
    });
}

// ----------------------------------------------------------------------------------------
// forgeries

void world::forge(dice& d) {
    if (truth_.size() == 0) return;
    ++counts()["forged"];
    const auto m = d.below(truth_.size());
    auto c = change_of(m, truth_.now_of(m));
    c.state = "active";
    const auto refused = [&](const events::mission_change& change, const events::subject& sub) {
        rx_->engine().receive(
            made(events::event_type(change, form_), events::event_body(change, form_), sub,
                 "f" + std::to_string(++jti_), now_),
            [this, m](const receiver::set_outcome& o) {
                if (o.fate == receiver::set_fate::acknowledge)
                    fail(m, "a SET that is not its own is taken");
            });
    };
    const auto view = rx_->engine().view(key_of(m));
    switch (d.below(4)) {
        case 0: {
            auto other = c;
            other.issuer = "https://elsewhere.example";
            return refused(other, events::event_subject(other, form_));
        }
        case 1: {
            auto other = c;
            other.mission_id = key_of(m + 1).id;
            if (rx_->disk().accepts()) refused(c, events::event_subject(other, form_));
            return;
        }
        case 2: {
            // Another word on a version that is known: nothing that was not known already.
            if (!view || view->log_version < 1 || !rx_->disk().accepts()) return;
            c.version = d.between(1, view->log_version);
            if (truth_.history() != 1) return;
            say("  forged: mission " + std::to_string(m) + " version " + std::to_string(c.version) +
                " active");
            if (c.version > 1 && !c.prior_state) c.prior_state = "suspended";
            if (c.version == 1) c.prior_state.reset();
            return rx_->engine().receive(
                made(events::event_type(c, form_), events::event_body(c, form_),
                     events::event_subject(c, form_), "f" + std::to_string(++jti_), now_),
                [](const receiver::set_outcome&) {});
        }
        default: {
            // The same of Status, where the version is known to deny.
            if (!view || truth_.history() != 1 || view->state == "active") return;
            receiver::status_word w;
            w.id = view->id;
            w.issuer = view->issuer;
            w.state = "active";
            w.version = view->log_version;
            w.log_epoch = "e1";
            w.fresh_until = from_milliseconds(now_ + 90 * second);
            say("  forged Status: mission " + std::to_string(m) + " active");
            rx_->engine().on_status(key_of(m), w, rx_->engine().status_asked(key_of(m)), nullptr);
        }
    }
}

// ------------------------------------------------------------------------------------ when it is
// calm

void world::settle_down(dice& d) {
    ++counts()["calm"];
    if (wall_ahead_ != 0) {
        wall_ahead_ = 0;
        disturb();
    }
    if (!enabled_) {
        enabled_ = true;
        network_.push_back({carries::updated, now_, 0, stream_});
        disturb();
    }
    say("calm");
    // Everything that is under way arrives, but for late repetitions and slow answers.
    for (int n = 0; n < 100 && failure_.empty(); ++n) {
        offer(d);
        deliver(d, true);
        rx_->disk().commit(1000);
        pass(second);
        if (all_settled() && rx_->disk().waiting() == 0) break;
    }
    if (!failure_.empty()) return;
    if (!all_settled()) return fail(0, "the queue of the stream does not come to an end");
    const auto hears = [&] {
        network_.erase(std::remove_if(network_.begin(), network_.end(),
                                      [](const parcel& p) { return p.what == carries::heartbeat; }),
                       network_.end());
        make_heartbeat(d);
        for (auto& p : network_) {
            if (p.what == carries::heartbeat || p.what == carries::updated) p.due = now_;
        }
        deliver(d, true);
        rx_->disk().commit(1000);
    };
    hears();
    // An update and a heartbeat may have come in either order.
    pass(second);
    hears();
    if (!failure_.empty()) return;
    note_forgotten();
    for (const auto m : clean_) {
        if (truth_.permits(m, now_) && !look(m).permits)
            return fail(m, "it was told of everything without a gap, and says " + look(m).standing);
    }
    const auto at_once = [&](std::size_t m) {
        question q;
        q.mission = m;
        q.asked = rx_->engine().status_asked(key_of(m));
        q.asked_at = q.issued = now_;
        q.run = run_;
        q.found = truth_.now_of(m).exists;
        q.fact = truth_.of(m).size() - 1;
        q.fresh_until = now_ / 1000 * 1000 + 90 * second;
        questions_.push_back(q);
        take_answer(questions_.size() - 1, d);
        rx_->disk().commit(1000);
    };
    const auto wishes = [&] {
        for (int n = 0; n < 10 && !wishes_.empty(); ++n) {
            const auto now = std::exchange(wishes_, {});
            for (const auto m : now)
                at_once(m);
        }
        return wishes_.empty();
    };
    // A question that is under way would be answered some time, and may be a wish.
    for (const auto& p : network_) {
        const bool of_status = p.what == carries::question || p.what == carries::answer;
        if (of_status && questions_[p.number].run == run_)
            wishes_.insert(questions_[p.number].mission);
    }
    if (!wishes()) return fail(*wishes_.begin(), "it is asked for again and again");
    for (std::size_t m = 0; m < truth_.size(); ++m) {
        if (look(m).standing == "gap") return fail(m, "a gap, and nobody asks");
    }
    for (std::size_t m = 0; m < truth_.size() && failure_.empty(); ++m) {
        const auto& f = truth_.now_of(m);
        // An unnoticed old copy denies what it does not know to have been resumed.
        if (!truth_.permits(m, now_) || judge_.is_blind(m)) continue;
        auto s = look(m);
        if (!s.permits && wants_word(m, s)) {
            at_once(m);
            s = look(m);
        }
        if (s.permits) continue;  // at which version, the oracle judges
        const auto& all = truth_.of(m);
        // A denial may be relied on for as long as a permission.
        bool lately = false;
        for (std::size_t n = 0; n + 1 < all.size(); ++n) {
            const auto& old = all[n];
            const bool denies =
                old.exists && old.version == s.version &&
                (old.is == state::suspended ? s.standing == "suspended"
                                            : s.standing == "expired" && old.expires <= now_);
            lately = lately || (denies && all[n + 1].from > now_ - 200 * second);
        }
        if (lately) continue;
        // What had ended in a history that was lost stays ended until somebody asks.
        const bool lost = std::any_of(all.begin(), all.end(), [&](const fact& old) {
            return old.exists && old.history < f.history && ended(old.is) &&
                   s.standing == name(old.is);
        });
        if (!s.permits && lost) continue;
        fail(m, "it is active at version " + std::to_string(f.version) +
                    ", and the receiver says " + s.standing + " at version " +
                    std::to_string(s.version));
    }
}

// As resolve() has it.
bool world::wants_word(std::size_t m, const said& s) const {
    return s.standing == "unknown" || s.standing == "stale" || s.standing == "gap" ||
           rx_->engine().denial_aged(key_of(m));
}

// --------------------------------------------------------------------------------------------
// steps

said world::look(std::size_t m) const {
    const auto key = key_of(m);
    const auto [a, set] = rx_->engine().authorities().look(key.issuer, key.id, clock());
    said s;
    s.permits = a.permitted();
    s.standing = std::string(mission_signals::name(a.what));
    s.version = a.version;
    if (set && s.permits) {
        s.authority = 0;
        for (unsigned n = 0; n < 4; ++n) {
            if (set->permits("r", "a" + std::to_string(n))) *s.authority |= 1u << n;
        }
    }
    return s;
}

void world::fail(std::size_t m, const std::string& why) {
    if (!failure_.empty()) return;
    failure_ = "mission " + std::to_string(m) + ": " + why;
    const auto fresh = rx_->engine().freshness();
    const auto p = m < truth_.size() ? rx_->engine().table().find(key_of(m).issuer, key_of(m).id)
                                     : std::nullopt;
    say("FAILED: " + failure_ + "; the stream: epoch " + std::to_string(fresh.kept().epoch) +
        ", settled until " +
        std::to_string((fresh.kept().settled_until.value_or(0) - 1'800'000'000'000) / 1000) +
        ", live for " + std::to_string((fresh.word().live_until.mono - clock().mono) / 1000) +
        " s; the entry: epoch " + std::to_string(p ? p->freshness.confirmed_epoch : 0) +
        ", fresh for " +
        std::to_string(p ? (p->freshness.fresh_until.mono - clock().mono) / 1000 : 0) + " s");
}

void world::judge_all() {
    // What Status had said before the copy was made is relied on for as long as it was told.
    if (blind_epoch_ && rx_->engine().epoch() != *blind_epoch_ && now_ > blind_until_) {
        blind_epoch_.reset();
        judge_.sees_all_again();
    }
    for (std::size_t m = 0; m < truth_.size() && failure_.empty(); ++m) {
        const auto s = look(m);
        if (s.permits) ++counts()["permitted"];
        if (auto why = judge_.judge(m, s, clock().wall, now_)) fail(m, *why);
    }
}

bool world::step(std::uint64_t number) {
    dice d(number);
    const auto what = d.below(1000);
    if (what < 120) {
        pass(d.chance(90) ? d.between(1, 5 * second) : d.between(1, 150 * second));
    } else if (what < 270) {
        change_registry(d);
    } else if (what < 420) {
        offer(d);
    } else if (what < 600) {
        deliver(d, false);
    } else if (what < 740) {
        write(d);
    } else if (what < 830) {
        make_heartbeat(d);
    } else if (what < 920) {
        if (!wishes_.empty() && d.chance(60)) {
            const auto m = *wishes_.begin();
            wishes_.erase(m);
            ask(m, d);
        } else if (truth_.size() != 0) {
            ask(d.below(truth_.size()), d);
        }
    } else if (what < 930) {
        drop_signals(d);
    } else if (what < 936) {
        update_stream(d);
    } else if (what < 950) {
        restart(d);
    } else if (what < 956) {
        if (!blind_epoch_ && (!copy_ || d.chance(20)))
            copy_ = old_copy{rows_, judge_.all_told(), now_};
    } else if (what < 960) {
        restore_registry(d);
    } else if (what < 966) {
        set_clock(d);
    } else if (what < 985) {
        forge(d);
    } else if (what < 988) {
        another_stream(d);
    } else if (what < 995) {
        settle_down(d);
    }
    note_forgotten();
    if (failure_.empty()) judge_all();
    return failure_.empty();
}

}  // namespace mission::model
