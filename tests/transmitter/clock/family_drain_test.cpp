// The drain at work: over a store, with a runtime and turns.
#include "transmitter/clock/family_drain.hpp"

#include <condition_variable>
#include <mutex>

#include "tests/transmitter/missions/family_support.hpp"

namespace mission::transmitter::test {
namespace {

using store::test::sqlite_kind;

// A transmitter as far as the drain knows it.
struct drained_registry : registry<sqlite_kind> {
    explicit drained_registry(pace how = {}) : how_(std::move(how)) { watch(); }
    ~drained_registry() { stop(); }

    void start() {
        common.time = &time;
        common.random = &system_random();
        runtime = net::make_runtime(1, 1);
        common.runtime = runtime.get();
        common.db = db.get();
        one.common = &common;
        one.settings.url = "https://mas.example";
        one.id = issuer;
        turns = make_pacer(*runtime, how_);
        drain = make_family_drain(common, {&one}, turns);
        db->set_mark_listener([d = drain] { d->wake(); });
        drain->start();
    }
    void stop() {
        if (!runtime) return;
        drain->stop();
        turns->stop();
        runtime->stop();
        runtime.reset();
    }
    void restart() {
        stop();
        db.reset();
        store::store_options options;
        options.time = &time;
        db = store::open_store(sqlite_kind::url(folder), options).value();
        watch();
        start();
    }

    // Every batch: how many signals.
    void watch() {
        db->set_commit_listener([this](const auto& batch) {
            const std::lock_guard lock(mutex);
            batches.push_back(batch->size());
            changed.notify_all();
        });
    }
    // Until nothing is owed: looked at after each commit.
    bool settled() {
        std::unique_lock lock(mutex);
        for (;;) {
            const std::size_t seen = batches.size();
            lock.unlock();
            const bool none =
                look(*db, [](const store::rows& rows) { return rows.cascades(1).empty(); });
            lock.lock();
            if (none) return true;
            // The last step settles a mark and may tell nothing.
            if (changed.wait_for(lock, std::chrono::milliseconds(100),
                                 [&] { return batches.size() != seen; }))
                tries = 0;
            else if (++tries > 300)
                return false;
        }
    }

    std::vector<store::signal> log() {
        return look(
            *db, [](const store::rows& rows) { return rows.signals(0, rows.head(), 1'000'000); });
    }
    void family(std::string_view parent, int children) {
        for (int i = 0; i < children; ++i)
            approve(std::string(parent) + "-" + std::to_string(i), parent).value();
    }

    pace how_;
    service common;
    issuer_service one;
    std::unique_ptr<net::runtime> runtime;
    std::shared_ptr<pacer> turns;
    std::shared_ptr<family_drain> drain;
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<std::size_t> batches;
    int tries = 0;
};

}  // namespace

TEST_CASE("an end reaches the last descendant, generation after generation") {
    drained_registry r;
    r.approve("a").value();
    r.family("a", 5);
    for (int i = 0; i < 5; ++i)
        r.family("a-" + std::to_string(i), 4);
    r.family("a-3-2", 3);
    r.start();
    REQUIRE(r.settled());
    const auto before = r.log().size();
    CHECK(before == 29);
    r.operate("a", operation::revoke).value();
    REQUIRE(r.settled());
    const auto log = r.log();
    REQUIRE(log.size() == 2 * before);
    std::int64_t depth = 0;
    for (std::size_t i = before; i < log.size(); ++i) {
        const auto m = look(*r.db, [&](const store::rows& rows) {
            return rows.find_mission(log[i].mission).value();
        });
        CHECK(m.record.depth >= depth);
        depth = m.record.depth;
        CHECK(m.state.state == (i == before ? state::revoked : state::cascaded));
        CHECK(m.state.version == 2);
    }
    CHECK(depth == 3);
}

TEST_CASE("a drain that was stopped in the middle goes on at the next start") {
    drained_registry r;
    r.approve("a").value();
    r.family("a", 40);
    r.operate("a", operation::suspend).value();
    REQUIRE(r.drain_once(15));
    CHECK(r.row("a-14").state == state::suspended);
    CHECK(r.row("a-15").state == state::active);
    r.restart();
    REQUIRE(r.settled());
    for (int i = 0; i < 40; ++i) {
        const auto s = r.row("a-" + std::to_string(i));
        CHECK(s.state == state::suspended);
        CHECK(s.version == 2);  // each once
    }
}

TEST_CASE("a parent that changes again while its children are visited reaches all of them") {
    drained_registry r;
    r.approve("a").value();
    r.family("a", 30);
    r.operate("a", operation::suspend).value();
    REQUIRE(r.drain_once(10));
    r.operate("a", operation::resume).value();
    r.start();
    REQUIRE(r.settled());
    for (int i = 0; i < 30; ++i) {
        const auto s = r.row("a-" + std::to_string(i));
        CHECK(s.state == state::active);
        CHECK(s.version == 3);
    }
}

TEST_CASE("a decision waits for one step at most, and the step after it waits too") {
    drained_registry r;
    r.approve("a").value();
    r.approve("urgent").value();
    r.decide([&](settlement& s, const store::rows&, wall_time at) -> result<void> {
         const auto above = s.settle(r.issuer, long_id("a"));
         for (int i = 0; i < 3000; ++i) {
             auto c = store::test::approval(r.issuer, "c" + std::to_string(i));
             auto record = *c.approval;
             record.parent = above->record.mission_id;
             record.parent_row = above->state.row;
             record.depth = 1;
             auto first = c.state;
             first.expires_at = at + 1h;
             s.approve(record, first, std::string(plain_authority), {}, operator_at_work());
         }
         return {};
     }).value();
    r.start();
    r.operate("a", operation::suspend).value();
    int urgent = 0;
    for (bool more = true; more; ++urgent) {
        std::size_t before = 0;
        {
            const std::lock_guard lock(r.mutex);
            before = r.batches.size();
        }
        r.operate("urgent", urgent % 2 ? operation::resume : operation::suspend).value();
        {
            const std::lock_guard lock(r.mutex);
            // A step whose end had not been heard, the one that was under way, and its own.
            CHECK(r.batches.size() - before <= 3);
            more = r.batches.size() < 200;
        }
        more =
            more && look(*r.db, [](const store::rows& rows) { return !rows.cascades(1).empty(); });
    }
    CHECK(urgent > 3);
    REQUIRE(r.settled());
    {
        const std::lock_guard lock(r.mutex);
        for (const auto n : r.batches)
            CHECK((n <= 1001 || n == 3000));
    }
    CHECK(r.row("c2999").state == state::suspended);
}

TEST_CASE("streams that stay behind slow the drain down and do not stop it") {
    drained_registry r({[] { return std::chrono::milliseconds(1h); }, 1s});
    r.approve("a").value();
    r.family("a", 3);
    r.start();
    r.operate("a", operation::revoke).value();
    CHECK(r.settled());
    CHECK(r.row("a-2").state == state::cascaded);
}

TEST_CASE("a drain with nothing to do leaves the store alone") {
    drained_registry r;
    r.approve("a").value();
    r.start();
    REQUIRE(r.settled());
    const auto head = r.log().size();
    r.approve("b").value();
    CHECK(r.log().size() == head + 1);
    CHECK(look(*r.db,
               [&](const store::rows& rows) { return rows.audit(r.issuer, 0, 100).size(); }) == 2);
}

}  // namespace mission::transmitter::test
