// Tells a row that the disk has changed from one that was written: SQLite keeps no checksum of its
// own, and a single bit makes a mission that is in doubt one that is not. Against damage, not
// against people: who can write the file can write this too.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace mission::receiver {

class checksum {
  public:
    checksum& add(std::uint64_t number) noexcept {
        const auto product = static_cast<wide>(sum_ ^ number) * 0xd6e8feb86659fd93ULL;
        sum_ = static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64) ^
               0x9e3779b97f4a7c15ULL;
        return *this;
    }
    checksum& add(std::string_view text) noexcept {
        add(text.size());
        for (; text.size() >= sizeof(std::uint64_t); text.remove_prefix(sizeof(std::uint64_t)))
            add(word(text));
        if (!text.empty()) add(word(text));
        return *this;
    }
    // Never 0, which says that a row has none: it is older than checksums are.
    std::int64_t value() const noexcept { return sum_ == 0 ? 1 : static_cast<std::int64_t>(sum_); }

  private:
    __extension__ using wide = unsigned __int128;

    static std::uint64_t word(std::string_view text) noexcept {
        std::uint64_t w = 0;
        std::memcpy(&w, text.data(), text.size() < sizeof w ? text.size() : sizeof w);
        return w;
    }

    std::uint64_t sum_ = 0x243f6a8885a308d3ULL;
};

}  // namespace mission::receiver
