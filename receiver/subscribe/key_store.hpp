// The transmitter's keys: fetched once, again for a reason, and never thrown away for a failure.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "jose/key.hpp"
#include "net/client.hpp"
#include "receiver/freshness/freshness.hpp"

namespace mission::receiver {

// THREAD: any.
class key_store : public std::enable_shared_from_this<key_store> {
  public:
    key_store(std::shared_ptr<net::http_client> http, std::function<instant()> now)
        : http_(std::move(http)), now_(std::move(now)) {}

    void set_url(std::string jwks_uri);
    std::shared_ptr<const jose::key_set> keys() const;
    void refetch(std::function<void(result<void>)> done);
    bool aged() const;
    bool given_up() const;

  private:
    void fetched(result<net::http_response> r);

    const std::shared_ptr<net::http_client> http_;
    const std::function<instant()> now_;
    mutable std::mutex m_;
    std::string url_;
    std::shared_ptr<const jose::key_set> keys_;
    bool fetching_ = false, failed_ = false;
    std::int64_t asked_at_ = 0, failed_since_ = 0, fetched_at_ = 0;
    std::vector<std::function<void(result<void>)>> waiters_;
};

}  // namespace mission::receiver
