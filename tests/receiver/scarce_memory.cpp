#include "tests/receiver/scarce_memory.hpp"

#include <cstdlib>
#include <new>

namespace {

struct plan {
    bool on = false;
    std::size_t before = 0, left = 0, failed = 0;
};
thread_local constinit plan mine;

bool refused() noexcept {
    if (!mine.on) return false;
    if (mine.before > 0) {
        --mine.before;
        return false;
    }
    if (mine.left == 0) return false;
    --mine.left;
    ++mine.failed;
    return true;
}

}  // namespace

namespace mission::test {

scarce_memory::scarce_memory(std::size_t first, std::size_t most) noexcept {
    mine = {true, first, most, 0};
}

scarce_memory::~scarce_memory() {
    mine.on = false;
}

std::size_t scarce_memory::failed() const noexcept {
    return mine.failed;
}

}  // namespace mission::test

// The array and nothrow forms of the standard library come to these.
void* operator new(std::size_t size) {
    if (refused()) throw std::bad_alloc();
    if (void* p = std::malloc(size == 0 ? 1 : size)) return p;
    throw std::bad_alloc();
}
void operator delete(void* p) noexcept {
    std::free(p);
}
void operator delete(void* p, std::size_t) noexcept {
    std::free(p);
}
