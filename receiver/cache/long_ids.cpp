#include "receiver/cache/long_ids.hpp"

#include <new>

namespace mission::receiver {

const id_word* long_ids::store(const key_words& key) {
    auto* words = free_[key.words];
    if (words != nullptr) {
        free_[key.words] = reinterpret_cast<id_word*>(words[0].load(std::memory_order_relaxed));
    } else {
        const auto need = key.words * sizeof(id_word);
        if (used_ + need > chunk_octets) {
            chunks_.emplace_back(chunk_octets);
            used_ = 0;
        }
        auto* at = chunks_.back().data() + used_;
        used_ += need;
        words = new (at) id_word(0);
        for (std::size_t i = 1; i < key.words; ++i)
            new (at + i * sizeof(id_word)) id_word(0);
    }
    for (std::size_t i = 0; i < key.words; ++i)
        words[i].store(key.word[i], std::memory_order_release);
    return words;
}

void long_ids::forget(const id_word* words, std::size_t count) noexcept {
    auto* first = const_cast<id_word*>(words);
    first->store(reinterpret_cast<std::uintptr_t>(free_[count]), std::memory_order_release);
    free_[count] = first;
}

}  // namespace mission::receiver
