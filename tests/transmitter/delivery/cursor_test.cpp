#include "transmitter/delivery/cursor.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "base/random.hpp"

using namespace mission;
using namespace mission::transmitter;

namespace {

using ranges = std::vector<std::pair<store::seq_t, store::seq_t>>;
constexpr store::stream_row row{3};

}  // namespace

TEST_CASE("with nothing unsettled the cursor stands at what was looked at") {
    const auto c = make_cursor(row, {}, 17);
    CHECK(c.stream == row);
    CHECK(c.acked_seq == 17);
    CHECK(c.ranges.empty());
}

TEST_CASE("a cursor never passes an unsettled signal (I3)") {
    const auto c = make_cursor(row, {5, 6, 9}, 12);
    CHECK(c.acked_seq == 4);
    CHECK(c.ranges == ranges{{7, 8}, {10, 12}});
    for (const store::seq_t open : {5, 6, 9, 13})
        CHECK_FALSE(is_settled(c, open));
    for (const store::seq_t done : {1, 4, 7, 8, 10, 12})
        CHECK(is_settled(c, done));
}

TEST_CASE("ranges beyond the limit are left out: redelivered, never lost") {
    std::vector<store::seq_t> open;
    for (store::seq_t seq = 1; seq <= 5001; seq += 2)
        open.push_back(seq);
    const auto c = make_cursor(row, open, 5001);
    CHECK(c.ranges.size() == limits::acked_ranges);
    for (const auto seq : open)
        CHECK_FALSE(is_settled(c, seq));
    CHECK(is_settled(c, 2));
    CHECK_FALSE(is_settled(c, 5000));
}

TEST_CASE("a cursor says exactly what a plain set says, for random histories") {
    const auto random = seeded_random(11);
    for (int round = 0; round < 300; ++round) {
        const auto scanned = static_cast<store::seq_t>(random->below(80));
        std::set<store::seq_t> open;
        for (store::seq_t seq = 1; seq <= scanned; ++seq) {
            if (random->below(3) == 0) open.insert(seq);
        }
        const auto c = make_cursor(row, {open.begin(), open.end()}, scanned);
        store::seq_t last = c.acked_seq;
        for (const auto& [first, end] : c.ranges) {
            CHECK(first > last + 1);  // disjoint, ascending, not touching
            CHECK(end >= first);
            last = end;
        }
        for (store::seq_t seq = 1; seq <= scanned + 2; ++seq) {
            CHECK(is_settled(c, seq) == (seq <= scanned && open.count(seq) == 0));
        }
    }
}
