#include "receiver/process_mark.hpp"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <new>

namespace mission::receiver {
namespace {

using mark_word = std::atomic<std::uint64_t>;
static_assert(mark_word::is_always_lock_free);

mark_word without_a_page{0};
mark_word* word_in_use = &without_a_page;

mark_word* make_word() {
    const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    void* page = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page != MAP_FAILED) {
        (void)::madvise(page, size, MADV_WIPEONFORK);
        word_in_use = new (page) mark_word(0);
    }
    (void)::pthread_atfork(nullptr, nullptr,
                           [] { word_in_use->store(0, std::memory_order_relaxed); });
    return word_in_use;
}

// In ordinary memory: a child counts on from where its parent was, and takes no mark of its line.
std::atomic<std::uint64_t> last_mark{0};

}  // namespace

process_mark process_mark::of_this_process() {
    static mark_word* const word = make_word();
    auto mark = word->load(std::memory_order_relaxed);
    if (mark == 0) {
        const auto mine = last_mark.fetch_add(1, std::memory_order_relaxed) + 1;
        if (word->compare_exchange_strong(mark, mine, std::memory_order_relaxed)) mark = mine;
    }
    return {word, mark};
}

}  // namespace mission::receiver
