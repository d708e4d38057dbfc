#include <doctest/doctest.h>

#include "tests/transmitter/printing.hpp"

#include <random>

#include "transmitter/missions/extension.hpp"
#include "transmitter/missions/judge.hpp"
#include "transmitter/missions/succession.hpp"

using namespace mission;
using namespace mission::transmitter;

// A million random steps against the table of wire.md section 4, written down here as data and
// followed by a model that knows nothing of the judge: it keeps a mission's own state and what lies
// over it apart, and derives what everybody is told.

namespace {

using state = events::mission_state;
using events::on_expiry;

enum class event {
    revoke,
    complete,
    suspend,
    resume,
    hold_resumes,
    hold_revokes,
    expires,
    succeeded,
    parent_ends
};

struct row {
    state from;
    event what;
    state to;
};

// wire.md section 4, row by row. What is not here is illegal.
constexpr row table[] = {
    {state::active, event::revoke, state::revoked},
    {state::active, event::complete, state::completed},
    {state::suspended, event::revoke, state::revoked},
    {state::suspended, event::complete, state::completed},
    {state::active, event::suspend, state::suspended},
    {state::suspended, event::resume, state::active},
    {state::suspended, event::hold_resumes, state::active},
    {state::suspended, event::hold_revokes, state::revoked},
    {state::active, event::expires, state::expired},
    {state::suspended, event::expires, state::expired},
    {state::active, event::succeeded, state::superseded},
    {state::active, event::parent_ends, state::cascaded},
    {state::suspended, event::parent_ends, state::cascaded},
};

std::optional<state> follow(state from, event what) {
    for (const auto& r : table)
        if (r.from == from && r.what == what) return r.to;
    return std::nullopt;
}

bool ended(state s) {
    return s != state::active && s != state::suspended;
}

// The state that an operation leads to, wherever it is legal from.
state goal(event what) {
    for (const auto& r : table)
        if (r.what == what) return r.to;
    return state::active;
}

struct model {
    state own = state::active;
    bool held = false;  // by the parent
    std::int64_t version = 1;
    std::int64_t authority = 1;
    wall_time end{};
    std::optional<wall_time> until;
    std::optional<on_expiry> then;

    state shown() const { return !ended(own) && held ? state::suspended : own; }

    struct face {
        state s;
        std::int64_t authority;
        wall_time end;
        std::optional<wall_time> until;
        std::optional<on_expiry> then;
        bool operator==(const face&) const = default;
    };
    face told() const { return {shown(), authority, end, until, then}; }

    // Every change that somebody can see is a version, every other one is none.
    void changed_from(const face& before) {
        if (!(told() == before)) ++version;
    }

    void enter(state to) {
        own = to;
        until.reset();
        then.reset();
    }

    errc operate(event what, std::optional<wall_time> new_until, std::optional<on_expiry> new_then,
                 std::optional<std::int64_t> expected, wall_time now) {
        if (expected && *expected != version) return errc::stale_version;
        const auto before = told();
        const auto to = follow(own, what);
        const bool there = own == goal(what) && what != event::resume;
        if (!to && !there) return errc::mission_conflict;
        if (there && (what != event::suspend || (new_until == until && new_then == then)))
            return errc{};
        if (new_until && (*new_until <= now || *new_until > end)) return errc::invalid_request;
        enter(goal(what));
        until = new_until;
        then = new_then;
        changed_from(before);
        return errc{};
    }

    void tick(wall_time now) {
        for (;;) {
            const auto before = told();
            if (!ended(own) && end <= now)
                enter(*follow(own, event::expires));
            else if (own == state::suspended && until && *until <= now)
                enter(*follow(
                    own, then == on_expiry::revoke ? event::hold_revokes : event::hold_resumes));
            else
                return;
            changed_from(before);
        }
    }

    void cut(wall_time new_end) {
        const auto before = told();
        end = new_end;
        if (until && *until > end) {
            until.reset();
            then.reset();
        }
        changed_from(before);
    }
};

const wall_time start = from_milliseconds(1'800'000'000'000);

class run {
  public:
    explicit run(std::uint64_t seed) : random_(seed) { begin(); }

    // False: the two disagree, and `what` says where.
    bool step() {
        if (ended(model_.own) && dice(4) == 0) begin();
        now_ += std::chrono::milliseconds(dice(3) == 0 ? dice(9000) : 0);
        settle();
        switch (dice(8)) {
            case 0:
                parent();
                break;
            case 1:
                narrow();
                break;
            case 2:
                extend();
                break;
            case 3:
                supersede();
                break;
            default:
                operate();
        }
        return agree();
    }

    std::string what = "";
    std::uint64_t versions = 0, refusals = 0, quiet = 0;

  private:
    int dice(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }
    wall_time around() { return now_ + std::chrono::seconds(dice(60) - 6); }

    void begin() {
        model_ = {};
        model_.end = now_ + std::chrono::seconds(1 + dice(90));
        real_ = {};
        real_.state = state::active;
        real_.version = real_.authority_revision = 1;
        real_.expires_at = model_.end;
    }

    void take(const proposal& p) {
        versions += p.next.version != real_.version;
        quiet += p.quiet;
        if (p.quiet != (p.next.version == real_.version)) what = "quiet, with a version";
        if (p.next.version > real_.version + 1) what = "more than one version";
        real_ = p.next;
    }

    void same_answer(const result<std::optional<proposal>>& judged, errc expected) {
        const auto code = judged ? errc{} : judged.error().code;
        if (code != expected) what += " answers differ";
        refusals += !judged;
        if (judged && *judged) take(**judged);
    }

    void settle() {
        while (const auto p = judge_clock(real_, now_))
            take(*p);
        model_.tick(now_);
        if (const auto next = next_deadline(real_); next && *next <= now_)
            what = "a deadline in the past is left";
    }

    void operate() {
        static constexpr std::pair<operation, event> all[] = {
            {operation::revoke, event::revoke},   {operation::complete, event::complete},
            {operation::suspend, event::suspend}, {operation::suspend, event::suspend},
            {operation::resume, event::resume},   {operation::resume, event::resume}};
        // Ends are rare, or nothing else would be seen.
        const auto [op, ev] = all[dice(12) == 0 ? dice(2) : 2 + dice(4)];
        what = std::string(name(op));
        operation_request r;
        r.what = op;
        if (op == operation::suspend && dice(2)) {
            // The same deadline as stands, now and then.
            r.suspend_until = model_.until && dice(3) == 0 ? *model_.until : around();
            r.expiry_action = dice(2) ? on_expiry::resume : on_expiry::revoke;
        }
        if (dice(4) == 0) r.expected_version = model_.version - dice(2);
        const auto expected =
            model_.operate(ev, r.suspend_until, r.expiry_action, r.expected_version, now_);
        same_answer(judge_operation(real_, r, now_), expected);
    }

    // A parent's hold and lift take turns; its end comes once.
    void parent() {
        store::mission_version effect;
        const auto before = model_.told();
        if (dice(20) == 0) {
            what = "parent ends";
            effect.effect = store::family_effect::end;
            effect.state = state::revoked;
            if (const auto to = follow(model_.own, event::parent_ends)) model_.enter(*to);
        } else if (dice(4) == 0) {
            what = "parent is narrowed";
            effect.effect = store::family_effect::narrowed;
            effect.expires_at = now_ + std::chrono::seconds(1 + dice(90));
            if (!ended(model_.own) && effect.expires_at < model_.end)
                return with(effect, [&] { model_.cut(effect.expires_at); });
        } else if (!ended(model_.own)) {
            what = model_.held ? "parent is resumed" : "parent is suspended";
            effect.effect = model_.held ? store::family_effect::lift : store::family_effect::hold;
            model_.held = !model_.held;
        }
        with(effect, [&] { model_.changed_from(before); });
    }
    template <class F>
    void with(const store::mission_version& effect, F f) {
        if (const auto p = judge_effect(real_, effect, "[]", "[]", now_)) take(*p);
        f();
    }

    void narrow() {
        what = "narrow";
        const auto none = json::parse("[]");
        scope_request r;
        r.expires_at = dice(5) == 0 ? model_.end : around();
        if (dice(4) == 0) r.expected_version = model_.version - dice(2);
        errc expected{};
        if (r.expected_version && *r.expected_version != model_.version)
            expected = errc::stale_version;
        else if (ended(model_.own))
            expected = errc::mission_conflict;
        else if (*r.expires_at > model_.end)
            expected = errc::extension_not_allowed;
        else if (*r.expires_at < model_.end && *r.expires_at <= now_)
            expected = errc::invalid_request;
        else
            model_.cut(*r.expires_at);
        same_answer(judge_narrowing(real_, *none, r, now_), expected);
    }

    void extend() {
        what = "extend";
        const auto none = json::parse("[]"), more = json::parse(R"([{"type":"t"}])");
        scope_request r;
        const bool later = dice(2), wider = dice(2);
        if (later) r.expires_at = model_.end + std::chrono::seconds(dice(20) - 5);
        if (wider) r.authorization_details = &*more;
        errc expected{};
        const auto before = model_.told();
        if (ended(model_.own)) {
            expected = errc::mission_conflict;
        } else if (later && *r.expires_at < model_.end) {
            expected = errc::invalid_request;
        } else {
            if (later) model_.end = *r.expires_at;
            model_.authority += wider;
            model_.changed_from(before);
        }
        same_answer(judge_extension(real_, *none, r, {true}, now_), expected);
    }

    void supersede() {
        if (dice(20)) return;
        what = "supersede";
        store::mission whole;
        whole.state = real_;
        const bool legal = check_predecessor(whole, std::nullopt).has_value();
        // What everybody is told decides: a mission that its parent holds is suspended.
        if (legal != (follow(model_.shown(), event::succeeded) == state::superseded))
            what += ": legality differs";
        if (!legal) return;
        const auto before = model_.told();
        model_.enter(*follow(model_.own, event::succeeded));
        model_.changed_from(before);
        take(judge_supersession(real_, "the-successor", now_));
    }

    bool agree() {
        const auto& r = real_;
        const model::face told{r.state, r.authority_revision, r.expires_at, r.suspend_until,
                               r.on_expiry};
        const bool held = model_.held && !ended(model_.own);
        const bool same = told == model_.told() && r.version == model_.version &&
                          own_state(r) == model_.own && r.parent_hold == held &&
                          !(r.own_hold && !r.parent_hold) &&
                          r.suspend_until.has_value() == r.on_expiry.has_value();
        if (!same)
            what += ": version " + std::to_string(r.version) + " " +
                    std::string(events::name(r.state)) + ", the model has " +
                    std::to_string(model_.version) + " " +
                    std::string(events::name(model_.shown()));
        return same && what.find("differ") == std::string::npos &&
               what.find("version ") == std::string::npos && what.find("left") == std::string::npos;
    }

    std::mt19937_64 random_;
    wall_time now_ = start;
    model model_;
    store::mission_state real_;
};

}  // namespace

TEST_CASE("a million steps of the state machine follow the table") {
    std::uint64_t versions = 0, refusals = 0, quiet = 0;
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
        run r(seed);
        for (int i = 0; i < 10'000; ++i)
            if (!r.step()) {
                CAPTURE(seed);
                CAPTURE(i);
                FAIL(r.what);
            }
        versions += r.versions;
        refusals += r.refusals;
        quiet += r.quiet;
    }
    // The walk went everywhere.
    CHECK(versions > 150'000);
    CHECK(refusals > 150'000);
    CHECK(quiet > 1'000);
    MESSAGE(versions, " versions, ", refusals, " refusals, ", quiet, " quiet changes");
}
