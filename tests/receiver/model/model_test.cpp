// Random histories against an oracle that knows the truth: the receiver never permits what the
// registry had ended and told, nor anything later than max_stale after its end, and permits again
// once everything has arrived.
//
// MISSION_MODEL_STEPS  how many steps (200,000)
// MISSION_MODEL_SEED   where the numbers begin; printed with every failure
// MISSION_MODEL_BRIEF  a failure is told as it is, not shortened first (mutations.py)
#include <doctest/doctest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "tests/receiver/model/world.hpp"

using namespace mission::model;

namespace {

constexpr std::uint64_t world_steps = 1500;

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 0);
}

using history = std::vector<std::uint64_t>;

std::string failure_of(std::uint64_t seed, const history& steps,
                       std::vector<std::string>* trace = nullptr) {
    world w(seed);
    w.trace = trace;
    for (const auto s : steps) {
        if (!w.step(s)) return w.failure();
    }
    return {};
}

// Takes out what is not needed for some failure to come.
history shortened(std::uint64_t seed, history steps) {
    unsigned runs = 0;
    for (auto chunk = steps.size() / 2; chunk != 0; chunk /= 2) {
        for (std::size_t at = 0; at < steps.size() && runs < 3000;) {
            history fewer(steps.begin(), steps.begin() + static_cast<std::ptrdiff_t>(at));
            const auto rest = std::min(at + chunk, steps.size());
            fewer.insert(fewer.end(), steps.begin() + static_cast<std::ptrdiff_t>(rest),
                         steps.end());
            ++runs;
            if (failure_of(seed, fewer).empty()) {
                at += chunk;
            } else {
                steps = std::move(fewer);
            }
        }
    }
    return steps;
}

}  // namespace

TEST_CASE("no history makes the receiver permit what has ended, or deny what it has to permit") {
    const auto steps = from_environment("MISSION_MODEL_STEPS", 200'000);
    const auto seed = from_environment("MISSION_MODEL_SEED", 0x6d697373696f6eULL);
    dice worlds(seed);
    for (std::uint64_t done = 0; done < steps; done += world_steps) {
        const auto world_seed = worlds.next();
        dice d(world_seed);
        history h;
        for (std::uint64_t n = 0; n < world_steps; ++n)
            h.push_back(d.next());
        std::string why;
        {
            world w(world_seed);
            bool good = true;
            for (std::size_t n = 0; n < h.size() && good; ++n) {
                good = w.step(h[n]);
                if (!good) h.resize(n + 1);
            }
            if (good) continue;
            why = w.failure();
        }
        const bool brief = std::getenv("MISSION_MODEL_BRIEF") != nullptr;
        const auto least = brief ? h : shortened(world_seed, h);
        std::vector<std::string> trace;
        // Who is forgotten first among equals is left to chance: not every run fails.
        for (int n = 0; n < 20; ++n) {
            trace.clear();
            if (auto again = failure_of(world_seed, least, &trace); !again.empty()) {
                why = std::move(again);
                break;
            }
        }
        std::string text;
        const std::size_t shown = 200;
        for (std::size_t n = trace.size() > shown ? trace.size() - shown : 0; n < trace.size(); ++n)
            text += trace[n] + "\n";
        FAIL("MISSION_MODEL_SEED=" << seed << " world " << world_seed << " after " << done
                                   << " steps: " << why << "\n"
                                   << least.size() << " steps suffice:\n"
                                   << text);
    }
    // A model in which nothing happens finds nothing.
    std::string missing;
    for (const char* what :
         {"SETs", "heartbeats", "Status", "lost", "repeated", "dropped", "forged", "restart: lost",
          "restart: old copy", "restart: young copy", "restart: crash", "restored",
          "another stream", "forgotten", "clock set", "disk full", "calm", "permitted"}) {
        MESSAGE(std::string(what) << ": " << world::counts()[what]);
        if (steps >= 200'000 && world::counts()[what] < 20) missing += std::string(" ") + what;
    }
    CHECK(missing == "");
}
