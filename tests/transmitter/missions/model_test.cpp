#include <doctest/doctest.h>

#include "tests/transmitter/printing.hpp"

#include <random>

#include "transmitter/missions/judge.hpp"

using namespace mission;
using namespace mission::transmitter;
using events::mission_state;

// Random histories against the rules that hold whatever happens: the judge is compared with what
// must be true afterwards, not with a second copy of itself.

namespace {

const wall_time start = from_milliseconds(1'800'000'000'000);

struct history {
    store::mission_state m;
    wall_time now = start;
    std::mt19937_64 random;

    explicit history(std::uint64_t seed) : random(seed) {
        m.state = mission_state::active;
        m.version = 1;
        m.authority_revision = 1;
        m.expires_at = start + std::chrono::seconds(200);
    }

    void check_step(const store::mission_state& before, const proposal& p) {
        const auto& after = p.next;
        CHECK(after.version == before.version + 1);
        CHECK_FALSE(events::is_terminal(before.state));
        CHECK(after.authority_revision >= before.authority_revision);
        CHECK(after.expires_at <= before.expires_at);
        if (after.state != mission_state::suspended) {
            CHECK_FALSE(after.suspend_until);
            CHECK_FALSE(after.on_expiry);
        }
        CHECK(after.suspend_until.has_value() == after.on_expiry.has_value());
        if (after.suspend_until) CHECK(*after.suspend_until <= after.expires_at);
        if (before.expires_at <= now) CHECK(after.state == mission_state::expired);
    }

    void settle() {
        while (const auto p = judge_clock(m, now)) {
            check_step(m, *p);
            m = p->next;
        }
        const auto deadline = next_deadline(m);
        if (deadline) CHECK(*deadline > now);
    }

    void operate() {
        operation_request r;
        r.what = static_cast<operation>(random() % 4);
        if (random() % 3 == 0) r.expected_version = m.version - static_cast<int>(random() % 2);
        if (r.what == operation::suspend && random() % 2 == 0) {
            r.suspend_until = now + std::chrono::seconds(static_cast<int>(random() % 40) - 5);
            r.expiry_action = random() % 2 ? events::on_expiry::resume : events::on_expiry::revoke;
        }
        const auto judged = judge_operation(m, r, now);
        if (!judged || !*judged) return;
        if (r.expected_version) CHECK(*r.expected_version == m.version);
        check_step(m, **judged);
        m = (*judged)->next;
    }

    void narrow() {
        const auto none = json::parse("[]");
        scope_request r;
        r.expires_at = now + std::chrono::seconds(static_cast<int>(random() % 300) - 10);
        const auto judged = judge_narrowing(m, *none, r, now);
        if (!judged || !*judged) return;
        check_step(m, **judged);
        CHECK((*judged)->next.state == m.state);
        m = (*judged)->next;
    }
};

}  // namespace

TEST_CASE("no history breaks an invariant of the state machine") {
    for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
        CAPTURE(seed);
        history h(seed);
        for (int step = 0; step < 40; ++step) {
            h.now += std::chrono::milliseconds(h.random() % 12'000);
            h.settle();
            if (h.random() % 4 == 0)
                h.narrow();
            else
                h.operate();
        }
    }
}
