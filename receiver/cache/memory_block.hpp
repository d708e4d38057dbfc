// Zeroed memory straight from the system: in huge pages where it is large and the system gives
// them, because half the time of a look at a random one of a million missions goes into finding
// its page.
#pragma once

#include <cstddef>

namespace mission::receiver {

class memory_block {
  public:
    // std::bad_alloc when there is none.
    explicit memory_block(std::size_t octets);
    ~memory_block();
    memory_block(memory_block&& other) noexcept : at_(other.at_), size_(other.size_) {
        other.at_ = nullptr;
        other.size_ = 0;
    }
    memory_block& operator=(memory_block&&) = delete;

    static constexpr std::size_t page = 4096;  // octets; where the system's are larger, too often

    std::byte* data() const noexcept { return at_; }
    std::size_t size() const noexcept { return size_; }
    // Makes the octet zero, so that the page it lies in is there.
    void touch(std::size_t at) noexcept {
        *static_cast<volatile std::byte*>(at_ + at) = std::byte{0};
    }
    // Gives the memory back and keeps the addresses: who still reads there reads zeroes. False
    // where the system does not (locked memory): then all is as it was.
    bool give_back() noexcept;

  private:
    std::byte* at_;
    std::size_t size_;
};

}  // namespace mission::receiver
