// Who asks Mission Status, and how much that may cost.
#include "receiver/subscribe/status_desk.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <mutex>

#include "base/limits.hpp"
#include "base/random.hpp"
#include "receiver/engine/engine.hpp"
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
    bool at_once_ = false;
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
    std::shared_ptr<status_desk> desk = make_status_desk(
        *rt, l, e,
        [this](ms::log_level, std::string_view text, const std::vector<ms::log_field>& fields) {
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

TEST_CASE("any number of missions wait, and all of them fail at once, without ending the process") {
    desk_bench b;
    std::atomic<std::size_t> told{0};
    for (std::size_t n = 0; n < limits::status_waiting; ++n)
        b.desk->ask({"i", "m" + std::to_string(n)}, true, [&] { ++told; });
    CHECK(b.l.asked().size() == limits::status_in_flight);
    b.l.answer_all();
    CHECK(eventually([&] { return told == limits::status_waiting; }));
    CHECK(b.l.asked().size() == limits::status_waiting);
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
    for (int n = 0; n < 100; ++n)
        b.desk->ask({"i", "m" + std::to_string(n)}, true, nullptr);
    REQUIRE(eventually([&] { return b.l.asked().size() == 100; }));
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
    REQUIRE(eventually([&] { return b.l.asked().size() == 103; }));
    CHECK(b.logged().size() == 3);
}
