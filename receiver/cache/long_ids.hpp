// The words of ids that do not fit in their lines. What was given back is used again for ids of as
// many words, and stays mapped: a reader that comes late reads another id, and sees from the
// sequence number of its line that it does not count.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "receiver/cache/entry.hpp"
#include "receiver/cache/memory_block.hpp"

namespace mission::receiver {

// THREAD: the writer's.
class long_ids {
  public:
    // Its words, of a long id; std::bad_alloc when there is no memory.
    const id_word* store(const key_words& key);
    // No line tells of them any more.
    void forget(const id_word* words, std::size_t count) noexcept;
    std::size_t memory() const noexcept { return chunks_.size() * chunk_octets; }

  private:
    static constexpr std::size_t chunk_octets = 256u << 10;

    std::vector<memory_block> chunks_;
    std::size_t used_ = chunk_octets;                // of the last chunk
    std::array<id_word*, id_words_max + 1> free_{};  // by their number; linked by the first word
};

}  // namespace mission::receiver
