// A state that writes when the test says so.
#pragma once

#include <doctest/doctest.h>

#include <deque>
#include <functional>
#include <utility>

#include "receiver/state/state.hpp"

namespace mission::receiver::testing {

// Keeps units until the test lets them be "written", or fails them.
class held_state final : public state {
  public:
    result<state_snapshot> load() override { return state_snapshot{}; }
    void submit(state_write w, std::function<void(result<void>)> answered,
                std::function<void()> committed) override {
        units.push_back({std::move(w), std::move(answered), std::move(committed)});
    }
    bool accepts() const noexcept override { return accepting; }
    void stop() override {}

    struct unit {
        state_write write;
        std::function<void(result<void>)> answered;
        std::function<void()> committed;
    };
    unit take() {
        REQUIRE(!units.empty());
        auto first = std::move(units.front());
        units.pop_front();
        return first;
    }
    void commit_all() {
        auto now = std::move(units);
        units.clear();
        for (auto& u : now) {
            if (u.committed) u.committed();
            if (u.answered) u.answered({});
        }
    }
    std::deque<unit> units;
    bool accepting = true;
};

}  // namespace mission::receiver::testing
