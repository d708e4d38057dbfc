// What the orchestrator has to say of a mission, told to the transmitter until it is taken
// (POST /missions/{id}/reports). Off the paths that halt agents: a report that cannot be delivered
// keeps nobody running.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>

#include "samples/common/transmitter_api.hpp"

namespace sample {

// THREAD: every method from any thread. One thread of its own tells; what waits is in memory, and a
// crash forgets it.
class reporter {
  public:
    reporter(transmitter_api& api, std::string program);
    ~reporter();

    // `kind` as the transmitter has it: completed | failed | anomaly. `about` names the
    // thing, and with the kind makes the report one, however often it is sent.
    void tell(const std::string& mission, const std::string& kind, const std::string& about,
              json_object detail);

  private:
    struct report {
        std::string mission, kind, about, body;
        int tries = 0;
    };
    void work();
    bool delivered(const report& r);  // or refused for good

    static constexpr std::size_t waiting_max = 10'000;
    transmitter_api& api_;
    const std::string program_;
    std::mutex lock_;
    std::condition_variable wake_;
    std::deque<report> waiting_;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace sample
