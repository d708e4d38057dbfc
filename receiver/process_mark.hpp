// Whose process this is, asked without a system call: fork() copies a receiver's memory and none of
// its threads, so that a permission in the child would never be taken back.
//
// The word lies in a page that the kernel empties in every child, however it was made
// (MADV_WIPEONFORK: also for a bare clone(2) or _Fork(), which run no handlers); a handler of
// pthread_atfork(3) does it where a kernel cannot.
#pragma once

#include <atomic>
#include <cstdint>

namespace mission::receiver {

class process_mark {
  public:
    // Belongs to no process: it is at home everywhere.
    process_mark() = default;
    // Of the calling process. THREAD: any.
    static process_mark of_this_process();

    bool at_home() const noexcept {
        return word_ == nullptr || word_->load(std::memory_order_relaxed) == mark_;
    }

  private:
    process_mark(const std::atomic<std::uint64_t>* word, std::uint64_t mark)
        : word_(word), mark_(mark) {}

    const std::atomic<std::uint64_t>* word_ = nullptr;
    std::uint64_t mark_ = 0;
};

}  // namespace mission::receiver
