#include <condition_variable>
#include <mutex>
#include <thread>

#include "bench/lifecycle/measures.hpp"
#include "bench/lifecycle/world.hpp"
#include "bench/token/yardsticks.hpp"
#include "jose/digest.hpp"
#include "jose/jws.hpp"

namespace mission::bench {
namespace {

constexpr int missions = 10'000;
constexpr int in_flight = 32;  // connections that are kept alive
constexpr int verified_every = 100;

// Keeps `in_flight` requests under way for so long; answers a second. `one(n, done)` sends the
// n-th.
double rate_of(double seconds, const std::function<void(int, std::function<void()>)>& one) {
    struct state {
        std::mutex mutex;
        std::condition_variable idle;
        std::atomic<int> next{0}, answered{0};
        int running = in_flight;
    };
    state s;
    const auto begin = clock_type::now();
    const auto end = begin + std::chrono::duration_cast<clock_type::duration>(
                                 std::chrono::duration<double>(seconds));
    std::function<void()> go = [&] {
        if (clock_type::now() >= end) {
            const std::lock_guard lock(s.mutex);
            if (--s.running == 0) s.idle.notify_all();
            return;
        }
        one(s.next++, [&] {
            ++s.answered;
            go();
        });
    };
    for (int n = 0; n < in_flight; ++n)
        go();
    std::unique_lock lock(s.mutex);
    s.idle.wait(lock, [&] { return s.running == 0; });
    return s.answered / (milliseconds_since(begin) / 1000);
}

// ES256 by OpenSSL alone, on every core at once.
double signatures_a_second(const jose::private_key& key, double seconds) {
    const std::string input(700, 'x');  // about what a status answer's claims are
    std::atomic<std::uint64_t> made{0};
    const auto begin = clock_type::now();
    std::vector<std::thread> threads;
    for (unsigned n = 0; n < std::max(1u, std::thread::hardware_concurrency()); ++n)
        threads.emplace_back([&] {
            const auto raw = make_raw_evp(key);
            std::uint64_t own = 0;
            while (milliseconds_since(begin) < seconds * 1000)
                for (int i = 0; i < 50; ++i, ++own)
                    raw->sign(input);
            made += own;
        });
    for (auto& t : threads)
        t.join();
    return static_cast<double>(made) / (milliseconds_since(begin) / 1000);
}

}  // namespace

request_rates measure_requests(const std::string& folder, int runs, double seconds) {
    const auto never = system_clock().now() + std::chrono::hours(24 * 30);
    world w(folder, std::vector<planned_mission>(missions, {-1, 0, never}), false);
    w.start();
    const auto keys = w.keys();
    const auto key = must(jose::private_key::generate(jose::alg::es256), "key");
    // Each mission is suspended, then resumed, in turns that never meet.
    std::atomic<int> operations{0};
    const auto operate = [&](int, std::function<void()> done) {
        const int n = operations++;
        w.lifecycle(n % missions, (n / missions) % 2 == 0 ? "suspend" : "resume",
                    [done = std::move(done)](const net::http_response&) { done(); });
    };
    const auto ask = [&](int n, std::function<void()> done) {
        w.post("/mission/status",
               {{"mission_id", mission_id(n % missions)}, {"nonce", std::to_string(n)}},
               [&, n, done = std::move(done)](const net::http_response& r) {
                   if (r.status != 200)
                       fail("a status: " + std::to_string(r.status) + " " + r.body);
                   if (n % verified_every == 0) {
                       const auto token = must(jose::parse_compact(r.body), "a status answer");
                       const jose::alg allowed[] = {jose::alg::es256};
                       if (auto ok = jose::verify(token, keys, allowed); !ok)
                           fail("a status answer: " + ok.error().message());
                   }
                   done();
               });
    };
    request_rates out;
    rate_of(seconds / 4, ask);  // warm
    for (int run = 0; run < runs; ++run) {
        out.lifecycle.push_back(rate_of(seconds, operate));
        out.status.push_back(rate_of(seconds, ask));
        out.signatures.push_back(signatures_a_second(key, seconds));
    }
    return out;
}

}  // namespace mission::bench
