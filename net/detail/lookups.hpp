// Names looked up on threads of their own. Private to net.
//
// A look-up blocks for as long as the name's servers like, and who registers a stream chooses the
// name. On the shared workers a few slow names would hold up the signing for everybody, so they
// get threads apart, one thread per name at most.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "net/egress.hpp"

namespace mission::net::detail {

class lookups {
  public:
    using addresses = result<std::vector<std::string>>;
    using callback = std::function<void(const addresses&)>;

    explicit lookups(std::shared_ptr<resolver> names) : names_(std::move(names)) {}
    ~lookups() { stop(); }

    // Calls `done` once, on a look-up thread, or right here with an error when too many wait or
    // after stop(). Who asks for a name that is being looked up shares the answer.
    void find(const std::string& host, callback done);
    // Drops what waits, joins the threads; a look-up under way is waited for.
    void stop();

  private:
    void run();

    std::shared_ptr<resolver> names_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<std::string> queue_;  // names nobody works on yet
    std::unordered_map<std::string, std::vector<callback>> waiting_;
    std::size_t waiters_ = 0;
    std::size_t idle_ = 0;
    bool stopped_ = false;
    std::vector<std::thread> threads_;
};

}  // namespace mission::net::detail
