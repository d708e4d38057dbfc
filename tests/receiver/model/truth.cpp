#include "tests/receiver/model/truth.hpp"

#include <algorithm>

namespace mission::model {

const char* name(state s) noexcept {
    constexpr const char* names[] = {"active",  "suspended",  "completed",
                                     "revoked", "superseded", "expired"};
    return names[static_cast<std::size_t>(s)];
}

bool registry::permits(std::size_t m, moment at) const {
    const auto& f = now_of(m);
    return f.exists && f.is == state::active && at < f.expires;
}

std::size_t registry::create(moment now, dice& d) {
    fact f;
    f.from = f.committed = now;
    f.expires = now + 1000 * (d.chance(20) ? d.between(5, 120) : d.between(600, 100'000));
    f.authority = static_cast<unsigned>(d.between(1, 15));
    f.history = history_;
    missions_.push_back({f});
    last_commit_ = now;
    return missions_.size() - 1;
}

std::size_t registry::change(std::size_t m, moment now, dice& d) {
    auto f = now_of(m);
    if (!f.exists || ended(f.is) || now >= f.expires) return npos;
    f.was = f.is;
    f.authority_changed = f.expiry_changed = false;
    const auto what = d.below(100);
    if (what < 35) {
        f.is = f.is == state::active ? state::suspended : state::active;
    } else if (what < 50) {
        constexpr state ends[] = {state::revoked, state::revoked, state::completed,
                                  state::superseded};
        f.is = ends[d.below(std::size(ends))];
        if (f.is == state::superseded && f.was != state::active) f.is = state::revoked;
    } else if (what < 85) {
        const auto mask = static_cast<unsigned>(d.between(1, 15));
        const auto other = d.chance(70) ? f.authority & mask : f.authority | mask;
        f.authority_changed = other != f.authority;
        f.authority = other;
    } else {
        f.expires = now + 1000 * d.between(2, 300);
        f.expiry_changed = true;
    }
    if (f.is == f.was && !f.authority_changed && !f.expiry_changed) return npos;
    ++f.version;
    f.from = f.committed = last_commit_ = now;
    f.history = history_;
    missions_[m].push_back(f);
    return m;
}

std::size_t registry::expire_next(moment now) {
    for (std::size_t m = 0; m < missions_.size(); ++m) {
        auto f = now_of(m);
        if (!f.exists || ended(f.is) || now < f.expires) continue;
        f.was = f.is;
        f.is = state::expired;
        f.authority_changed = f.expiry_changed = false;
        ++f.version;
        f.from = f.committed = last_commit_ = now;
        f.history = history_;
        missions_[m].push_back(f);
        return m;
    }
    return npos;
}

void registry::take_copy() {
    copy_.clear();
    for (const auto& m : missions_)
        copy_.push_back(m.back());
    copied_ = true;
    copied_at_ = last_commit_;
}

void registry::restore(moment now) {
    ++history_;
    for (std::size_t m = 0; m < missions_.size(); ++m) {
        fact f;
        f.exists = false;
        if (m < copy_.size()) f = copy_[m];
        f.from = now;
        f.history = history_;
        missions_[m].push_back(f);
    }
    copied_ = false;
}

}  // namespace mission::model
