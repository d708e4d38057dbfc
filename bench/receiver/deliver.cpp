#include <time.h>

#include <algorithm>
#include <filesystem>

#include "bench/harness.hpp"
#include "bench/receiver/fail.hpp"
#include "bench/receiver/measures.hpp"
#include "bench/receiver/sender.hpp"
#include "bench/token/yardsticks.hpp"

namespace mission::bench {
namespace {

constexpr int versions = 4;
constexpr int warm_missions = 100;
// A run is cut into so many parts, with OpenSSL alone between them: what the machine does to one
// it does to the other.
constexpr std::size_t parts = 5;
constexpr double raw_slice = 0.06;  // seconds of OpenSSL alone, between two parts

// CPU seconds of one verification of the signing input of this SET, over about `raw_slice`.
double raw_verification(raw_evp& raw, const std::string& token) {
    const auto input = std::string_view(token).substr(0, token.rfind('.'));
    raw.sign(input);
    int done = 0;
    const double begin = thread_cpu_seconds();
    for (;;) {
        for (int n = 0; n < 16; ++n, ++done)
            if (!raw.verify(input)) fail("OpenSSL does not verify its own signature");
        const double taken = thread_cpu_seconds() - begin;
        if (taken >= raw_slice) return taken / done;
    }
}

class measurement {
  public:
    measurement(sender& from, const std::string& state_path, bool push)
        : from_(from), raw_(make_raw_evp(from.key())) {
        from_.expect_receiver(push);
        to_ = std::make_unique<child>(from_.setup_of(push, state_path));
    }

    void live() {
        from_.wait_verified();
        from_.send_heartbeat();
        to_->wait_live();
    }

    // One run; microseconds per SET and per verification go to `out` unless it is null.
    void run(const std::vector<prepared_set>& sets, delivery_costs* out) {
        const auto before = to_->counts();
        const auto per_part = (sets.size() + parts - 1) / parts;
        double used = 0;
        std::vector<double> raw;
        for (std::size_t at = 0; at < sets.size(); at += per_part) {
            const auto end = std::min(at + per_part, sets.size());
            const std::vector<prepared_set> part(sets.begin() + static_cast<std::ptrdiff_t>(at),
                                                 sets.begin() + static_cast<std::ptrdiff_t>(end));
            raw.push_back(raw_verification(*raw_, part.front().token));
            const double begin = to_->cpu_seconds();
            from_.deliver(part);
            used += to_->cpu_seconds() - begin;
        }
        raw.push_back(raw_verification(*raw_, sets.back().token));
        const auto after = to_->counts();
        if (after.received - before.received != sets.size() || after.rejected != 0 ||
            after.duplicate != before.duplicate)
            fail("the receiver has not taken every SET once");
        if (out == nullptr) return;
        double sum = 0;
        for (const double r : raw)
            sum += r;
        out->receiver_us.push_back(used * 1e6 / static_cast<double>(sets.size()));
        out->raw_us.push_back(sum * 1e6 / static_cast<double>(raw.size()));
    }

    std::size_t missions() { return to_->counts().missions; }

  private:
    sender& from_;
    std::unique_ptr<raw_evp> raw_;
    std::unique_ptr<child> to_;
};

}  // namespace

std::vector<double> delivery_costs::ratios() const {
    std::vector<double> out;
    for (std::size_t n = 0; n < raw_us.size(); ++n)
        out.push_back(raw_us[n] / receiver_us[n]);
    return out;
}

deliveries measure_deliveries(const std::string& folder, jose::alg alg, int runs, int missions) {
    std::filesystem::create_directories(folder);
    sender from(folder, alg);
    std::vector<std::vector<prepared_set>> all;
    all.push_back(from.make_sets(warm_missions, versions));
    for (int n = 0; n < runs; ++n)
        all.push_back(from.make_sets(missions, versions));
    deliveries out;
    for (const bool push : {false, true}) {
        const auto state = folder + (push ? "/push.db" : "/poll.db");
        measurement m(from, state, push);
        m.live();
        m.run(all.front(), nullptr);
        for (int n = 1; n <= runs; ++n)
            m.run(all[static_cast<std::size_t>(n)], push ? &out.push : &out.poll);
        const auto expected = static_cast<std::size_t>(warm_missions + runs * missions);
        if (m.missions() != expected) fail("the receiver does not know every mission");
    }
    return out;
}

}  // namespace mission::bench
