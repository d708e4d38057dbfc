#include "receiver/cache/memory_block.hpp"

#include <sys/mman.h>

#include <cstdint>
#include <new>

namespace mission::receiver {
namespace {

constexpr std::size_t huge_page = 2u << 20;

}  // namespace

memory_block::memory_block(std::size_t octets) : size_((octets + page - 1) / page * page) {
    const std::size_t spare = size_ >= huge_page ? huge_page : 0;
    void* at =
        ::mmap(nullptr, size_ + spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) throw std::bad_alloc();
    at_ = static_cast<std::byte*>(at);
    if (spare == 0) return;
    // Only what is aligned can be a huge page.
    const auto lead = (huge_page - reinterpret_cast<std::uintptr_t>(at_) % huge_page) % huge_page;
    if (lead > 0) ::munmap(at_, lead);
    at_ += lead;
    if (lead < spare) ::munmap(at_ + size_, spare - lead);
    ::madvise(at_, size_, MADV_HUGEPAGE);
}

memory_block::~memory_block() {
    if (at_ != nullptr) ::munmap(at_, size_);
}

bool memory_block::give_back() noexcept {
    if (::madvise(at_, size_, MADV_DONTNEED) != 0) return false;
    // Who comes late may still write there: a small page then, not a huge one.
    ::madvise(at_, size_, MADV_NOHUGEPAGE);
    return true;
}

}  // namespace mission::receiver
