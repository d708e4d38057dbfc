#include "net/detail/lookups.hpp"

#include <exception>
#include <utility>

namespace mission::net::detail {
namespace {

// Made when they are needed; they wait, and cost next to nothing. Several times what one client's
// streams (streams_per_receiver, 16) can occupy with names that hang, so that it holds up no other.
constexpr std::size_t most_threads = 64;
constexpr std::size_t most_waiters = 16'384;

}  // namespace

void lookups::find(const std::string& host, callback done) {
    {
        const std::lock_guard lock(mutex_);
        if (!stopped_ && waiters_ < most_waiters) {
            auto& waiters = waiting_[host];
            waiters.push_back(std::move(done));
            ++waiters_;
            if (waiters.size() > 1) return;
            queue_.push_back(host);
            if (idle_ < queue_.size() && threads_.size() < most_threads) {
                threads_.emplace_back([this] { run(); });
            }
            wake_.notify_one();
            return;
        }
    }
    done(error{errc::resolve_failed, host + ": too many names are being looked up"});
}

void lookups::run() {
    std::unique_lock lock(mutex_);
    for (;;) {
        ++idle_;
        wake_.wait(lock, [&] { return stopped_ || !queue_.empty(); });
        --idle_;
        if (stopped_) return;
        const std::string host = std::move(queue_.front());
        queue_.pop_front();
        lock.unlock();
        addresses found = error{errc::resolve_failed, host};
        try {
            found = names_->resolve(host);
        } catch (const std::exception& e) {  // a resolver that is not ours
            found = error{errc::resolve_failed, host + ": " + e.what()};
        }
        lock.lock();
        auto node = waiting_.extract(host);
        if (node.empty()) continue;  // stopped meanwhile
        waiters_ -= node.mapped().size();
        lock.unlock();
        for (const auto& done : node.mapped())
            done(found);
        node = {};
        lock.lock();
    }
}

void lookups::stop() {
    std::unordered_map<std::string, std::vector<callback>> dropped;
    std::vector<std::thread> threads;
    {
        const std::lock_guard lock(mutex_);
        stopped_ = true;
        dropped.swap(waiting_);
        waiters_ = 0;
        queue_.clear();
        threads.swap(threads_);
    }
    wake_.notify_all();
    for (auto& t : threads)
        t.join();
}

}  // namespace mission::net::detail
