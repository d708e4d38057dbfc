// One look at one array of a table: what a reader does, and all that it has to see to be believed.
#pragma once

#include <cstddef>
#include <cstdint>

#include "receiver/cache/slots.hpp"
#include "receiver/cache/table.hpp"

namespace mission::receiver {

// Nothing that a reader has passed was changed since: `sum` is of the sequence numbers it met,
// which only grow. A mission that was moved to a line already passed has changed it.
inline bool mission_table::unchanged(const line_array& in, std::size_t from, std::size_t to,
                                     std::uint64_t sum) const noexcept {
    std::uint32_t odd = 0;
    for (auto i = from;; i = in.next(i)) {
        const auto s = in.line(i).sequence();
        sum -= s;
        odd |= s & 1;
        if (i == to) break;
    }
    return sum == 0 && odd == 0 && lines_.load(std::memory_order_relaxed) == &in;
}

// `needed`: of what is in the line, whether the own deadline has to be read as well.
template <class Needed>
inline mission_table::outcome mission_table::look(const line_array& in, const key_words& key,
                                                  std::uint64_t hash, const Needed& needed,
                                                  found& out) const noexcept {
    const auto home = in.home(hash);
    std::uint64_t sum = 0;
    for (auto i = home;; i = in.next(i)) {
        const auto& line = in.line(i);
        const auto before = line.sequence();
        sum += before;
        if (line.seems(key, hash)) {
            bool same = true;
            if (key.is_long()) {
                const auto* far = line.far();
                if (!line.still(before)) return outcome::again;
                for (std::uint32_t n = 0; same && n < key.words; ++n)
                    same = far[n].load(std::memory_order_acquire) == key.word[n];
            }
            if (same) {
                out.p = line.hot();
                if (needed(out.p)) out.p.freshness.fresh_until = in.own(i).load();
                // Of an array that was replaced nothing is believed.
                if (!line.still(before) || lines_.load(std::memory_order_relaxed) != &in)
                    return outcome::again;
                out.in = &in;
                out.at = i;
                return outcome::there;
            }
        } else if (line.what() == 0) {
            return unchanged(in, home, i, sum) ? outcome::absent : outcome::again;
        }
    }
}

}  // namespace mission::receiver
