// What must be written so that a crash never makes a stream pass what it has not settled, without
// a write for every idle stream. Pure, one owner (the issuer's strand).
//
// Durable are R, the issuer's routed_seq, and a cursor per stream that is `open` or not:
//
//      open       the stream stands where its cursor says
//      closed     the stream stands at max(acked_seq, R)
//
// Rule: R reaches s only when every stream that has something unsettled at or below s has an open
// cursor. Why no crash loses anything by it:
//
//   1  An open cursor is written from a window: what it covers was settled then, and what is
//      settled stays settled (replay, which takes it back, writes an open cursor before it is
//      answered).
//   2  Let R = r be durable and a stream be closed in that state of the store. When r was written,
//      the stream was idle (nothing unsettled at or below r), or its position bounded r: a working
//      stream that is not open bounds what routed_limit() gives, and one that is being opened is
//      opened by the transaction that writes r. Later it may have been opened and closed again:
//      a cursor is closed only when the stream is idle, that is, settled up to what had been
//      routed by then, and R was never beyond that.
//   3  What a failed write has left behind is not known: the stream counts as not open, and its
//      cursor is written anew (`unsure`).
//   4  A stream that is new or changed is told of before the signals that follow its change
//      (store.hpp), so it is in this ledger before they are routed.
//
// Whatever was acknowledged and is not covered after a crash is delivered again, under the same
// jti.
#pragma once

#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/time.hpp"
#include "store/rows.hpp"

namespace mission::transmitter {

class position_ledger {
  public:
    // A stream as its durable cursor has it; an idle closed one takes no memory.
    void restore(store::stream_row row, bool open);
    void forget(store::stream_row row);

    // Where the stream stands. Idle: it has settled everything that has been routed.
    void note(store::stream_row row, store::seq_t position, bool idle, steady_time now);
    bool working(store::stream_row row) const;
    // Idle, and its cursor is not known to be closed: to be written.
    bool to_close(store::stream_row row) const;

    // The stream's cursor is about to be written; what it is to be, nullopt: nothing has to be.
    // From here on it counts as that; failed() says that the write was none.
    std::optional<bool> begin_write(store::stream_row row);
    void failed(store::stream_row row);
    // Somebody else's transaction (stream management, replay) has written the cursor.
    void written(store::stream_row row, bool open);

    // How far R may go in the transaction that writes what begin_write() has said.
    store::seq_t routed_limit(store::seq_t routed) const;

    // Working streams without an open cursor for longer than `age`: they hold R back.
    std::vector<store::stream_row> holding_back(steady_time now,
                                                std::chrono::milliseconds age) const;
    std::vector<store::stream_row> working_rows() const;
    std::size_t size() const noexcept { return entries_.size(); }

  private:
    enum class durable { closed, open, unsure };
    struct entry {
        durable row = durable::closed;
        bool idle = true;
        store::seq_t position = 0;
        steady_time since{};
    };
    using map = std::unordered_map<store::stream_row, entry>;
    // Keeps bounds_ and the size of the map right around a change.
    template <class F>
    void change(store::stream_row row, F fn);

    map entries_;
    // Positions of working streams that are not open.
    std::set<std::pair<store::seq_t, store::stream_row>> bounds_;
};

}  // namespace mission::transmitter
