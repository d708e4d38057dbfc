#include "receiver/host_calls.hpp"

#include <condition_variable>
#include <exception>
#include <mutex>
#include <utility>

namespace mission::receiver {

// Counted, not locked: a callback that never returns must not keep anybody from closing.
struct host_calls::gate {
    std::mutex m;
    std::condition_variable left;
    bool open = true;
    std::size_t inside = 0;

    bool enter() {
        std::lock_guard lock(m);
        if (open) ++inside;
        return open;
    }
    void leave() {
        std::lock_guard lock(m);
        --inside;
        left.notify_all();
    }
};

host_calls::host_calls(const ms::options& o) : o_(o), gate_(std::make_shared<gate>()) {}

std::function<void()> host_calls::guarded(std::function<void()> callback) const {
    // A copy of the log function: who is left behind by close() still has it.
    return [log = o_.log, callback = std::move(callback)] {
        constexpr std::string_view text = "a callback of the host has thrown";
        try {
            callback();
        } catch (const std::exception& e) {
            if (log) log(ms::log_level::error, text, {{"error", e.what()}});
        } catch (...) {
            if (log) log(ms::log_level::error, text, {});
        }
    };
}

void host_calls::run(std::function<void()> callback, worker_pool* pool) const {
    auto job = guarded(std::move(callback));
    if (o_.run) {
        o_.run([gate = gate_, job = std::move(job)] {
            if (!gate->enter()) return;
            job();
            gate->leave();
        });
    } else if (pool != nullptr) {
        pool->post(std::move(job));
    } else {
        job();  // not started: there is no thread of ours yet
    }
}

bool host_calls::close(std::chrono::milliseconds patience) {
    std::unique_lock lock(gate_->m);
    gate_->open = false;
    return gate_->left.wait_for(lock, patience, [&] { return gate_->inside == 0; });
}

}  // namespace mission::receiver
