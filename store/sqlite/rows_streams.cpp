#include <charconv>

#include "store/sqlite/rows.hpp"

namespace mission::store::sqlite {
namespace {

// The columns that read_stream() reads, in its order.
#define STREAM_COLUMNS                                                                \
    "SELECT row, issuer_id, stream_id, client_id, created_at, method, endpoint_url, " \
    "sealed_authorization, events_requested, capabilities, description, status, "     \
    "status_reason, continuity, default_all, extra FROM streams "

// "5-7,9-9": as writes.cpp spells it.
std::vector<std::pair<seq_t, seq_t>> parse_ranges(const connection& c, const std::string& text) {
    std::vector<std::pair<seq_t, seq_t>> out;
    const char* at = text.data();
    const char* end = at + text.size();
    while (at != end) {
        std::pair<seq_t, seq_t> range;
        auto first = std::from_chars(at, end, range.first);
        if (first.ec != std::errc() || first.ptr == end || *first.ptr != '-')
            c.corrupt("a cursor's ranges");
        auto last = std::from_chars(first.ptr + 1, end, range.second);
        if (last.ec != std::errc() || (last.ptr != end && *last.ptr != ','))
            c.corrupt("a cursor's ranges");
        out.push_back(range);
        at = last.ptr == end ? end : last.ptr + 1;
    }
    return out;
}

}  // namespace

stream sqlite_rows::read_stream(const query& q) const {
    stream s;
    s.row = q.id<stream_row>(0);
    s.issuer = q.id<issuer_id>(1);
    s.stream_id = q.text(2);
    s.client_id = q.text(3);
    s.created_at = q.time(4);
    s.method = q.id<delivery_method>(5);
    s.endpoint_url = q.text(6);
    s.sealed_authorization = q.bytes(7);
    s.events_requested = from_list(c_, q.text(8));
    s.capabilities = from_list(c_, q.text(9));
    s.description = q.text(10);
    s.status = q.id<stream_status>(11);
    s.status_reason = q.text(12);
    s.continuity = q.integer(13);
    s.default_all = q.integer(14) != 0;
    s.extra = q.text(15);
    return s;
}

std::vector<stream> sqlite_rows::streams(issuer_id issuer) const {
    std::vector<stream> out;
    query q(c_, STREAM_COLUMNS "WHERE issuer_id = ?1 AND removed_at IS NULL ORDER BY row", issuer);
    while (q.step())
        out.push_back(read_stream(q));
    return out;
}

std::vector<stream> sqlite_rows::streams(issuer_id issuer, std::string_view client_id) const {
    std::vector<stream> out;
    query q(c_,
            STREAM_COLUMNS
            "INDEXED BY streams_of_client WHERE issuer_id = ?1 AND client_id = ?2 AND removed_at "
            "IS NULL ORDER BY row",
            issuer, client_id);
    while (q.step())
        out.push_back(read_stream(q));
    return out;
}

std::optional<stream> sqlite_rows::find_stream(issuer_id issuer, std::string_view stream_id) const {
    query q(c_, STREAM_COLUMNS "WHERE issuer_id = ?1 AND stream_id = ?2 AND removed_at IS NULL",
            issuer, stream_id);
    if (!q.step()) return std::nullopt;
    return read_stream(q);
}

std::vector<stream_epoch> sqlite_rows::epochs(stream_row row) const {
    std::vector<stream_epoch> out;
    query q(c_,
            "SELECT from_seq, iss, aud, events_delivered, alg, visibility FROM stream_epochs "
            "WHERE stream = ?1 ORDER BY from_seq",
            row);
    while (q.step())
        out.push_back({row, q.integer(0), q.text(1), q.text(2), from_list(c_, q.text(3)), q.text(4),
                       q.text(5)});
    return out;
}

std::optional<cursor> sqlite_rows::find_cursor(stream_row row) const {
    query q(c_, "SELECT acked_seq, open, ranges FROM cursors WHERE stream = ?1", row);
    if (!q.step()) return std::nullopt;
    return cursor{row, q.integer(0), q.integer(1) != 0, parse_ranges(c_, q.text(2))};
}

std::vector<cursor> sqlite_rows::open_cursors(issuer_id issuer) const {
    std::vector<cursor> out;
    query q(c_,
            "SELECT k.stream, k.acked_seq, k.ranges FROM cursors k INDEXED BY cursors_open CROSS "
            "JOIN streams s ON s.row = k.stream WHERE k.open = 1 AND s.issuer_id = ?1",
            issuer);
    while (q.step())
        out.push_back({q.id<stream_row>(0), q.integer(1), true, parse_ranges(c_, q.text(2))});
    return out;
}

std::vector<exception> sqlite_rows::exceptions(stream_row row) const {
    std::vector<exception> out;
    query q(c_,
            "SELECT seq, dead, attempts, err, description, since, last FROM exceptions "
            "WHERE stream = ?1 ORDER BY seq",
            row);
    while (q.step())
        out.push_back({row, q.integer(0), q.integer(1) != 0,
                       static_cast<std::uint32_t>(q.integer(2)), q.text(3), q.text(4), q.time(5),
                       q.time(6)});
    return out;
}

std::vector<stream_event> sqlite_rows::stream_events(stream_row row) const {
    std::vector<stream_event> out;
    query q(c_,
            "SELECT jti, type, event, after_seq, created_at FROM stream_events "
            "WHERE stream = ?1 ORDER BY created_at, id",
            row);
    while (q.step())
        out.push_back({row, q.text(0), q.text(1), q.text(2), q.integer(3), q.time(4)});
    return out;
}

}  // namespace mission::store::sqlite
