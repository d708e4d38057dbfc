// What every mission of a family must be, worked out eagerly: each cause takes effect on every
// descendant at the moment it happens. Knows nothing of settlements, marks or stores, and shares no
// rule with them: wire.md section 4 written down a second time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/error.hpp"
#include "base/time.hpp"
#include "events/mission_event.hpp"

namespace mission::transmitter::test {

class family_oracle {
  public:
    using state = events::mission_state;
    using on_expiry = events::on_expiry;
    using actions = unsigned;  // a set of actions, one bit each

    // What somebody is shown of a mission; every change of it is a version.
    struct face {
        state shown{};
        actions may = 0;
        wall_time end{};
        std::optional<wall_time> until;
        std::optional<on_expiry> then;
        bool operator==(const face&) const = default;
    };
    struct member {
        int parent = -1;
        int depth = 0;
        std::vector<int> children;
        state own = state::active;
        bool held = false;  // the parent is shown as suspended
        actions may = 0;
        wall_time end{};
        std::optional<wall_time> until;
        std::optional<on_expiry> then;
        std::int64_t version = 1;

        face told() const {
            return {!over() && held ? state::suspended : own, may, end, until, then};
        }
        bool over() const { return own != state::active && own != state::suspended; }
    };

    const member& at(int i) const { return members_[static_cast<std::size_t>(i)]; }
    int size() const { return static_cast<int>(members_.size()); }

    // The next end of a hold that comes before the end of its mission, and whose holds they are.
    std::pair<std::optional<wall_time>, std::vector<int>> next_hold_end() const {
        std::optional<wall_time> next;
        std::vector<int> who;
        for (int i = 0; i < size(); ++i) {
            const auto& m = at(i);
            if (m.own != state::suspended || !m.until || *m.until >= m.end) continue;
            if (next && *m.until > *next) continue;
            if (!next || *m.until < *next) who.clear();
            next = m.until;
            who.push_back(i);
        }
        return {next, who};
    }

    // Lets time pass: what is due happens in the order of its time.
    void advance(wall_time now) {
        for (;;) {
            std::optional<wall_time> next;
            for (const auto& m : members_)
                if (const auto due = deadline(m); due && *due <= now && (!next || *due < *next))
                    next = due;
            if (!next) return;
            strike(*next);
        }
    }

    // errc{}: it was done.
    errc create(int parent, actions may, wall_time end, int max_depth) {
        if (parent >= 0) {
            const auto& p = at(parent);
            if (p.told().shown != state::active) return errc::mission_conflict;
            if (p.depth >= max_depth || (may & ~p.may) || end > p.end)
                return errc::exceeds_authority;
        }
        add(parent, may, end);
        return {};
    }

    errc revoke(int i) { return finish(i, state::revoked); }
    errc complete(int i) { return finish(i, state::completed); }

    errc suspend(int i, std::optional<wall_time> until, std::optional<on_expiry> then,
                 wall_time now) {
        auto& m = of(i);
        if (m.over()) return errc::mission_conflict;
        if (m.own == state::suspended && m.until == until && m.then == then) return {};
        if (until && (*until <= now || *until > m.end)) return errc::invalid_request;
        return change(i, [&] {
            m.own = state::suspended;
            m.until = until;
            m.then = then;
        });
    }

    errc resume(int i) {
        auto& m = of(i);
        if (m.own != state::suspended) return errc::mission_conflict;
        return change(i, [&] { enter(m, state::active); });
    }

    errc narrow(int i, actions may, wall_time end, wall_time now) {
        auto& m = of(i);
        if (m.over()) return errc::mission_conflict;
        if ((may & ~m.may) || end > m.end) return errc::extension_not_allowed;
        if (end < m.end && end <= now) return errc::invalid_request;
        return change(i, [&] { cut(m, may, end); });
    }

    errc extend(int i, actions may, wall_time end) {
        auto& m = of(i);
        if (m.over()) return errc::mission_conflict;
        if ((m.may & ~may) || end < m.end) return errc::invalid_request;
        if (may == m.may && end == m.end) return {};
        if (m.parent >= 0 && ((may & ~at(m.parent).may) || end > at(m.parent).end))
            return errc::exceeds_authority;
        return change(i, [&] {
            m.may = may;
            m.end = end;
        });
    }

    // The successor is the last member then.
    errc succeed(int i, actions may, wall_time end, int max_depth) {
        if (at(i).told().shown != state::active) return errc::mission_conflict;
        if (const auto why = create(at(i).parent, may, end, max_depth); why != errc{}) return why;
        return change(i, [&] { enter(of(i), state::superseded); });
    }

  private:
    member& of(int i) { return members_[static_cast<std::size_t>(i)]; }

    static std::optional<wall_time> deadline(const member& m) {
        if (m.over()) return std::nullopt;
        if (m.own == state::suspended && m.until) return std::min(*m.until, m.end);
        return m.end;
    }

    void add(int parent, actions may, wall_time end) {
        member m;
        m.parent = parent;
        m.may = may;
        m.end = end;
        const int i = size();
        if (parent >= 0) {
            m.depth = at(parent).depth + 1;
            of(parent).children.push_back(i);
        }
        members_.push_back(m);
    }

    static void enter(member& m, state s) {
        m.own = s;
        m.until.reset();
        m.then.reset();
    }
    static void cut(member& m, actions may, wall_time end) {
        m.may &= may;
        m.end = std::min(m.end, end);
        if (m.until && *m.until > m.end) {
            m.until.reset();
            m.then.reset();
        }
    }

    errc finish(int i, state s) {
        auto& m = of(i);
        if (m.own == s) return {};
        if (m.over()) return errc::mission_conflict;
        return change(i, [&] { enter(m, s); });
    }

    struct step {
        face before, after;
    };

    // What a step of a parent does to one child; the child's own step, if anybody can see it.
    std::optional<step> follow(int child, const step& s) {
        auto& m = of(child);
        if (m.over()) return std::nullopt;
        const auto before = m.told();
        const bool parent_over =
            s.after.shown != state::active && s.after.shown != state::suspended;
        if (parent_over) {
            enter(m, state::cascaded);
        } else {
            m.held = s.after.shown == state::suspended;
            cut(m, s.after.may, s.after.end);
        }
        return seen(m, before);
    }
    static std::optional<step> seen(member& m, const face& before) {
        if (m.told() == before) return std::nullopt;
        ++m.version;
        return step{before, m.told()};
    }

    void spread(int i, const step& s) {
        for (const int child : at(i).children)
            if (const auto next = follow(child, s)) spread(child, *next);
    }

    template <class F>
    errc change(int i, F f) {
        const auto before = at(i).told();
        f();
        if (const auto s = seen(of(i), before)) spread(i, *s);
        return {};
    }

    // One instant: everybody's own deadline first (expiry wins over a parent's end of the same
    // moment), then what that means for the children, generation after generation.
    void strike(wall_time t) {
        std::vector<std::vector<step>> steps(members_.size());
        for (int i = 0; i < size(); ++i) {
            auto& m = of(i);
            const auto due = deadline(m);
            if (!due || *due > t) continue;
            const auto before = m.told();
            const bool expires = m.end <= t;
            const bool revokes = !expires && m.then == on_expiry::revoke;
            enter(m, expires ? state::expired : revokes ? state::revoked : state::active);
            if (const auto s = seen(m, before)) steps[static_cast<std::size_t>(i)].push_back(*s);
        }
        // A child has a higher number than its parent.
        for (int i = 0; i < size(); ++i)
            for (std::size_t k = 0; k < steps[static_cast<std::size_t>(i)].size(); ++k)
                for (const int child : at(i).children)
                    if (const auto s = follow(child, steps[static_cast<std::size_t>(i)][k]))
                        steps[static_cast<std::size_t>(child)].push_back(*s);
    }

    std::vector<member> members_;
};

}  // namespace mission::transmitter::test
