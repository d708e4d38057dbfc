#include "transmitter/program/key_keeper.hpp"

#include <mutex>
#include <utility>

#include "transmitter/log.hpp"

namespace mission::transmitter {
namespace {

class timed_keeper final : public key_keeper, public std::enable_shared_from_this<timed_keeper> {
  public:
    timed_keeper(net::runtime& runtime, std::vector<key_ring*> rings,
                 std::chrono::milliseconds interval)
        : runtime_(runtime), rings_(std::move(rings)), said_(rings_.size()), interval_(interval) {}

    void start() override { look(); }

    void stop() override {
        const std::lock_guard lock(mutex_);
        stopped_ = true;
        timer_.reset();
    }

  private:
    // Files are read: on a worker. One look at a time, since the next one is armed by it.
    void look() {
        runtime_.post_work([self = shared_from_this()] {
            for (std::size_t i = 0; i < self->rings_.size(); ++i)
                self->refresh(i);
            self->arm();
        });
    }

    void refresh(std::size_t i) {
        const auto changed = rings_[i]->refresh();
        // Once per trouble, not once per second; what was loaded goes on signing.
        std::string trouble = changed ? std::string() : changed.error().detail;
        if (trouble == said_[i]) return;
        if (changed)
            log(level::info, "signing keys can be read again");
        else
            log(level::error, "signing keys not taken over", {{"reason", trouble}});
        said_[i] = std::move(trouble);
    }

    void arm() {
        const std::lock_guard lock(mutex_);
        if (stopped_) return;
        timer_ = runtime_.after(interval_, [self = shared_from_this()] { self->look(); });
    }

    net::runtime& runtime_;
    const std::vector<key_ring*> rings_;
    std::vector<std::string> said_;  // the one look that runs
    const std::chrono::milliseconds interval_;
    std::mutex mutex_;
    bool stopped_ = false;
    std::unique_ptr<net::timer> timer_;
};

}  // namespace

std::string key_directory(const config& settings, std::string_view issuer_url) {
    return settings.signing_directory + "/" + issuer_folder(issuer_url);
}

key_ring_options key_options(const config& settings, const clock* time) {
    key_ring_options o;
    o.lead = settings.signing_lead;
    o.retain = settings.signing_retain.value_or(settings.ssf.hold_days + std::chrono::days(1));
    o.status_retain = settings.signing_status_retain;
    o.time = time;
    return o;
}

std::shared_ptr<key_keeper> make_key_keeper(net::runtime& runtime, std::vector<key_ring*> rings,
                                            std::chrono::milliseconds interval) {
    return std::make_shared<timed_keeper>(runtime, std::move(rings), interval);
}

}  // namespace mission::transmitter
