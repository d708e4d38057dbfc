// Subjects: rows by the million, so nothing here costs more than what it names.
#include <algorithm>

#include "store/sqlite/rows.hpp"
#include "store/sqlite/writes.hpp"

namespace mission::store::sqlite {
namespace {

// The columns that read_subject() reads, in its order.
#define SUBJECT_COLUMNS                                                           \
    "SELECT u.stream, u.key, u.subject, u.added_seq, u.removed_seq, u.verified, " \
    "u.excluded, u.remove_at FROM "

stream_subject read_subject(const query& q) {
    stream_subject s;
    s.stream = q.id<stream_row>(0);
    s.key = q.text(1);
    s.subject = q.text(2);
    s.added_seq = q.integer(3);
    if (!q.is_null(4)) s.removed_seq = q.integer(4);
    s.verified = q.integer(5) != 0;
    s.excluded = q.integer(6) != 0;
    s.remove_at = q.maybe_time(7);
    return s;
}

std::vector<stream_subject> read_all(query& q) {
    std::vector<stream_subject> out;
    while (q.step())
        out.push_back(read_subject(q));
    return out;
}

void count(connection& c, stream_row row, std::int64_t more) {
    if (more == 0) return;
    query(c,
          "INSERT INTO subject_counts (stream, present) VALUES (?1, ?2) "
          "ON CONFLICT (stream) DO UPDATE SET present = present + ?2",
          row, more)
        .run();
}

struct place {
    stream_row stream{};
    std::string key;
    seq_t added_seq = 0;
};

std::vector<place> read_places(connection& c, const char* sql, seq_t bound, std::size_t limit) {
    std::vector<place> out;
    query q(c, sql, bound, limit);
    while (q.step())
        out.push_back({q.id<stream_row>(0), q.text(1), q.integer(2)});
    return out;
}

void drop(connection& c, const std::vector<place>& places) {
    for (const auto& p : places)
        query(c, "DELETE FROM subjects WHERE stream = ?1 AND key = ?2 AND added_seq = ?3", p.stream,
              p.key, p.added_seq)
            .run();
}

}  // namespace

// A removed stream's rows go in steps (trim_subjects); until then they are not there for anybody.
std::vector<stream_subject> sqlite_rows::subjects(stream_row row) const {
    query q(c_,
            SUBJECT_COLUMNS
            "streams s CROSS JOIN subjects u ON u.stream = s.row WHERE s.row = ?1 AND "
            "s.removed_at IS NULL ORDER BY u.key, u.added_seq",
            row);
    return read_all(q);
}

std::vector<stream_subject> sqlite_rows::subjects(stream_row row, std::string_view key) const {
    query q(c_,
            SUBJECT_COLUMNS
            "streams s CROSS JOIN subjects u ON u.stream = s.row WHERE s.row = ?1 AND u.key = ?2 "
            "AND s.removed_at IS NULL ORDER BY u.added_seq",
            row, key);
    return read_all(q);
}

std::size_t sqlite_rows::subject_count(stream_row row) const {
    query q(c_, "SELECT present FROM subject_counts WHERE stream = ?1", row);
    return q.step() ? static_cast<std::size_t>(q.integer(0)) : 0;
}

void sqlite_rows::each_subject(issuer_id issuer,
                               const std::function<void(const stream_subject&)>& fn) const {
    query q(c_,
            SUBJECT_COLUMNS
            "streams s CROSS JOIN subjects u ON u.stream = s.row WHERE s.issuer_id = ?1 AND "
            "s.removed_at IS NULL",
            issuer);
    while (q.step())
        fn(read_subject(q));
}

std::vector<stream_subject> sqlite_rows::due_subject_removals(issuer_id issuer, wall_time until,
                                                              std::size_t limit) const {
    query q(c_,
            SUBJECT_COLUMNS
            "subjects u INDEXED BY subjects_due CROSS JOIN streams s ON s.row = u.stream WHERE "
            "u.remove_at IS NOT NULL AND u.removed_seq IS NULL AND u.remove_at <= ?2 AND "
            "s.issuer_id = ?1 AND s.removed_at IS NULL ORDER BY u.remove_at LIMIT ?3",
            issuer, until, static_cast<std::int64_t>(std::min<std::size_t>(limit, INT64_MAX)));
    return read_all(q);
}

void put_subject(connection& c, const stream_subject& s) {
    std::int64_t before = 0;
    {
        query q(c,
                "SELECT removed_seq FROM subjects WHERE stream = ?1 AND key = ?2 AND "
                "added_seq = ?3",
                s.stream, s.key, s.added_seq);
        if (q.step() && q.is_null(0)) before = 1;
    }
    query(c,
          "INSERT OR REPLACE INTO subjects (stream, key, added_seq, removed_seq, subject, "
          "verified, excluded, remove_at) VALUES (?1,?2,?3,?4,?5,?6,?7,?8)",
          s.stream, s.key, s.added_seq, s.removed_seq, s.subject, s.verified, s.excluded,
          s.remove_at)
        .run();
    count(c, s.stream, (s.removed_seq ? 0 : 1) - before);
}

void drop_subject_count(connection& c, stream_row row) {
    query(c, "DELETE FROM subject_counts WHERE stream = ?1", row).run();
}

bool trim_subjects(connection& c, seq_t tail, std::size_t limit) {
    // Read first, then deleted one by one through the primary key: a DELETE with such a subquery
    // walks through all rows.
    const auto ended =
        read_places(c,
                    "SELECT stream, key, added_seq FROM subjects INDEXED BY subjects_closed WHERE "
                    "removed_seq IS NOT NULL AND removed_seq <= ?1 LIMIT ?2",
                    tail, limit);
    drop(c, ended);
    const auto orphans = read_places(
        c,
        "SELECT u.stream, u.key, u.added_seq FROM streams s INDEXED BY streams_removed CROSS JOIN "
        "subjects u ON u.stream = s.row WHERE s.removed_seq IS NOT NULL AND s.removed_seq >= ?1 "
        "LIMIT ?2",
        seq_t{0}, limit);
    drop(c, orphans);
    return ended.size() < limit && orphans.size() < limit;
}

}  // namespace mission::store::sqlite
