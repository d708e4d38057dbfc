// Waiting for an event, with a bound, and never for a time.
#pragma once

#include <poll.h>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>

#include <unistd.h>

namespace mission::test {

template <class Condition>
bool eventually(Condition&& c, std::chrono::milliseconds within = std::chrono::seconds(20)) {
    const auto end = std::chrono::steady_clock::now() + within;
    while (!c()) {
        if (std::chrono::steady_clock::now() >= end) return false;
        ::poll(nullptr, 0, 1);
    }
    return true;
}

class temp_dir {
  public:
    temp_dir() {
        char name[] = "/tmp/mission-receiver-XXXXXX";
        path_ = ::mkdtemp(name);
    }
    ~temp_dir() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    std::string operator/(const std::string& name) const { return path_ + "/" + name; }

  private:
    std::string path_;
};

}  // namespace mission::test
