// A receiver and a transmitter that can misbehave, polling.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "tests/receiver/fake_transmitter.hpp"

namespace mission::test {

inline std::string new_id() {
    return "msn_" + jose::random_id(18);
}

struct poll_bench {
    temp_dir dir;
    std::mutex log_mutex;  // before who writes there
    std::vector<std::string> log;
    fake_transmitter tx;
    std::unique_ptr<mission_signals::receiver> rx;

    mission_signals::options options() {
        auto o = tx.options(dir);
        o.log = [this](mission_signals::log_level, std::string_view text,
                       const std::vector<mission_signals::log_field>& fields) {
            std::string line(text);
            for (const auto& f : fields)
                line += " " + std::string(f.name) + "=" + f.value;
            std::lock_guard lock(log_mutex);
            log.push_back(std::move(line));
        };
        return o;
    }
    void start(mission_signals::options o,
               const std::function<void(mission_signals::receiver&)>& prepare = nullptr) {
        rx.reset();
        rx = make_receiver(std::move(o));
        if (prepare) prepare(*rx);
        rx->start();
    }
    bool logged(const std::string& part) {
        std::lock_guard lock(log_mutex);
        for (const auto& line : log) {
            if (line.find(part) != std::string::npos) return true;
        }
        return false;
    }
    void live() {
        REQUIRE(eventually([&] { return !rx->current_status().aud.empty(); }));
        tx.heartbeat();
        REQUIRE(rx->wait_live(std::chrono::seconds(20)));
    }
    bool becomes(const std::string& id, mission_signals::standing s) {
        return eventually([&] { return rx->missions().check(id).what == s; });
    }
    bool problem(const std::string& part) {
        return eventually([&] { return rx->last_setup_problem().find(part) != std::string::npos; });
    }
};

// Declared behind what a script or a handler of the test uses: nobody uses it any more when it
// goes.
class last_word {
  public:
    explicit last_word(poll_bench& b) : b_(b) {}
    ~last_word() {
        b_.rx.reset();
        b_.tx.answer_with(nullptr);
    }
    last_word(const last_word&) = delete;
    last_word& operator=(const last_word&) = delete;

  private:
    poll_bench& b_;
};

// Lines of the receiver's log that contain `part`.
inline std::size_t lines_with(poll_bench& b, const std::string& part) {
    std::lock_guard lock(b.log_mutex);
    return static_cast<std::size_t>(std::count_if(b.log.begin(), b.log.end(), [&](auto& line) {
        return line.find(part) != std::string::npos;
    }));
}

inline net::http_response text_response(int status, std::string body,
                                        const char* type = "application/json") {
    net::http_response r;
    r.status = status;
    r.fields.add("content-type", type);
    r.body = std::move(body);
    return r;
}

}  // namespace mission::test
