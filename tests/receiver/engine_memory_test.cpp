// How much the engine keeps, what it forgets, and that forgetting never permits anything.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <future>

#include "base/limits.hpp"
#include "tests/receiver/real_state.hpp"
#include "tests/receiver/wait.hpp"

using namespace mission;
using namespace mission::receiver;
using namespace mission::receiver::testing;
using ms::standing;
using test::temp_dir;

namespace {

const std::string pay = R"([{"type":"t","resource":"r","actions":["pay"]}])";
const std::string read_and_pay = R"([{"type":"t","resource":"r","actions":["pay","read"]}])";

bool may(real_run& r, int n, const char* action) {
    const auto [now, authority] = r.e->authorities().look(real_issuer, real_id(n), coarse_now());
    return now.permitted() && authority && authority->permits("r", action);
}

}  // namespace

TEST_CASE("what is not worked on is read back from its row when a SET is about it") {
    temp_dir dir;
    std::string path;
    SUBCASE("in a file") {
        path = dir / "state.db";
    }
    SUBCASE("in memory") {}
    real_run r(path, 1000, {8, 1u << 20});
    r.join();
    for (int n = 0; n < 200; ++n)
        REQUIRE(r.mission(n, 1, "active").fate == set_fate::acknowledge);
    CHECK(r.e->working() <= 8);
    CHECK(r.e->table().size() == 200);
    for (int n = 0; n < 200; ++n)
        REQUIRE(r.mission(n, 2, n % 2 == 0 ? "suspended" : "active").fate == set_fate::acknowledge);
    CHECK(r.e->working() <= 8);
    int active = 0, suspended = 0;
    for (int n = 0; n < 200; ++n) {
        CHECK(r.version(n) == 2);
        active += r.now(n) == standing::active ? 1 : 0;
        suspended += r.now(n) == standing::suspended ? 1 : 0;
    }
    // In order, so confirmed and no gap: as if all had been in memory.
    CHECK(active == 100);
    CHECK(suspended == 100);
    CHECK(r.asked.empty());
    CHECK(r.e->view({real_issuer, real_id(3)})->state == "active");
    CHECK(r.e->list(1000).size() == 200);
    CHECK(r.e->list(7).size() == 7);
    // One that is known by version is known to be old.
    CHECK(r.mission(0, 1, "active").fate == set_fate::acknowledge);
    CHECK(r.now(0) == standing::suspended);
}

TEST_CASE("long texts are not kept for longer than short ones: octets are counted too") {
    real_run r("", 1000, {1000, 100'000});
    r.join();
    const std::string much = R"([{"type":"t","note":")" + std::string(20'000, 'x') + R"("}])";
    for (int n = 0; n < 50; ++n)
        r.status(n, 1, "active", r.ask(n), much);
    r.settle();
    CHECK(r.e->working() <= 6);
    CHECK(r.e->authorities().of(real_issuer, real_id(0)) != nullptr);
}

TEST_CASE("authority is fetched from the row when it is asked for, and follows what is shown") {
    temp_dir dir;
    real_run r(dir / "state.db", 1000, {4, 1u << 20});
    r.join();
    for (int n = 0; n < 30; ++n)
        r.status(n, 1, "active", r.ask(n), read_and_pay);
    r.settle();
    CHECK(may(r, 0, "pay"));
    CHECK(may(r, 0, "read"));
    // A narrowing is shown with the version it belongs to, whoever has fetched what before.
    CHECK(r.mission(0, 2, "active", real_run::seconds_now(), pay, true).fate ==
          set_fate::acknowledge);
    CHECK(may(r, 0, "pay"));
    CHECK_FALSE(may(r, 0, "read"));
    // A mission without any: that is remembered as well, until it changes.
    r.mission(50, 1, "active");
    CHECK(r.e->authorities().of(real_issuer, real_id(50)) == nullptr);
    r.status(50, 1, "active", r.ask(50), pay);
    CHECK(may(r, 50, "pay"));
    CHECK(r.e->authorities().of(real_issuer, real_id(99)) == nullptr);
}

TEST_CASE(
    "a full cache forgets an ended mission first, then who is not in use; never who is held") {
    temp_dir dir;
    const auto path = dir / "state.db";
    {
        real_run r(path, 3);
        r.join();
        r.mission(0, 1, "active");
        r.mission(1, 1, "active");
        r.mission(2, 1, "active");
        r.mission(1, 2, "revoked");
        REQUIRE(r.e->hold({real_issuer, real_id(0)}, "thing", ""));
        r.mission(3, 1, "active");
        CHECK(r.now(1) == standing::unknown);
        CHECK(r.now(3) == standing::active);
        CHECK(r.now(2) == standing::active);
        CHECK(r.e->counts().missions_evicted == 1);
        r.mission(4, 1, "active");
        CHECK(r.now(0) == standing::active);
        CHECK((r.now(2) == standing::unknown) != (r.now(3) == standing::unknown));
        CHECK(r.e->table().size() == 3);
        CHECK(r.e->counts().missions_refused == 0);
        r.settle();
        CHECK_FALSE((*r.disk->read({real_issuer, real_id(1)})).has_value());
    }
    real_run again(path, 3);
    CHECK(again.e->table().size() == 3);
}

TEST_CASE("where nothing can be forgotten a new mission is refused: counted, told once, denied") {
    real_run r("", 2);
    r.join();
    for (int n = 0; n < 2; ++n) {
        r.mission(n, 1, "active");
        REQUIRE(r.e->hold({real_issuer, real_id(n)}, "thing", ""));
    }
    for (int n = 2; n < 12; ++n) {
        // To hold the stream back would be worse for everybody else.
        CHECK(r.mission(n, 1, "active").fate == set_fate::acknowledge);
        CHECK(r.now(n) == standing::unknown);
    }
    r.status(20, 1, "active", r.ask(20));
    CHECK(r.now(20) == standing::unknown);
    CHECK(r.e->counts().missions_refused == 11);
    CHECK(std::count(r.lines.begin(), r.lines.end(),
                     "the cache is full: missions stay unknown, which denies") == 1);
    r.e->release({real_issuer, real_id(0)}, "thing");
    r.mission(30, 1, "active", real_run::seconds_now() + 2);
    CHECK(r.now(30) == standing::active);
    CHECK(r.now(0) == standing::unknown);
}

TEST_CASE("a mission with an open task is not forgotten") {
    real_run r("", 2, {}, false, [](task_runner& runner) {
        ms::handler_options o;
        o.name = "vault";
        o.on = {ms::effect::revoked};
        o.per_hold = false;
        runner.add_handler(o, [](const ms::task&) { return ms::outcome::failed("not yet"); });
    });
    r.join();
    r.mission(0, 1, "active");
    r.mission(0, 2, "revoked");  // its task is open: nobody runs it
    r.mission(1, 1, "active");
    r.mission(2, 1, "active");
    CHECK(r.now(0) == standing::revoked);
    CHECK(r.now(1) == standing::unknown);
}

TEST_CASE("an old SET of a forgotten mission does not revive it, also after a restart") {
    temp_dir dir;
    const auto path = dir / "state.db";
    const auto then = real_run::seconds_now();
    {
        real_run r(path, 2);
        r.join();
        r.mission(0, 1, "active", then);
        r.mission(0, 2, "revoked", then + 1);
        r.mission(1, 1, "active", then + 2);
        r.mission(2, 1, "active", then + 3);
        REQUIRE(r.now(0) == standing::unknown);
        r.mission(0, 1, "active", then);
        CHECK(r.now(0) != standing::active);
        // What is newer than all that was forgotten is news.
        r.mission(3, 1, "active", then + 4);
        CHECK(r.now(3) == standing::active);
    }
    real_run r(path, 10);
    r.join();
    r.mission(0, 1, "active", then);
    CHECK(r.now(0) == standing::stale);
    r.mission(4, 1, "active", then + 4);
    CHECK(r.now(4) == standing::active);
    // Status mends it, whatever it was.
    r.status(0, 2, "revoked", r.ask(0));
    CHECK(r.now(0) == standing::revoked);
}

TEST_CASE("a Status that was asked for before its mission was forgotten does not bring it back") {
    real_run r("", 1);
    r.join();
    r.mission(0, 1, "active");
    const auto asked = r.ask(0);
    r.mission(0, 2, "revoked");
    r.mission(1, 1, "active");
    REQUIRE(r.now(0) == standing::unknown);
    r.status(0, 1, "active", asked);
    CHECK(r.now(0) == standing::unknown);
    r.status(0, 2, "revoked", r.ask(0));
    CHECK(r.now(0) == standing::revoked);
}

TEST_CASE("nor does it once an old SET has told of that mission anew") {
    real_run r("", 1);
    r.join();
    const auto then = real_run::seconds_now();
    r.mission(0, 1, "active", then);
    r.mission(0, 2, "active", then);
    const auto asked = r.ask(0);
    r.mission(0, 3, "revoked", then);
    r.mission(1, 1, "active", then);
    REQUIRE(r.now(0) == standing::unknown);
    r.mission(0, 1, "active", then);
    REQUIRE(r.now(0) == standing::stale);
    r.status(0, 2, "active", asked);
    CHECK(r.now(0) == standing::stale);
    r.status(0, 3, "revoked", r.ask(0));
    CHECK(r.now(0) == standing::revoked);
}

TEST_CASE("after a loss of state an old SET is no first contact, a new one is") {
    temp_dir dir;
    const auto path = dir / "state.db";
    const auto then = real_run::seconds_now();
    {
        real_run r(path);
        r.join();
        r.mission(0, 1, "active", then);
        r.mission(0, 2, "revoked", then + 1);
    }
    SUBCASE("damaged") {
        std::ofstream(path) << std::string(8192, 'x');
    }
    SUBCASE("cut off") {
        std::filesystem::resize_file(path, 0);
    }
    real_run r(path);
    r.join();
    CHECK(r.now(0) == standing::unknown);
    r.mission(0, 1, "active", then);
    CHECK(r.now(0) == standing::stale);
    const auto skew = std::chrono::seconds(limits::clock_skew).count();
    r.mission(1, 1, "active", real_run::seconds_now() + skew + 2);
    CHECK(r.now(1) == standing::active);
}

TEST_CASE("of a stream that is older than what is remembered an old SET is no first contact") {
    real_run r("");
    r.e->on_older_stream();
    r.join();
    r.mission(0, 1, "active", real_run::seconds_now() - 60);
    CHECK(r.now(0) == standing::stale);
    r.mission(1, 1, "active", real_run::seconds_now());
    CHECK(r.now(1) == standing::active);
    // Nor is what follows it, until something new comes or Status has spoken.
    r.mission(0, 2, "active", real_run::seconds_now() - 50);
    CHECK(r.now(0) == standing::stale);
    r.mission(0, 3, "active", real_run::seconds_now());
    CHECK(r.now(0) == standing::active);
}

TEST_CASE("what is not loaded yet is denied, and applied to when a SET comes before its turn") {
    temp_dir dir;
    const auto path = dir / "state.db";
    constexpr int many = 9000;  // more than one step of reading
    {
        real_run r(path, 20'000);
        r.join();
        state_write w;
        for (int n = 0; n < many; ++n) {
            record m;
            m.key = {real_issuer, real_id(n)};
            m.state = "active";
            m.version = 1;
            m.log_epoch = "e1";
            m.confirmed_epoch = r.e->epoch();
            m.authority = pay;
            m.authority_version = 1;
            w.missions.push_back(m);
        }
        r.disk->submit(std::move(w), nullptr);
        r.settle();
    }
    real_run r(path, 20'000, {16, 1u << 20}, true);
    REQUIRE(r.background.size() == 1);
    CHECK_FALSE(r.e->loaded());
    r.join();
    CHECK(r.now(1) == standing::unknown);
    // Read before its turn: version 2 is no gap.
    r.mission(1, 2, "active");
    r.mission(2, 2, "revoked");
    CHECK(r.version(1) == 2);
    CHECK(r.now(1) == standing::active);
    CHECK(r.now(2) == standing::revoked);
    CHECK(r.asked.empty());
    CHECK(r.e->view({real_issuer, real_id(3)})->state == "active");
    r.background[0]();
    CHECK(r.e->loaded());
    CHECK(r.e->table().size() == many);
    CHECK(r.version(1) == 2);
    CHECK(r.now(2) == standing::revoked);
    CHECK(r.version(many - 1) == 1);
    CHECK(r.now(many - 1) != standing::unknown);
    CHECK(r.e->working() <= 16);
    CHECK(r.e->authorities().of(real_issuer, real_id(77))->permits("r", "pay"));
}

TEST_CASE("whether an end is another history's is read without keeping SETs, and once") {
    temp_dir dir;
    real_run r(dir / "state.db", 100, {1, 1u << 20});
    r.join();
    r.mission(0, 1, "active");
    r.mission(0, 2, "revoked");
    for (int n = 1; n < 4; ++n)
        r.mission(n, 1, "active");
    r.settle();
    const mission_key ended{real_issuer, real_id(0)};
    CHECK_FALSE(r.e->denial_aged(ended));
    r.join("e2");
    int reads = 0;
    bool free = false;
    std::future<std::size_t> later;
    r.when_read = [&] {
        ++reads;
        auto other = std::async(std::launch::async, [&] { return r.e->working(); });
        free = other.wait_for(std::chrono::seconds(5)) == std::future_status::ready;
        // Where it is not free it is once we return.
        later = std::move(other);
    };
    CHECK(r.e->denial_aged(ended));
    CHECK(reads == 1);
    CHECK(free);
    CHECK(r.e->denial_aged(ended));
    CHECK(reads == 1);
    r.when_read = nullptr;
}

TEST_CASE("who asks for a stop of the loading gets it, and what is not there stays unknown") {
    temp_dir dir;
    const auto path = dir / "state.db";
    {
        real_run r(path);
        r.join();
        r.mission(0, 1, "active");
    }
    real_run r(path, 100, {}, true);
    r.e->stop_background();
    r.background.at(0)();
    CHECK_FALSE(r.e->loaded());
    CHECK(r.now(0) == standing::unknown);
}

TEST_CASE("a file with more missions than may be keeps none of the others' rows") {
    temp_dir dir;
    const auto path = dir / "state.db";
    {
        real_run r(path, 50);
        r.join();
        for (int n = 0; n < 50; ++n)
            r.mission(n, 1, "active");
    }
    {
        real_run r(path, 20);
        CHECK(r.e->table().size() == 20);
        r.settle();
    }
    real_run r(path, 100);
    CHECK(r.e->table().size() == 20);
}
