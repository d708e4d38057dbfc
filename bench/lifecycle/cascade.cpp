#include <thread>

#include "base/json.hpp"
#include "bench/lifecycle/measures.hpp"
#include "bench/lifecycle/world.hpp"

namespace mission::bench {
namespace {

constexpr int generation = 100;  // children of the root
constexpr int foreign = 2'000;   // missions of nobody's family
constexpr auto urgent_every = std::chrono::milliseconds(10);

// Takes and acknowledges until told to stop.
class drainer {
  public:
    explicit drainer(world& w) : w_(w), thread_([this] { loop(); }) {}
    ~drainer() {
        stop_ = true;
        thread_.join();
    }
    drainer(const drainer&) = delete;
    drainer& operator=(const drainer&) = delete;
    std::uint64_t taken() const { return taken_; }

  private:
    void loop() {
        std::string acks;
        while (!stop_) {
            const auto answer = w_.poll(R"({"maxEvents":500,"returnImmediately":true)" +
                                        (acks.empty() ? "" : R"(,"ack":[)" + acks + "]") + "}");
            acks.clear();
            const auto parsed = json::parse(answer.body, limits::http_response_bytes);
            if (!parsed) fail("a poll's answer is no JSON");
            const auto* sets = json::find(*parsed, "sets");
            if (!sets || !sets->IsObject()) fail("a poll's answer has no sets");
            for (const auto& set : sets->GetObject()) {
                if (!acks.empty()) acks += ',';
                acks.append("\"").append(json::view(set.name)).append("\"");
                ++taken_;
            }
            if (acks.empty()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
    }

    world& w_;
    std::atomic<bool> stop_{false};
    std::atomic<std::uint64_t> taken_{0};
    std::thread thread_;
};

// Operates on foreign missions, one request after the other, at a steady pace.
class urgent {
  public:
    explicit urgent(world& w, int first) : w_(w), first_(first), thread_([this] { loop(); }) {}
    ~urgent() { stop(); }
    urgent(const urgent&) = delete;
    urgent& operator=(const urgent&) = delete;
    std::vector<double>& stop() {
        stop_ = true;
        if (thread_.joinable()) thread_.join();
        return waits_;
    }

  private:
    void loop() {
        for (int n = 0; !stop_; ++n) {
            const auto begin = clock_type::now();
            std::promise<void> done;
            // On and off: any number of runs has missions enough.
            const bool again = (n / foreign) % 2 == 1;
            w_.lifecycle(first_ + n % foreign, again ? "resume" : "suspend",
                         [&](const net::http_response&) { done.set_value(); });
            done.get_future().wait();
            waits_.push_back(milliseconds_since(begin));
            std::this_thread::sleep_until(begin + urgent_every);
        }
    }

    world& w_;
    const int first_;
    std::atomic<bool> stop_{false};
    std::vector<double> waits_;
    std::thread thread_;
};

bool pending(world& w) {
    bool some = true;
    if (auto r =
            w.db().read_now([&](const store::rows& rows) { some = !rows.cascades(1).empty(); });
        !r)
        fail(r.error().message());
    return some;
}

}  // namespace

cascade_times measure_cascade(const std::string& folder, int runs, int descendants) {
    const int each = descendants / generation - 1;  // grandchildren of a child
    const auto never = system_clock().now() + std::chrono::hours(24 * 30);
    std::vector<planned_mission> plan;
    for (int run = 0; run < runs; ++run) {
        const int root = static_cast<int>(plan.size());
        plan.push_back({-1, generation, never});
        for (int n = 0; n < generation; ++n)
            plan.push_back({root, each, never});
        for (int n = 0; n < generation; ++n)
            for (int k = 0; k < each; ++k)
                plan.push_back({root + 1 + n, 0, never});
    }
    const int families = static_cast<int>(plan.size()), family = families / runs;
    for (int n = 0; n < foreign * runs; ++n)
        plan.push_back({-1, 0, never});
    world w(folder, plan, true);
    w.start();
    drainer stream(w);
    cascade_times out;
    for (int run = 0; run < runs; ++run) {
        urgent others(w, families + foreign * run);
        const auto begin = clock_type::now();
        std::promise<void> told;
        w.lifecycle(family * run, "revoke", [&](const net::http_response&) { told.set_value(); });
        told.get_future().wait();
        while (pending(w)) {
            if (clock_type::now() - begin > std::chrono::minutes(2)) fail("the cascade hangs");
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
        }
        out.milliseconds.push_back(milliseconds_since(begin));
        auto& waits = others.stop();
        out.urgent += static_cast<int>(waits.size());
        out.urgent_p99.push_back(quantile(waits, 0.99));
        // All of them, and each has been told before the next run.
        std::optional<store::mission_state> state;
        if (auto r = w.db().read_now([&](const store::rows& rows) {
                state = rows.find_state(world::row(family * (run + 1) - 1));
            });
            !r || !state || state->state != events::mission_state::cascaded)
            fail("the last descendant was not reached");
        const auto wanted = static_cast<std::uint64_t>(family * (run + 1));
        while (stream.taken() < wanted) {
            if (clock_type::now() - begin > std::chrono::minutes(5)) fail("SETs are missing");
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
    }
    return out;
}

}  // namespace mission::bench
