#include "transmitter/delivery/position_ledger.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "rules_support.hpp"
#include "transmitter/delivery/cursor.hpp"

using namespace mission;
using namespace mission::transmitter;
using namespace mission::transmitter::testing;

namespace {

constexpr store::stream_row one{1}, two{2};

steady_time later(std::chrono::milliseconds by) {
    return at(by).steady;
}

// An issuer's delivery in small: streams, a log in which every signal concerns some of them, a
// store whose writes may fail in any way, and crashes. What was committed and not acknowledged is
// the oracle.
class small_delivery {
  public:
    small_delivery(std::uint64_t seed, int streams) : random_(seeded_random(seed)) {
        for (int i = 1; i <= streams; ++i)
            disk_.cursors[store::stream_row{i}] = {};
        for (auto& [row, c] : disk_.cursors) {
            c.stream = row;
            c.open = false;
        }
        restart();
    }

    void step() {
        switch (random_->below(10)) {
            case 0:
            case 1:
            case 2:
                return commit();
            case 3:
            case 4:
            case 5:
                return acknowledge();
            case 6:
                return begin_flush();
            case 7:
                return end_flush();
            case 8:
                if (random_->below(4) == 0) return replay();
                return open_the_slow();
            default:
                if (random_->below(4) == 0) restart();
        }
    }

    // Nothing that is not acknowledged may be taken for settled by whoever starts from the disk.
    void check() const {
        for (const auto& [row, owed] : owed_) {
            const store::cursor& c = disk_.cursors.at(row);
            for (const auto seq : owed)
                REQUIRE_FALSE(settled_on_disk(c, seq));
        }
    }

    store::seq_t routed_on_disk() const { return disk_.routed; }
    std::size_t rows_written() const { return rows_written_; }
    store::seq_t head() const { return static_cast<store::seq_t>(log_.size()); }

    void settle_everything() {
        while (in_flight_)
            end_flush();
        for (auto& [row, s] : streams_) {
            for (const auto seq : std::set<store::seq_t>(s))
                acknowledge(row, seq);
        }
        do {
            begin_flush();
            apply(*std::exchange(in_flight_, std::nullopt));
        } while (!dirty_.empty());
    }

  private:
    struct transaction {
        std::vector<store::cursor> cursors;
        store::seq_t routed = 0;
    };
    struct disk {
        std::map<store::stream_row, store::cursor> cursors;
        store::seq_t routed = 0;
    };

    bool settled_on_disk(const store::cursor& c, store::seq_t seq) const {
        if (c.open) return is_settled(c, seq);
        return seq <= std::max(c.acked_seq, disk_.routed);
    }

    void commit() {
        log_.emplace_back();
        const auto seq = head();
        for (auto& [row, s] : streams_) {
            if (random_->below(3) != 0) continue;
            log_.back().insert(row);
            s.insert(seq);
            owed_[row].insert(seq);
            note(row);
        }
    }

    void acknowledge() {
        const store::stream_row row{1 + static_cast<int>(random_->below(streams_.size()))};
        const auto& s = streams_.at(row);
        if (s.empty()) return;
        auto it = s.begin();
        std::advance(it, random_->below(s.size()));
        acknowledge(row, *it);
    }
    void acknowledge(store::stream_row row, store::seq_t seq) {
        streams_.at(row).erase(seq);
        owed_[row].erase(seq);
        dirty_.insert(row);
        note(row);
    }

    // What was acknowledged is owed again once the replay is on the disk.
    void replay() {
        if (in_flight_ || head() == 0) return;
        const store::stream_row row{1 + static_cast<int>(random_->below(streams_.size()))};
        const auto from = 1 + static_cast<store::seq_t>(random_->below(log_.size()));
        auto& s = streams_.at(row);
        for (auto seq = from; seq <= head(); ++seq) {
            if (log_[static_cast<std::size_t>(seq) - 1].contains(row)) s.insert(seq);
        }
        ledger_.failed(row);
        note(row);
        auto c = cursor_of(row);
        c.open = true;
        disk_.cursors[row] = c;
        owed_[row] = s;
        dirty_.insert(row);
    }

    void open_the_slow() {
        for (const auto row : ledger_.holding_back(later(1h), 1min))
            dirty_.insert(row);
    }

    store::cursor cursor_of(store::stream_row row) const {
        const auto& s = streams_.at(row);
        return make_cursor(row, {s.begin(), s.end()}, head());
    }

    void begin_flush() {
        if (in_flight_) return;
        transaction t;
        for (const auto row : std::exchange(dirty_, {})) {
            if (random_->below(4) == 0) {
                dirty_.insert(row);  // at another time: the rule does not rest on the order
                continue;
            }
            const auto open = ledger_.begin_write(row);
            if (!open) continue;
            t.cursors.push_back(cursor_of(row));
            t.cursors.back().open = *open;
            ++rows_written_;
        }
        t.routed = ledger_.routed_limit(head());
        in_flight_ = std::move(t);
    }

    void apply(const transaction& t) {
        for (const auto& c : t.cursors)
            disk_.cursors[c.stream] = c;
        disk_.routed = std::max(disk_.routed, t.routed);
    }

    void end_flush() {
        if (!in_flight_) return;
        const auto t = *std::exchange(in_flight_, std::nullopt);
        const auto outcome = random_->below(4);
        // 0: refused; 1: written, and yet reported as failed; else written.
        if (outcome != 0) apply(t);
        if (outcome > 1) return;
        for (const auto& c : t.cursors) {
            ledger_.failed(c.stream);
            dirty_.insert(c.stream);
        }
    }

    void note(store::stream_row row) {
        const auto& s = streams_.at(row);
        const auto position = s.empty() ? head() : *s.begin() - 1;
        ledger_.note(row, position, s.empty(), later(0ms));
        if (ledger_.to_close(row)) dirty_.insert(row);
    }

    void restart() {
        in_flight_.reset();
        ledger_ = {};
        dirty_.clear();
        streams_.clear();
        for (const auto& [row, c] : disk_.cursors) {
            auto& s = streams_[row];
            for (store::seq_t seq = 1; seq <= head(); ++seq) {
                if (log_[static_cast<std::size_t>(seq) - 1].contains(row) &&
                    !settled_on_disk(c, seq)) {
                    s.insert(seq);
                }
            }
            owed_[row] = s;  // delivered again
            ledger_.restore(row, c.open);
            note(row);
        }
    }

    std::unique_ptr<random_source> random_;
    std::vector<std::set<store::stream_row>> log_;  // whom each signal concerns
    std::map<store::stream_row, std::set<store::seq_t>> streams_, owed_;
    std::set<store::stream_row> dirty_;
    position_ledger ledger_;
    std::optional<transaction> in_flight_;
    disk disk_;
    std::size_t rows_written_ = 0;
};

}  // namespace

TEST_CASE("no crash and no failed write makes a stream pass what it has not settled (I3, I10)") {
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        CAPTURE(seed);
        small_delivery d(seed, 5);
        for (int i = 0; i < 400; ++i) {
            d.step();
            d.check();
        }
        d.settle_everything();
        CHECK(d.routed_on_disk() == d.head());
    }
}

TEST_CASE("streams that settle at once need no row of their own") {
    position_ledger ledger;
    for (int i = 1; i <= 1000; ++i) {
        const store::stream_row row{i};
        ledger.note(row, 4, false, later(0ms));
        ledger.note(row, 5, true, later(1ms));
        CHECK_FALSE(ledger.begin_write(row).has_value());
    }
    CHECK(ledger.size() == 0);
    CHECK(ledger.routed_limit(5) == 5);
}

TEST_CASE("a working stream holds routed_seq back until it has a cursor of its own") {
    position_ledger ledger;
    ledger.note(one, 7, false, later(0ms));
    ledger.note(two, 9, false, later(0ms));
    CHECK(ledger.routed_limit(20) == 7);
    CHECK(ledger.holding_back(later(5s), 10s).empty());
    CHECK(ledger.holding_back(later(10s), 10s).size() == 2);
    CHECK(ledger.begin_write(one) == true);
    CHECK(ledger.routed_limit(20) == 9);
    ledger.failed(one);
    CHECK(ledger.routed_limit(20) == 7);
}

TEST_CASE("an open cursor is closed once its stream is idle") {
    position_ledger ledger;
    ledger.restore(one, true);
    CHECK(ledger.to_close(one));
    ledger.note(one, 3, false, later(0ms));
    CHECK_FALSE(ledger.to_close(one));
    CHECK(ledger.routed_limit(9) == 9);
    ledger.note(one, 9, true, later(0ms));
    CHECK(ledger.to_close(one));
    CHECK(ledger.begin_write(one) == false);
    CHECK_FALSE(ledger.to_close(one));
    CHECK(ledger.size() == 0);
}

TEST_CASE("after a failed write nobody knows what the row says: it is written anew") {
    position_ledger ledger;
    ledger.restore(one, true);
    ledger.note(one, 9, true, later(0ms));
    CHECK(ledger.begin_write(one) == false);
    ledger.failed(one);
    CHECK(ledger.to_close(one));
    // Working again before it could be: whether it is closed or open, it bounds.
    ledger.note(one, 9, false, later(0ms));
    CHECK(ledger.routed_limit(20) == 9);
}

TEST_CASE("a stream that is removed bounds nothing") {
    position_ledger ledger;
    ledger.note(one, 2, false, later(0ms));
    ledger.forget(one);
    CHECK(ledger.routed_limit(20) == 20);
    CHECK(ledger.size() == 0);
}
