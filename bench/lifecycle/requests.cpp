#include <ctime>

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
constexpr int in_flight = 32;  // connections that are kept alive, for operations
constexpr int askers = 128;    // and for statuses
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

double process_cpu_seconds() {
    timespec t{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

// Asks for statuses, a wave of one thread while that of the other is answered; one answer in so
// many is verified.
class asker {
  public:
    asker(world& w, const jose::key_set& keys) : keys_(keys), host_(w.url("").substr(8)) {
        for (auto& c : callers_)
            c = std::make_unique<tls_caller>(w.port(), w.console(), askers / threads);
    }

    // What they cost in all, of both sides: CPU seconds.
    double cpu = 0;
    std::uint64_t answers = 0;

    // Answers a second.
    double rate(double seconds) {
        const double cpu_before = process_cpu_seconds();
        const auto begin = clock_type::now();
        std::atomic<int> answered{0};
        std::vector<std::thread> running;
        for (auto& c : callers_)
            running.emplace_back([&, caller = c.get()] {
                caller->run([&] { return milliseconds_since(begin) < seconds * 1000; },
                            [&](int n) { return request(n); },
                            [&](int n, int status, std::string_view body) {
                                ++answered;
                                check(n, status, body);
                            },
                            [&] { return next_++; });
            });
        for (auto& t : running)
            t.join();
        const double took = milliseconds_since(begin) / 1000;
        cpu += process_cpu_seconds() - cpu_before;
        answers += static_cast<std::uint64_t>(answered.load());
        return answered / took;
    }

  private:
    static constexpr int threads = 4;

    std::string request(int n) const {
        const auto body = net::encode_form(
            {{"mission_id", mission_id(n % missions)}, {"nonce", std::to_string(n)}});
        return "POST /mission/status HTTP/1.1\r\nHost: " + host_ +
               "\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: " +
               std::to_string(body.size()) + "\r\n\r\n" + body;
    }

    void check(int n, int status, std::string_view body) const {
        if (status != 200) fail("a status: " + std::to_string(status) + " " + std::string(body));
        if (n % verified_every != 0) return;
        const auto token = must(jose::parse_compact(body), "a status answer");
        const jose::alg allowed[] = {jose::alg::es256};
        if (auto ok = jose::verify(token, keys_, allowed); !ok)
            fail("a status answer: " + ok.error().message());
    }

    const jose::key_set& keys_;
    const std::string host_;
    std::atomic<int> next_{0};
    std::unique_ptr<tls_caller> callers_[threads];
};

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

request_rates measure_requests(const std::string& folder, int runs, double seconds,
                               bool operations_too) {
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
    asker ask(w, keys);
    request_rates out;
    ask.rate(seconds / 4);  // warm
    ask.answers = 0;
    ask.cpu = 0;
    for (int run = 0; run < runs; ++run) {
        if (operations_too) out.lifecycle.push_back(rate_of(seconds, operate));
        // In turns: a change of the machine's speed meets both alike.
        constexpr int turns = 6;
        double status = 0, signatures = 0;
        for (int n = 0; n < turns; ++n) {
            status += ask.rate(seconds / turns) / turns;
            signatures += signatures_a_second(key, seconds / turns) / turns;
        }
        out.status.push_back(status);
        out.signatures.push_back(signatures);
        out.status_ratio.push_back(status / signatures);
    }
    out.status_cpu_us = ask.cpu * 1e6 / static_cast<double>(ask.answers);
    return out;
}

}  // namespace mission::bench
