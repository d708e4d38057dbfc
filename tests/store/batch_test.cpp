#include "tests/store/harness.hpp"

#include <atomic>
#include <semaphore>
#include <thread>

#include "base/limits.hpp"

namespace mission::store::test {

namespace {

// A decision that makes a mission of this name.
decision yes(issuer_id issuer, std::string name) {
    return [issuer, name = std::move(name)](const rows&, wall_time) {
        return result<changes>(approve(issuer, name));
    };
}

// Holds the writer inside a decision, so that what is submitted meanwhile becomes one batch.
class gate {
  public:
    explicit gate(store& s) {
        s.submit(
            [this](const rows&, wall_time) -> result<changes> {
                entered_.release();
                leave_.acquire();
                return changes{};
            },
            [this](const result<receipt>&) { passed_.release(); });
        entered_.acquire();
    }
    void open() {
        leave_.release();
        passed_.acquire();
    }

  private:
    std::binary_semaphore entered_{0}, leave_{0}, passed_{0};
};

// Collects completions; wait() returns when `n` have come.
struct answers {
    explicit answers(std::size_t n) : left(static_cast<std::ptrdiff_t>(n)), got(n) {}
    completion slot(std::size_t i) {
        return [this, i](result<receipt> r) {
            got[i] = std::move(r);
            order.push_back(i);
            if (--left == 0) all.release();
        };
    }
    void wait() { all.acquire(); }
    std::ptrdiff_t left;  // writer thread
    std::vector<std::optional<result<receipt>>> got;
    std::vector<std::size_t> order;
    std::binary_semaphore all{0};
};

}  // namespace

TEST_CASE_TEMPLATE("what waits becomes one batch, and each decision sees the ones before it", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    gate g(*t);
    answers a(4);
    t->submit([&](const rows&, wall_time) { return result<changes>(approve(t.issuer, "m")); },
              a.slot(0));
    t->submit(move_to(t.issuer, "m", state::suspended), a.slot(1));
    t->submit(move_to(t.issuer, "m", state::revoked), a.slot(2));
    seq_t seen = 0;
    t->submit(
        [&](const rows& r, wall_time) -> result<changes> {
            seen = r.head();
            CHECK(r.signals(0, 100, 100).size() == 3);
            CHECK(!r.next_deadline());
            return changes{};
        },
        a.slot(3));
    g.open();
    a.wait();
    for (const auto& r : a.got)
        CHECK(r->has_value());
    CHECK(seen == 3);
    CHECK(a.order == std::vector<std::size_t>{0, 1, 2, 3});
    const auto log = look(*t, [](const rows& r) { return r.signals(0, 10, 10); });
    REQUIRE(log.size() == 3);
    CHECK(log[0].batch_id == log[2].batch_id);
    REQUIRE(run(*t, approve(t.issuer, "n")));
    CHECK(look(*t, [](const rows& r) { return r.signals(3, 4, 1)[0].batch_id; }) !=
          log[0].batch_id);
}

TEST_CASE_TEMPLATE("steps are batches of their own, and what else waits goes before each", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    gate g(*t);
    answers a(5);
    t->submit_step(
        [&](const rows&, wall_time) -> result<changes> {
            t->submit(yes(t.issuer, "urgent"), a.slot(3));  // comes while the step is under way
            return approve(t.issuer, "first step");
        },
        a.slot(0));
    t->submit_step(yes(t.issuer, "second step"), a.slot(1));
    t->submit(yes(t.issuer, "decision"), a.slot(2));
    t->submit(yes(t.issuer, "another"), a.slot(4));
    g.open();
    a.wait();
    for (const auto& r : a.got)
        CHECK(r->has_value());
    CHECK(a.order == std::vector<std::size_t>{2, 4, 0, 3, 1});
    const auto log = look(*t, [](const rows& r) { return r.signals(0, 10, 10); });
    REQUIRE(log.size() == 5);
    CHECK(log[0].batch_id == log[1].batch_id);
    CHECK(log[1].batch_id != log[2].batch_id);
    CHECK(log[2].batch_id != log[3].batch_id);
    CHECK(log[3].batch_id != log[4].batch_id);
}

TEST_CASE_TEMPLATE("trimming goes on while there are steps, and seldom comes before them", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    REQUIRE(run(*t, approve_many(t.issuer, 1200)));
    constexpr std::size_t steps = 12;
    answers a(steps);
    std::vector<seq_t> tails;
    gate g(*t);
    std::binary_semaphore trimmed{0};
    t->trim(1200, [&](const result<void>& r) {
        CHECK(r);
        CHECK(a.left == 0);
        trimmed.release();
    });
    for (std::size_t i = 0; i < steps; ++i)
        t->submit_step(
            [&](const rows& r, wall_time) -> result<changes> {
                tails.push_back(r.tail());
                return changes{};
            },
            a.slot(i));
    g.open();
    a.wait();
    trimmed.acquire();
    REQUIRE(tails.size() == steps);
    CHECK(tails[steps / 2] == 1);
    CHECK(tails.back() > 1);
    CHECK(tails.back() < 1201);
    CHECK(look(*t, [](const rows& r) { return r.tail(); }) == 1201);
}

TEST_CASE_TEMPLATE("a refusal in mid-batch disturbs nobody else", Kind, ALL_BACKENDS) {
    opened<Kind> t;
    gate g(*t);
    answers a(5);
    t->submit(yes(t.issuer, "a"), a.slot(0));
    t->submit([](const rows&, wall_time) -> result<changes> { return errc::forbidden; }, a.slot(1));
    t->submit(yes(t.issuer, "a"), a.slot(2));  // taken by the first
    t->submit([](const rows&, wall_time) -> result<changes> { throw std::runtime_error("bug"); },
              a.slot(3));
    t->submit(yes(t.issuer, "b"), a.slot(4));
    g.open();
    a.wait();
    CHECK(a.got[0]->value().seqs == std::vector<seq_t>{1});
    CHECK(a.got[1]->error() == errc::forbidden);
    CHECK(a.got[2]->error() == errc::mission_exists);
    CHECK(a.got[3]->error() == errc::store_unavailable);
    CHECK(a.got[4]->value().seqs == std::vector<seq_t>{2});
    CHECK(head(*t) == 2);
    CHECK(t->health().has_value());
}

TEST_CASE_TEMPLATE("the listener gets a batch's signals whole, in order and after its answers",
                   Kind, ALL_BACKENDS) {
    opened<Kind> t;
    std::vector<seq_t> heard;
    std::size_t calls = 0;
    seq_t visible = 0;
    t->set_commit_listener([&](std::shared_ptr<const std::vector<signal>> signals) {
        ++calls;
        for (const auto& s : *signals)
            heard.push_back(s.seq);
        // Durable already: another reader sees it.
        CHECK(t->read_now([&](const rows& r) { visible = r.head(); }).has_value());
    });
    gate g(*t);
    std::vector<std::size_t> heard_at_answer;
    for (int i = 0; i < 3; ++i)
        t->submit(
            [&t, i](const rows&, wall_time) {
                return result<changes>(approve(t.issuer, "m" + std::to_string(i)));
            },
            [&](const result<receipt>& r) {
                CHECK(r.has_value());
                heard_at_answer.push_back(heard.size());
            });
    g.open();
    REQUIRE(run(*t, changes{}));  // in that batch, or in a later one
    REQUIRE(run(*t, changes{}));  // the writer is past it
    CHECK(calls == 1);
    CHECK(heard == std::vector<seq_t>{1, 2, 3});
    CHECK(visible == 3);
    CHECK(heard_at_answer == std::vector<std::size_t>{0, 0, 0});
    // What writes no signal is nothing to hear.
    REQUIRE(run(*t, subscribe(t.issuer, "s")));
    CHECK(calls == 1);
}

TEST_CASE_TEMPLATE("beyond the queue's limit a submission is refused at once", Kind, ALL_BACKENDS) {
    opened<Kind> t;
    gate g(*t);
    std::atomic<std::size_t> answered = 0;
    for (std::size_t i = 0; i < limits::queued_decisions; ++i)
        t->submit([](const rows&, wall_time) { return result<changes>(changes{}); },
                  [&](const result<receipt>&) { ++answered; });
    CHECK(answered == 0);
    std::optional<result<receipt>> refused;
    t->submit([](const rows&, wall_time) { return result<changes>(changes{}); },
              [&](result<receipt> r) { refused = std::move(r); });
    REQUIRE(refused.has_value());  // on this thread, before submit() returned
    CHECK(refused->error() == errc::store_unavailable);
    g.open();
    while (answered == 0)  // the queue is full until the writer has taken the first of them
        std::this_thread::yield();
    REQUIRE(run(*t, approve(t.issuer, "after")));
    CHECK(answered == limits::queued_decisions);
}

TEST_CASE_TEMPLATE("closing the store answers everything that waits", Kind, ALL_BACKENDS) {
    opened<Kind> t;
    std::atomic<int> answered = 0;
    std::atomic<int> read = 0;
    for (int i = 0; i < 3000; ++i) {
        t->submit(
            [&t, i](const rows&, wall_time) {
                return result<changes>(approve(t.issuer, "m" + std::to_string(i)));
            },
            [&](const result<receipt>& r) { answered += r.has_value(); });
        if (i % 100 == 0)
            t->read([](const rows&) {}, [&](const result<void>& r) { read += r.has_value(); });
    }
    t.db.reset();
    CHECK(answered == 3000);
    CHECK(read == 30);
}

TEST_CASE_TEMPLATE("a receipt names what was written, in the order of the changes", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    changes c = subscribe(t.issuer, "s");
    c.missions = {approval(t.issuer, "a"), approval(t.issuer, "b")};
    const auto done = run(*t, c).value();
    CHECK(done.seqs == std::vector<seq_t>{1, 2});
    REQUIRE(done.missions.size() == 2);
    REQUIRE(done.streams.size() == 1);
    CHECK(look(*t, [&](const rows& r) {
              return r.find_mission(done.missions[1])->record.mission_id;
          }) == long_id("b"));
    CHECK(look(*t, [&](const rows& r) { return r.find_cursor(done.streams[0]).has_value(); }));
    const auto nothing = run(*t, changes{}).value();
    CHECK(nothing.seqs.empty());
    CHECK(nothing.committed_at == start_time);
}

}  // namespace mission::store::test
