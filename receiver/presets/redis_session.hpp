// One connection to Redis, commands as lists of words: nothing of a value is ever syntax.
#pragma once

#include <hiredis/hiredis.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "receiver/presets/patience.hpp"

namespace mission::receiver::presets {

// What Redis, or the connection to it, says. `lost`: whether the command was done is not known.
struct redis_error : std::runtime_error {
    redis_error(const std::string& what, bool lost_ = false)
        : std::runtime_error(what), lost(lost_) {}
    bool lost;
};
struct redis_too_late : redis_error {
    using redis_error::redis_error;
};

class redis_session {
  public:
    // HOST:PORT or unix:PATH; `admin` and `password` may be empty. redis_error.
    redis_session(const std::string& address, const std::string& admin, const std::string& password,
                  const patience& time);

    // The answer as text: of an integer its digits, of a list the number of its entries; nullopt
    // for nil. redis_error, redis_too_late.
    std::optional<std::string> run(const std::vector<std::string>& words);

  private:
    struct finish {
        void operator()(redisContext* c) const noexcept { redisFree(c); }
    };
    const patience& time_;
    std::unique_ptr<redisContext, finish> c_;
};

// "127.0.0.1:6379", "[::1]:6379"; setup_error.
std::pair<std::string, int> redis_host_port(const std::string& address);

}  // namespace mission::receiver::presets
