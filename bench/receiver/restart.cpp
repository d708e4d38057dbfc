#include <algorithm>
#include <filesystem>
#include <fstream>
#include <future>

#include "bench/receiver/child.hpp"
#include "bench/receiver/fail.hpp"
#include "bench/receiver/measures.hpp"
#include "jose/key.hpp"
#include "receiver/state/state.hpp"

namespace mission::bench {
namespace {

constexpr int missions_a_unit = 1000;
// Nobody is there: what is known has to come from the state alone.
constexpr const char* issuer = "https://localhost:9";

void fill(const std::string& path, int missions) {
    auto opened = must(
        receiver::open_state(path, [](const std::string& problem) { fail(problem); }), "state");
    must(opened->load(), "state");
    const auto now = system_clock().now();
    for (int at = 0; at < missions; at += missions_a_unit) {
        receiver::state_write w;
        for (int n = at; n < std::min(at + missions_a_unit, missions); ++n) {
            receiver::record m;
            m.key = {issuer, restart_id(n)};
            m.state = n % 4 == 0 ? "revoked" : "active";
            m.version = 1 + n % 7;
            m.log_epoch = "epoch-of-the-benchmark";
            m.expires_at = now + std::chrono::hours(8);
            m.confirmed_epoch = 1;
            w.missions.push_back(std::move(m));
        }
        std::promise<bool> written;
        auto done = written.get_future();
        opened->submit(std::move(w),
                       [&](const result<void>& r) { written.set_value(r.has_value()); });
        if (!done.get()) fail("the state cannot be written");
    }
    opened->stop();
}

}  // namespace

std::vector<double> measure_restart(const std::string& folder, int runs, int missions) {
    std::filesystem::create_directories(folder);
    child_setup setup;
    setup.issuer = issuer;
    setup.client_id = "rs";
    setup.key_file = folder + "/key.pem";
    setup.state_path = folder + "/state.db";
    setup.restart_missions = missions;
    {
        std::ofstream key(setup.key_file);
        key << must(jose::private_key::generate(jose::alg::es256), "key").to_pem();
        if (!key.flush()) fail("cannot write " + setup.key_file);
    }
    fill(setup.state_path, missions);
    std::vector<double> out;
    for (int n = 0; n < runs; ++n)
        out.push_back(child(setup).restart_ms());
    return out;
}

}  // namespace mission::bench
