#include "tests/receiver/model/oracle.hpp"

#include <algorithm>

namespace mission::model {

void oracle::told(std::size_t m, std::size_t fact_number) {
    if (told_.size() <= m) told_.resize(m + 1, 0);
    told_[m] = std::max(told_[m], fact_number);
}

void oracle::forget_since(const std::vector<std::size_t>& told_then) {
    blind_.assign(truth_.size(), false);
    for (std::size_t m = 0; m < told_.size(); ++m) {
        const auto then = m < told_then.size() ? told_then[m] : 0;
        if (then != told_[m]) blind_[m] = true;
    }
}

void oracle::memory_lost(moment wall, moment now) {
    taken_for_new_.reset();
    if (wall >= now) return;
    lost_ = told_;
    taken_for_new_ = wall - 1000;  // SETs tell whole seconds
}

void oracle::sees_again(std::size_t m) {
    if (m < blind_.size()) blind_[m] = false;
}

void oracle::sees_all_again() {
    blind_.clear();
}

void oracle::started(moment wall, moment now) {
    behind_at_start_ = behind_worst_ = std::max<moment>(now - wall, 0);
    youngest_heartbeat_.reset();
}

void oracle::clock_shows(moment wall, moment now) {
    behind_worst_ = std::max(behind_worst_, now - wall);
}

void oracle::heard_heartbeat(moment as_of, moment wall, moment now) {
    const auto age = now - std::min(as_of, wall);
    youngest_heartbeat_ = std::min(youngest_heartbeat_.value_or(age), age);
}

bool oracle::ever_was(std::size_t m, const std::string& state_name) const {
    const auto& all = truth_.of(m);
    return std::any_of(all.begin(), all.end(),
                       [&](const fact& f) { return f.exists && state_name == name(f.is); });
}

std::optional<std::string> oracle::judge_teardown(std::size_t m, const std::string& effect) const {
    for (const auto s : {state::completed, state::revoked, state::superseded, state::expired}) {
        if (effect == name(s) && !ever_was(m, effect)) return "torn down as " + effect;
    }
    if (effect == "cascaded" || effect == "ended") return "torn down as " + effect;
    return std::nullopt;
}

std::optional<std::string> oracle::judge(std::size_t m, const said& s, moment wall,
                                         moment now) const {
    const auto& all = truth_.of(m);
    if (!s.permits) {
        // The own clock may deny what has a time; no other end may be made up.
        const bool own = s.standing == "expired";
        for (const auto known : {state::suspended, state::completed, state::revoked,
                                 state::superseded, state::expired}) {
            if (s.standing == name(known) && !own && !ever_was(m, s.standing))
                return "says " + s.standing + ", which it never was";
        }
        if (own && !ever_was(m, s.standing) &&
            std::none_of(all.begin(), all.end(), [&](const fact& f) { return wall >= f.expires; }))
            return "says expired, before its time";
        if (s.standing == "cascaded" || s.standing == "ended") return "says " + s.standing;
        return std::nullopt;
    }
    if (is_blind(m)) return std::nullopt;
    moment late = 0;
    if (behind_worst_ > 0) {
        // A heartbeat's age is counted from the youngest one's.
        late = behind_at_start_ + youngest_heartbeat_.value_or(0);
    }
    const auto since = now - max_stale_ - late;
    const auto first = m < told_.size() ? told_[m] : 0;
    std::string why = "no such version was active";
    for (std::size_t n = 0; n < all.size(); ++n) {
        const auto& f = all[n];
        if (!f.exists || f.is != state::active || f.version != s.version) continue;
        // A clock that is behind does not show its time: the registry does, within a second.
        const auto expires = f.expires + (behind_worst_ > 0 ? 1000 : 0);
        const auto until = std::min(n + 1 < all.size() ? all[n + 1].from : now + 1, expires);
        const bool for_new =
            taken_for_new_ && f.from > *taken_for_new_ && m < lost_.size() && first <= lost_[m];
        if (n < first && !for_new) {
            why = "it was told of something later";
        } else if (until <= since) {
            why = "that was over for " + std::to_string((now - until) / 1000) + " s";
        } else if (wall >= f.expires) {
            why = "its own clock says that it has expired";
        } else if (s.authority && *s.authority != f.authority) {
            why = "with authority " + std::to_string(*s.authority) + " instead of " +
                  std::to_string(f.authority);
        } else {
            return std::nullopt;
        }
    }
    return "permits version " + std::to_string(s.version) + ": " + why;
}

}  // namespace mission::model
