// SIGHUP, as a call on a thread of its own.
#pragma once

#include <functional>
#include <thread>

namespace mission::receiver::program {

// One per process. `on_hangup` may block; signals that come meanwhile are one more call.
class hangup_watch {
  public:
    explicit hangup_watch(std::function<void()> on_hangup);
    ~hangup_watch();  // waits for a call that runs; SIGHUP is ignored from then on
    hangup_watch(const hangup_watch&) = delete;
    hangup_watch& operator=(const hangup_watch&) = delete;

  private:
    void run();

    const std::function<void()> on_hangup_;
    int stop_ = -1;  // eventfd
    std::thread thread_;
};

}  // namespace mission::receiver::program
