// Who asks Mission Status, and how much that may cost.
#include "receiver/subscribe/status_desk.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <mutex>
#include <new>
#include <optional>
#include <utility>

#include "base/limits.hpp"
#include "base/random.hpp"
#include "receiver/engine/engine.hpp"
#include "receiver/subscribe/status_gates.hpp"
#include "receiver/subscribe/status_queue.hpp"
#include "tests/receiver/wait.hpp"

using namespace mission;
using namespace mission::receiver;
using mission::test::eventually;

namespace {

class no_state final : public state {
  public:
    result<state_snapshot> load() override { return state_snapshot{}; }
    void submit(state_write, std::function<void(result<void>)> answered,
                std::function<void()> committed) override {
        if (committed) committed();
        if (answered) answered({});
    }
    bool accepts() const noexcept override { return true; }
    void stop() override {}
};

// Answers Status when told to, and from then on at once.
class slow_link final : public link {
  public:
    void discover(std::function<void(result<transmitter_metadata>)>) override {}
    std::optional<transmitter_metadata> metadata() const override { return std::nullopt; }
    void send(call, std::function<void(result<net::http_response>)>) override {}
    std::shared_ptr<const jose::key_set> keys() const override { return nullptr; }
    void refetch_keys(std::function<void(result<void>)> done) override {
        done(errc::keys_unavailable);
    }
    bool keys_given_up() const override { return false; }
    bool keys_aged() const override { return false; }
    error unexpected_answer(const net::http_response&, std::string_view) const override {
        return errc::http_status;
    }
    void ask_status(const mission_key& key, const std::string&,
                    std::function<void(result<status_word>)> done) override {
        errc why{};
        {
            std::lock_guard lock(m_);
            if (std::exchange(throw_, false)) throw std::bad_alloc();
            asked_.push_back(key.id);
            if (!at_once_) {
                waiting_.push_back(std::move(done));
                return;
            }
            why = why_;
        }
        done(why);
    }
    std::chrono::milliseconds asked_to_wait() const override { return {}; }
    void stop() override {}

    void answer_all() {
        decltype(waiting_) now;
        {
            std::lock_guard lock(m_);
            at_once_ = true;
            now.swap(waiting_);
        }
        for (auto& done : now)
            done(errc::unavailable);
    }
    void throw_once() {
        std::lock_guard lock(m_);
        throw_ = true;
    }
    void from_now_on(errc why) {
        std::lock_guard lock(m_);
        why_ = why;
    }
    std::vector<std::string> asked() {
        std::lock_guard lock(m_);
        return asked_;
    }

  private:
    std::mutex m_;
    bool at_once_ = false, throw_ = false;
    errc why_ = errc::unavailable;
    std::vector<std::string> asked_;
    std::vector<std::function<void(result<status_word>)>> waiting_;
};

struct desk_bench {
    no_state disk;
    std::unique_ptr<task_runner> runner = make_task_runner(system_random());
    engine e{disk, *runner, 100, {}};
    slow_link l;
    std::unique_ptr<net::runtime> rt = net::make_runtime(1, 1);
    std::mutex m;
    std::vector<std::string> log;
    std::atomic<bool> throw_in_log{false};
    std::shared_ptr<status_desk> desk = make_status_desk(
        *rt, l, e,
        [this](ms::log_level, std::string_view text, const std::vector<ms::log_field>& fields) {
            if (throw_in_log) throw std::bad_alloc();
            std::lock_guard lock(m);
            log.emplace_back(text);
            for (const auto& f : fields)
                log.back() += " " + std::string(f.name) + "=" + f.value;
        });
    std::vector<std::string> logged() {
        std::lock_guard lock(m);
        return log;
    }
    ~desk_bench() {
        desk->stop();
        rt->stop();
    }
};

}  // namespace

TEST_CASE("any number of callers ask, some wait, and a service that is down keeps none of them") {
    desk_bench b;
    std::atomic<std::size_t> told{0}, limited{0};
    constexpr std::size_t many = 10'000;
    for (std::size_t n = 0; n < many; ++n) {
        b.desk->ask({"i", "m" + std::to_string(n)}, true, [&](ms::cause why) {
            ++told;
            limited += why == ms::cause::status_limited ? 1 : 0;
        });
    }
    CHECK(b.l.asked().size() == limits::status_in_flight);
    // Nothing is held of them: so many wait, the others are told at once that it is too much.
    CHECK(told == many - status_limits::strangers_waiting);
    CHECK(limited == told);
    b.l.answer_all();
    CHECK(eventually([&] { return told == many; }));
    CHECK(b.l.asked().size() <= limits::status_in_flight + status_limits::failures_until_down);
}

TEST_CASE("a request that cannot be sent for want of memory does not keep the others") {
    desk_bench b;
    for (std::size_t n = 0; n <= limits::status_in_flight; ++n) {
        auto why = ms::cause::none;
        b.l.throw_once();
        CHECK_THROWS_AS(b.desk->ask({"i", "one"}, true, [&](ms::cause c) { why = c; }),
                        std::bad_alloc);
        CHECK(why == ms::cause::status_unreachable);
    }
    b.desk->ask({"i", "two"}, true, [](ms::cause) {});
    CHECK(b.l.asked() == std::vector<std::string>{"two"});
}

TEST_CASE("what the engine needs is asked for again when it could not be sent") {
    desk_bench b;
    b.l.throw_once();
    CHECK_THROWS_AS(b.desk->ask({"i", "one"}, true, nullptr), std::bad_alloc);
    CHECK(eventually([&] { return b.l.asked() == std::vector<std::string>{"one"}; }));
}

TEST_CASE("an answer that nobody can take is a failure, and keeps no other from being asked for") {
    desk_bench b;
    b.l.answer_all();
    b.l.from_now_on(errc::mission_not_found);
    for (std::size_t n = 0; n <= limits::status_in_flight; ++n) {
        auto why = ms::cause::none;
        b.throw_in_log = true;
        // Another failure each time, so that each is told.
        b.l.from_now_on(n % 2 == 0 ? errc::timed_out : errc::rate_limited);
        CHECK_THROWS_AS(b.desk->ask({"i", "one"}, true, [&](ms::cause c) { why = c; }),
                        std::bad_alloc);
        CHECK(why == ms::cause::status_unreachable);
    }
    b.throw_in_log = false;
    b.l.from_now_on(errc::mission_not_found);
    auto why = ms::cause::none;
    b.desk->ask({"i", "two"}, true, [&](ms::cause c) { why = c; });
    CHECK(why == ms::cause::not_found);
}

TEST_CASE("of many who have waited for too long each is told, whatever one of them throws") {
    desk_bench b;
    b.l.from_now_on(errc::mission_not_found);
    std::size_t told = 0;
    for (int n = 0; n < 3; ++n) {
        b.desk->ask({"i", "one"}, true, [&](ms::cause) {
            ++told;
            throw std::bad_alloc();
        });
    }
    b.desk->ask({"i", "two"}, true, [&](ms::cause) { ++told; });
    CHECK_THROWS_AS(b.desk->stop(), std::bad_alloc);
    CHECK(told == 4);
}

TEST_CASE("a question asked alone that cannot be sent is answered, and takes no place") {
    desk_bench b;
    for (std::size_t n = 0; n <= limits::status_confirms_in_flight; ++n) {
        std::optional<status_desk::reply> came;
        b.l.throw_once();
        CHECK_THROWS_AS(
            b.desk->ask_alone({"i", "one"}, [&](status_desk::reply r) { came = std::move(r); }),
            std::bad_alloc);
        REQUIRE(came);
        CHECK(came->word.error() == errc::unavailable);
    }
    b.desk->ask_alone({"i", "two"}, [](status_desk::reply) {});
    CHECK(b.l.asked() == std::vector<std::string>{"two"});
}

TEST_CASE("a herd of made-up ids makes a bounded number of requests") {
    desk_bench b;
    b.l.from_now_on(errc::mission_not_found);
    b.l.answer_all();
    std::atomic<std::size_t> told{0}, not_found{0};
    constexpr std::size_t many = 10'000;
    const auto begun = std::chrono::steady_clock::now();
    for (std::size_t n = 0; n < many; ++n) {
        b.desk->ask({"i", "m" + std::to_string(n)}, true, [&](ms::cause why) {
            ++told;
            not_found += why == ms::cause::not_found ? 1 : 0;
        });
    }
    const auto took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun);
    const auto asked = b.l.asked().size();
    CHECK(asked >= status_limits::strangers_burst);
    CHECK(static_cast<double>(asked) <=
          status_limits::strangers_burst + 1 +
              (took.count() + 0.1) * status_limits::strangers_per_second);
    CHECK(not_found >= status_limits::strangers_burst);
    CHECK(told >= many - status_limits::strangers_waiting - 1);
    // Again at once: nobody is asked about those that are known to be unknown.
    std::atomic<bool> again{false};
    b.desk->ask({"i", "m0"}, true, [&](ms::cause why) { again = why == ms::cause::not_found; });
    CHECK(again);
    const auto all = b.l.asked();
    CHECK(std::count(all.begin(), all.end(), "m0") == 1);
    b.desk->stop();
    CHECK(told == many);
}

TEST_CASE("who asks while the service is down is told so at once, until it is back") {
    desk_bench b;
    b.l.answer_all();
    for (unsigned n = 0; n < status_limits::failures_until_down; ++n)
        b.desk->ask({"i", "m" + std::to_string(n)}, true, [](ms::cause) {});
    const auto before = b.l.asked().size();
    CHECK(before == status_limits::failures_until_down);
    auto why = ms::cause::none;
    b.desk->ask({"i", "other"}, true, [&](ms::cause c) { why = c; });
    CHECK(why == ms::cause::status_unreachable);
    CHECK(b.l.asked().size() == before);
    // What the engine needs waits, and looks whether it is back.
    b.l.from_now_on(errc::mission_not_found);
    b.desk->ask({"i", "needed"}, true, nullptr);
    CHECK(eventually([&] { return b.l.asked().back() == "needed"; }));
    CHECK(eventually([&] {
        auto now = ms::cause::none;
        b.desk->ask({"i", "other"}, true, [&](ms::cause c) { now = c; });
        return now == ms::cause::not_found;
    }));
}

TEST_CASE("of every eight requests each rank has one, whatever waits above it") {
    status_queue q;
    const auto put = [&](const std::string& id, status_rank r) {
        q.put({"i", id}, q.all()[{"i", id}], r);
    };
    for (int n = 0; n < 100; ++n)
        put("u" + std::to_string(n), status_rank::urgent);
    for (const auto& [id, r] : {std::pair{"caller", status_rank::caller},
                                std::pair{"background", status_rank::background},
                                std::pair{"stranger", status_rank::stranger}})
        put(id, r);
    std::string taken;
    for (int n = 0; n < 8; ++n)
        taken += q.take(true)->id.substr(0, 1);
    CHECK(taken == "uuucubus");
    put("stranger", status_rank::stranger);
    for (int n = 0; n < 16; ++n)
        CHECK(q.take(false)->id[0] == 'u');
}

TEST_CASE("the pause after failures doubles up to its bound, and one success ends it") {
    breaker b;
    std::int64_t now = 0, last = 0;
    for (unsigned n = 0; n + 1 < status_limits::failures_until_down; ++n)
        CHECK_FALSE(b.failed(now, system_random()));
    CHECK(b.may_send(now, 15));
    for (int n = 0; n < 12; ++n) {
        CHECK(b.failed(now, system_random()));
        CHECK(b.open(now));
        CHECK_FALSE(b.may_send(now, 0));
        last = b.left(now);
        now += last;
        CHECK(b.may_send(now, 0));
        CHECK_FALSE(b.may_send(now, 1));
    }
    const auto longest = std::chrono::milliseconds(status_limits::down_max).count();
    CHECK(last >= longest / 2);
    CHECK(last <= longest);
    b.succeeded();
    CHECK(b.may_send(now, 15));
}

TEST_CASE("ids that are not known are kept for a moment, and as many as there is room for") {
    unknown_ids ids;
    const auto kept = std::chrono::milliseconds(status_limits::not_found_kept).count();
    for (std::size_t n = 0; n < status_limits::not_found + 10; ++n)
        ids.add({"i", std::to_string(n)}, 0);
    CHECK(ids.size() == status_limits::not_found);
    CHECK_FALSE(ids.has({"i", "0"}, 1));
    CHECK(ids.has({"i", "100"}, kept - 1));
    CHECK_FALSE(ids.has({"i", "100"}, kept));
    CHECK(ids.size() == 0);
}

TEST_CASE(
    "a mission that waits is asked for once, however often that is wanted, urgent ones first") {
    desk_bench b;
    for (std::size_t n = 0; n < limits::status_in_flight; ++n)
        b.desk->ask({"i", "busy" + std::to_string(n)}, true, nullptr);
    b.desk->ask({"i", "calm"}, false, nullptr);
    b.desk->ask({"i", "raised"}, false, nullptr);
    for (int n = 0; n < 1000; ++n)
        b.desk->ask({"i", "raised"}, true, nullptr);
    b.l.answer_all();
    REQUIRE(eventually([&] { return b.l.asked().size() >= limits::status_in_flight + 2; }));
    const auto asked = b.l.asked();
    CHECK(asked.size() == limits::status_in_flight + 2);
    CHECK(asked[limits::status_in_flight] == "raised");
    CHECK(asked[limits::status_in_flight + 1] == "calm");
}

TEST_CASE("a failure of many is one line in the log, another one is another, and the end is told") {
    desk_bench b;
    b.l.answer_all();
    for (int n = 0; n < 4; ++n)
        b.desk->ask({"i", "m" + std::to_string(n)}, true, nullptr);
    REQUIRE(eventually([&] { return b.l.asked().size() == 4; }));
    REQUIRE(b.logged().size() == 1);
    CHECK(b.logged()[0] == "Mission Status failed mission=m0 error=unavailable");
    b.l.from_now_on(errc::timed_out);
    b.desk->ask({"i", "late"}, true, nullptr);
    REQUIRE(eventually([&] { return b.logged().size() == 2; }));
    CHECK(b.logged()[1] == "Mission Status failed mission=late error=timed_out");
    // "No such mission" is an answer.
    b.l.from_now_on(errc::mission_not_found);
    b.desk->ask({"i", "well"}, true, nullptr);
    REQUIRE(eventually([&] { return b.logged().size() == 3; }));
    CHECK(b.logged()[2] == "Mission Status answers again failures=1");
    b.desk->ask({"i", "fine"}, true, nullptr);
    REQUIRE(eventually([&] { return b.l.asked().size() == 7; }));
    CHECK(b.logged().size() == 3);
}
