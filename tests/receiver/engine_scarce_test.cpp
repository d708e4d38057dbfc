// Memory that ends anywhere on the way of a SET: it is acknowledged with what it says on disk, or
// comes again and is applied then.
#include <doctest/doctest.h>

#include <future>
#include <map>
#include <memory>
#include <new>

#include "base/limits.hpp"
#include "tests/receiver/held_state.hpp"
#include "tests/receiver/real_state.hpp"
#include "tests/receiver/scarce_memory.hpp"
#include "tests/receiver/wait.hpp"

using namespace mission;
using namespace mission::receiver;
using namespace mission::receiver::testing;
using ms::standing;
using test::scarce_memory;
using test::temp_dir;

namespace {

const std::string pay = R"([{"type":"t","resource":"r","actions":["pay"]}])";
const std::string much = R"([{"type":"t","resource":"r","actions":["pay","read","write","send"]}])";

// What one SET of a mission says.
struct said {
    std::int64_t version;
    const char* state;
    std::optional<std::string> authority = {};
};

// Offers it with memory that fails so. False: it was thrown out, which is no answer.
bool offered(real_run& r, int n, const said& what, std::size_t first, std::size_t most,
             bool& failed) {
    auto set = r.mission_set(n, what.version, what.state, real_run::seconds_now(), what.authority,
                             what.authority.has_value());
    auto answered = std::make_shared<std::promise<set_outcome>>();
    std::function<void(set_outcome)> done = [answered](set_outcome o) {
        answered->set_value(std::move(o));
    };
    const auto went = test::act_without_memory(
        first, most, [&] { r.e->receive(std::move(set), std::move(done)); });
    failed = went.failed;
    if (went.thrown) return false;
    return answered->get_future().get().fate == set_fate::acknowledge;
}

// Offers it to one mission after the other, with memory that ends a step later at each: once alone,
// and for good. Returns how many missions that took.
int offer_everywhere(real_run& r, const std::function<void(int)>& prepare, const said& what) {
    int n = 0;
    for (const auto most : {std::size_t{1}, scarce_memory::all}) {
        bool failed = true;
        for (std::size_t first = 0; failed; ++first, ++n) {
            INFO("mission ", n, ", allocation ", first);
            prepare(n);
            r.settle();
            const bool acknowledged = offered(r, n, what, first, most, failed);
            r.settle();
            const auto row = r.disk->read({real_issuer, real_id(n)});
            REQUIRE(row.has_value());
            const bool written = *row && (*row)->version == what.version;
            const auto view = r.e->view({real_issuer, real_id(n)});
            const bool applied = view && view->log_version == what.version;
            CHECK(applied == written);
            if (acknowledged) REQUIRE(written);
            // Never a permission of what is not on disk.
            if (!written && r.now(n) == standing::active) CHECK(r.version(n) < what.version);
            REQUIRE(r.mission(n, what.version, what.state, real_run::seconds_now(), what.authority,
                              what.authority.has_value())
                        .fate == set_fate::acknowledge);
            r.settle();
            CHECK(r.version(n) == what.version);
            const auto now = r.disk->read({real_issuer, real_id(n)});
            REQUIRE((now.has_value() && now->has_value()));
            CHECK((*now)->version == what.version);
            CHECK((*now)->state == what.state);
            if (what.authority) CHECK((*now)->authority == what.authority);
        }
    }
    CHECK(n > 20);
    return n;
}

ms::handler_options vault() {
    ms::handler_options o;
    o.name = "vault";
    o.on = {ms::effect::suspended, ms::effect::resumed, ms::effect::revoked};
    return o;
}

}  // namespace

TEST_CASE("a first SET that memory failed is applied when it comes again") {
    temp_dir dir;
    real_run r(dir / "state.db", 1000);
    r.join();
    const int n = offer_everywhere(r, [](int) {}, {1, "active"});
    // None is counted twice, and none has kept a place that it does not take.
    CHECK(r.e->table().size() == static_cast<std::size_t>(n));
    for (int m = 0; m < n; ++m)
        CHECK(r.now(m) == standing::active);
}

TEST_CASE("a SET that memory failed is no duplicate of itself") {
    temp_dir dir;
    real_run r(dir / "state.db", 2000);
    r.join();
    const auto known = [&](int n) { r.mission(n, 1, "active"); };
    SUBCASE("a permission") {
        const int n = offer_everywhere(r, known, {2, "active"});
        CHECK(r.now(n - 1) == standing::active);
    }
    SUBCASE("a denial") {
        const int n = offer_everywhere(r, known, {2, "revoked"});
        CHECK(r.now(n - 1) == standing::revoked);
    }
    SUBCASE("a gap") {
        const int n = offer_everywhere(r, known, {3, "active"});
        CHECK(r.now(n - 1) == standing::gap);
    }
    SUBCASE("a narrowing") {
        const auto wide = [&](int n) {
            r.mission(n, 1, "active");
            r.status(n, 1, "active", r.ask(n), much);
        };
        const int n = offer_everywhere(r, wide, {2, "active", pay});
        for (int m = 0; m < n; ++m) {
            const auto a = r.e->authorities().of(real_issuer, real_id(m));
            REQUIRE(a != nullptr);
            CHECK(a->permits("r", "pay"));
            CHECK_FALSE(a->permits("r", "read"));
        }
    }
}

TEST_CASE("what is to be torn down is on disk with the SET that memory failed before") {
    temp_dir dir;
    const auto path = dir / "state.db";
    const auto with_vault = [](task_runner& runner) {
        runner.add_handler(vault(), [](const ms::task&) { return ms::outcome::failed("no"); });
    };
    int n = 0;
    {
        real_run r(path, 2000, {}, false, with_vault);
        r.join();
        // The suspension's task is open, and superseded by the revocation's.
        const auto held = [&](int m) {
            r.mission(m, 1, "active");
            REQUIRE(r.e->hold({real_issuer, real_id(m)}, "thing", "data"));
            r.mission(m, 2, "suspended");
        };
        n = offer_everywhere(r, held, {3, "revoked"});
    }
    real_run again(path, 2000, {}, false, with_vault);
    std::map<std::string, std::pair<int, int>> tasks;  // of revocations; of suspensions that stand
    for (const auto& t : again.rows.tasks) {
        auto& [revoked, suspended] = tasks[t.mission.id];
        if (t.why == ms::effect::revoked && t.open()) ++revoked;
        if (t.why == ms::effect::suspended && t.open()) ++suspended;
    }
    for (int m = 0; m < n; ++m) {
        INFO("mission ", m);
        CHECK(tasks[real_id(m)] == std::pair(1, 0));
    }
}

namespace {

// Units wait until the test lets them be written; events have a handler.
struct held_run {
    held_state disk;
    std::unique_ptr<task_runner> runner = make_task_runner(system_random());
    std::unique_ptr<inbox> events_in = make_inbox(system_random());
    std::unique_ptr<engine> e;
    std::size_t confirmed = 0;  // how often all in use were to be

    held_run() {
        events_in->add_handler("all", {},
                               [](const ms::security_event&) { return ms::outcome::failed(""); });
        engine::hooks h;
        h.events = events_in.get();
        h.confirm = [this](const std::vector<mission_key>&) { ++confirmed; };
        e = std::make_unique<engine>(disk, *runner, 100, std::move(h));
        e->set_issuers(real_issuer, {});
    }
    void begin(events::received_set set, std::vector<set_fate>& told) {
        e->receive(std::move(set), [&told](const set_outcome& o) { told.push_back(o.fate); });
    }
    // False: all of it went well.
    bool fails(events::received_set set, std::size_t first, std::vector<set_fate>& told) {
        try {
            const scarce_memory scarce(first, 1);
            begin(std::move(set), told);
            return scarce.failed() > 0;
        } catch (const std::bad_alloc&) {
            return true;
        }
    }
};

}  // namespace

TEST_CASE("an event that memory failed is stored when it comes again, and takes one place") {
    held_run r;
    std::vector<set_fate> told;
    told.reserve(10'000);
    bool failed = true;
    for (std::size_t n = 0; failed; ++n) {
        INFO("allocation ", n);
        const auto event = [&] {
            return real_run::received("urn:x:t", R"({"a":"one that is too long to be kept short"})",
                                      events::subject::opaque("x"), "j" + std::to_string(n),
                                      real_run::seconds_now());
        };
        failed = r.fails(event(), n, told);
        r.begin(event(), told);
        std::size_t stored = 0, known = 0;
        for (const auto& u : r.disk.units) {
            stored += u.write.events.size();
            known += u.write.jtis.size();
        }
        CHECK(stored == 1);
        CHECK(known == 1);
        CHECK(r.events_in->open_count() == n);
        r.disk.commit_all();
        CHECK(r.events_in->open_count() == n + 1);
        CHECK(told.back() == set_fate::acknowledge);
    }
    std::size_t places = r.events_in->open_count();
    while (r.events_in->reserve(0))
        ++places;
    CHECK(places == limits::inbox_events);
}

TEST_CASE("a heartbeat that memory failed is remembered when it comes again") {
    for (std::size_t n = 0, failed = 1; failed == 1; ++n) {
        INFO("allocation ", n);
        held_run r;
        std::vector<std::string> types;
        for (const auto name : events::mission_event_names)
            types.push_back(std::string(events::event_type_base) + std::string(name));
        r.e->on_stream({"s", types, true});
        r.e->set_max_stale(std::chrono::seconds(90));
        std::vector<set_fate> told;
        told.reserve(10);
        const auto heartbeat = [&](std::int64_t continuity) {
            events::verification v;
            v.as_of = system_clock().now();
            v.continuity = continuity;
            v.log_epoch = "a history with a name that is too long to be kept short";
            return real_run::received(std::string(events::verification_type), events::to_json(v),
                                      events::stream_subject("s"), "h", real_run::seconds_now());
        };
        r.begin(heartbeat(1), told);
        r.disk.commit_all();
        r.begin(real_run::mission_set(0, 1, "active", real_run::seconds_now(), {}, false), told);
        r.disk.commit_all();
        (void)r.e->table().check(real_issuer, real_id(0), coarse_now());  // it is in use
        const auto before = r.e->epoch();
        const auto confirmed = r.confirmed;
        failed = r.fails(heartbeat(2), n, told) ? 1 : 0;
        r.begin(heartbeat(2), told);
        CHECK(r.e->epoch() > before);
        std::map<std::string, std::string> written;
        for (const auto& u : r.disk.units) {
            for (const auto& [name, value] : u.write.settings)
                written[name] = value;
        }
        CHECK(written["continuity"] == "2");
        CHECK(written["epoch"] == std::to_string(r.e->epoch()));
        r.disk.commit_all();
        CHECK(told.back() == set_fate::acknowledge);
        // Nor is any later one without its confirmations, nor this one.
        CHECK(r.confirmed > confirmed);
        const auto so_far = r.confirmed;
        r.begin(heartbeat(3), told);
        CHECK(r.confirmed == so_far + 1);
    }
}

TEST_CASE("a row that there is no memory for at the start is kept, and found when it is wanted") {
    temp_dir dir;
    const auto path = dir / "state.db";
    constexpr int many = 3;
    {
        real_run r(path);
        r.join();
        for (int n = 0; n < many; ++n)
            r.mission(n, 1, "active");
    }
    int version = 1, told = 0;
    bool failed = true;
    for (std::size_t first = 0; failed; ++first) {
        INFO("allocation ", first);
        std::optional<scarce_memory> scarce;
        std::unique_ptr<real_run> r;
        const auto begin = [&](task_runner&) { scarce.emplace(first, 1); };
        try {
            r = std::make_unique<real_run>(path, 100, engine::memory(), false, begin);
        } catch (const std::bad_alloc&) {
            scarce.reset();
            continue;  // whoever starts it is told
        }
        failed = scarce->failed() > 0;
        scarce.reset();
        r->join();
        r->settle();
        if (r->was_said("no memory")) {
            ++told;
            CHECK_FALSE(r->e->loaded());
            CHECK(r->e->table().size() < many);
        }
        ++version;
        for (int n = 0; n < many; ++n) {
            CHECK((*r->disk->read({real_issuer, real_id(n)})).has_value());
            // No gap: its row says what came before.
            CHECK(r->mission(n, version, "active").fate == set_fate::acknowledge);
            CHECK(r->now(n) == standing::active);
        }
        CHECK(r->asked.empty());
    }
    CHECK(told > 0);
}

TEST_CASE("the loading goes on where memory had ended, once there is some") {
    temp_dir dir;
    const auto path = dir / "state.db";
    {
        real_run r(path);
        r.join();
        for (int n = 0; n < 3; ++n)
            r.mission(n, 1, "active");
    }
    real_run r(path, 100, {}, true);
    std::optional<scarce_memory> scarce;
    // It ends once more when the first time was told.
    int ended = 1;
    r.when_said = [&] {
        if (std::exchange(ended, 2) == 1) scarce.emplace(0, 1);
    };
    scarce.emplace(0, 1);
    r.background.at(0)();
    CHECK(scarce->failed() == 1);
    scarce.reset();
    CHECK(ended == 2);
    CHECK(r.e->loaded());
    CHECK(r.e->table().size() == 3);
    CHECK(std::count_if(r.lines.begin(), r.lines.end(), [](const std::string& line) {
              return line.find("no memory") != std::string::npos;
          }) == 1);
}

namespace {

// An engine with room for so many, whose memory fails at one step of what it is to do, a step later
// each time. `then` looks at it afterwards; it is told whether it was thrown out.
void fail_everywhere(std::size_t most, const std::function<void(engine&, held_state&)>& prepare,
                     const std::function<void(engine&)>& act,
                     const std::function<void(engine&, held_state&, bool thrown)>& then) {
    bool failed = true;
    for (std::size_t first = 0; failed; ++first) {
        INFO("allocation ", first);
        held_state disk;
        const auto runner = make_task_runner(system_random());
        engine e(disk, *runner, most, {});
        e.set_issuers(real_issuer, {});
        prepare(e, disk);
        const auto went = test::act_without_memory(first, 1, [&] { act(e); });
        failed = went.failed;
        then(e, disk, went.thrown);
    }
}

void tell(engine& e, int n, std::int64_t version, const char* state) {
    e.receive(real_run::mission_set(n, version, state, real_run::seconds_now(), {}, false),
              [](const set_outcome&) {});
}

bool gets_in(engine& e, held_state& disk, int n) {
    tell(e, n, 1, "active");
    disk.commit_all();
    return e.table().find(real_issuer, real_id(n)).has_value();
}

}  // namespace

TEST_CASE("a first SET that memory failed takes no place from others, should it never come again") {
    int looked = 0;
    fail_everywhere(
        1, [](engine&, held_state&) {}, [](engine& e) { tell(e, 0, 1, "active"); },
        [&](engine& e, held_state& disk, bool thrown) {
            if (!thrown || !disk.units.empty()) return;
            ++looked;
            CHECK(e.working() == 0);
            CHECK(gets_in(e, disk, 1));
        });
    CHECK(looked > 5);
}

TEST_CASE("a mission that there is no memory for at the start takes no place from others") {
    int looked = 0;
    fail_everywhere(
        1, [](engine&, held_state&) {},
        [](engine& e) {
            state_snapshot s;
            record m;
            m.key = {real_issuer, real_id(0)};
            m.state = "active";
            m.version = 1;
            s.missions.push_back(m);
            e.load(std::move(s));
        },
        [&](engine& e, held_state& disk, bool thrown) {
            if (thrown || e.table().size() == 1) return;
            ++looked;
            CHECK(e.working() == 0);
            CHECK(gets_in(e, disk, 1));
        });
    CHECK(looked > 0);
}

TEST_CASE("a denial that memory failed is shown all the same, and comes again") {
    int shown = 0;
    fail_everywhere(
        10, [](engine& e, held_state& disk) { CHECK(gets_in(e, disk, 0)); },
        [](engine& e) { tell(e, 0, 2, "revoked"); },
        [&](engine& e, held_state& disk, bool thrown) {
            if (!thrown || !disk.units.empty()) return;
            if (e.table().find(real_issuer, real_id(0))->told == standing::revoked) ++shown;
            CHECK(e.view({real_issuer, real_id(0)})->log_version == 1);
            tell(e, 0, 2, "revoked");
            REQUIRE(disk.units.size() == 1);
            CHECK(disk.units[0].write.states.size() + disk.units[0].write.missions.size() == 1);
        });
    CHECK(shown > 5);
}

TEST_CASE("a denial that memory failed is not followed by what was permitted before it") {
    const mission_key key{real_issuer, real_id(0)};
    int shown = 0;
    fail_everywhere(
        10,
        [&](engine& e, held_state& disk) {
            CHECK(gets_in(e, disk, 0));
            tell(e, 0, 2, "active");  // waits for the disk
        },
        [](engine& e) { tell(e, 0, 3, "revoked"); },
        [&](engine& e, held_state& disk, bool thrown) {
            const auto now = [&] { return e.table().find(real_issuer, real_id(0))->told; };
            if (!thrown || disk.units.size() != 1 || now() != standing::revoked) return;
            ++shown;
            disk.commit_all();
            CHECK(now() == standing::revoked);
            tell(e, 0, 3, "revoked");
            disk.commit_all();
            CHECK(e.view(key)->log_version == 3);
            CHECK(now() == standing::revoked);
        });
    CHECK(shown > 5);
}

TEST_CASE("a denial that memory failed is not followed by a Status that was asked for before it") {
    const mission_key key{real_issuer, real_id(0)};
    engine::asked_at asked;
    int shown = 0;
    fail_everywhere(
        10,
        [&](engine& e, held_state& disk) {
            CHECK(gets_in(e, disk, 0));
            asked = e.status_asked(key);
        },
        [](engine& e) { tell(e, 0, 2, "revoked"); },
        [&](engine& e, held_state& disk, bool thrown) {
            const auto now = [&] { return e.table().find(real_issuer, real_id(0))->told; };
            if (!thrown || !disk.units.empty() || now() != standing::revoked) return;
            ++shown;
            status_word word;
            word.version = 1;
            word.state = "active";
            word.issued_at = system_clock().now();
            e.on_status(key, word, asked, nullptr);
            disk.commit_all();
            CHECK(now() == standing::revoked);
            // One that is asked for from here on decides.
            e.on_status(key, word, e.status_asked(key), nullptr);
            disk.commit_all();
            CHECK(now() == standing::active);
        });
    CHECK(shown > 5);
}

TEST_CASE("a mission that had to go is gone from the disk as well, wherever memory ends") {
    int gone = 0;
    fail_everywhere(
        1, [](engine& e, held_state& disk) { CHECK(gets_in(e, disk, 0)); },
        [](engine& e) { tell(e, 1, 1, "active"); },
        [&](engine& e, held_state& disk, bool) {
            std::size_t forgotten = 0;
            for (const auto& u : disk.units)
                forgotten += u.write.forgotten.size();
            if (e.table().find(real_issuer, real_id(0))) return;
            ++gone;
            CHECK(forgotten == 1);
        });
    CHECK(gone > 0);
}
