// Memory that ends when a test says so: operator new of the whole test program is replaced
// (scarce_memory.cpp), and throws on the thread that asked for it. What comes from the system
// directly (receiver/cache/memory_block.hpp) is not touched.
#pragma once

#include <cstddef>
#include <limits>
#include <new>

namespace mission::test {

// While it lives, allocations of this thread fail: those from number `first` on (the next one is
// number 0), `most` of them. One at a time lives on a thread.
class scarce_memory {
  public:
    static constexpr std::size_t all = std::numeric_limits<std::size_t>::max();
    explicit scarce_memory(std::size_t first, std::size_t most = all) noexcept;
    ~scarce_memory();
    scarce_memory(const scarce_memory&) = delete;
    scarce_memory& operator=(const scarce_memory&) = delete;

    // How many have failed so far.
    std::size_t failed() const noexcept;
};

// What became of `act` where memory ends so.
struct scarce_outcome {
    bool failed = false;  // an allocation has
    bool thrown = false;  // and `act` said so
};
template <class Act>
scarce_outcome act_without_memory(std::size_t first, std::size_t most, const Act& act) {
    const scarce_memory scarce(first, most);
    try {
        act();
    } catch (const std::bad_alloc&) {
        return {scarce.failed() > 0, true};
    }
    return {scarce.failed() > 0, false};
}

}  // namespace mission::test
