#include "receiver/state/mission_rows.hpp"

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>

#include "receiver/state/checksum.hpp"

namespace mission::receiver {
namespace {

constexpr std::string_view columns =
    "issuer, id, state, version, log_epoch, expires_at, gap, not_found, denied_as, "
    "authority_needed, authority_version, fresh_until, confirmed_epoch, heard_at, checksum, "
    "suspend_until, successor, reason, committed_at";

// Of what decides; not of what only people read.
std::int64_t checksum_of(const record& m) noexcept {
    const auto time = [](const std::optional<wall_time>& t) {
        return t ? static_cast<std::uint64_t>(to_milliseconds(*t)) : UINT64_MAX;
    };
    checksum c;
    c.add(m.key.issuer).add(m.key.id).add(m.state).add(static_cast<std::uint64_t>(m.version));
    c.add(m.log_epoch).add(time(m.expires_at));
    c.add((m.gap ? 1u : 0u) | (m.not_found ? 2u : 0u)).add(m.denied_as);
    c.add(static_cast<std::uint64_t>(m.authority_needed));
    c.add(static_cast<std::uint64_t>(m.authority_version));
    c.add(time(m.fresh_until)).add(m.confirmed_epoch).add(static_cast<std::uint64_t>(m.heard_at));
    return c.value();
}

std::int64_t checksum_of(const mission_key& key, std::string_view authority) noexcept {
    return checksum().add(key.issuer).add(key.id).add(authority).value();
}

bool whole(std::int64_t written, std::int64_t found) noexcept {
    return written == 0 || written == found;
}

void bind_time(sqlite::statement& s, const std::optional<wall_time>& t) {
    if (t) {
        s.bind(to_milliseconds(*t));
    } else {
        s.bind_null();
    }
}

std::optional<wall_time> time_of(const sqlite::statement& s, int column) {
    if (s.is_null(column)) return std::nullopt;
    return from_milliseconds(s.number(column));
}

// In its place where it is there: a REPLACE would take the row out of the tree and put it back.
std::string upsert() {
    std::string values, changes;
    for (std::string_view rest = columns; !rest.empty();) {
        const auto end = std::min(rest.find(','), rest.size());
        const std::string name(rest.substr(0, end));
        rest.remove_prefix(std::min(end + 2, rest.size()));
        values += values.empty() ? "?" : ",?";
        if (name == "issuer" || name == "id") continue;
        changes += (changes.empty() ? "" : ",") + name + "=excluded." + name;
    }
    // The row that the index names, if it is this mission's: an index that leads to another one is
    // damaged, and write() tells so.
    return "INSERT INTO missions(" + std::string(columns) + ") VALUES(" + values +
           ") ON CONFLICT(id, issuer) DO UPDATE SET " + changes +
           " WHERE missions.id=excluded.id AND missions.issuer=excluded.issuer";
}

result<void> prepare_all(
    sqlite3* db, const std::vector<std::pair<sqlite::statement*, std::string>>& statements) {
    for (const auto& [into, sql] : statements) {
        auto s = sqlite::statement::prepare(db, sql);
        if (s.has_error()) return s.error();
        *into = std::move(*s);
    }
    return {};
}

// A statement that is left in its midst, by an exception as well, would go on from there, and
// show old rows to whoever reads after: its transaction stays open.
struct at_end {
    sqlite::statement& s;
    ~at_end() { s.reset(); }
};

// What is the same of a table and of an index of it, in whatever order their rows come.
struct sum_of_keys {
    std::uint64_t rows = 0, sum = 0;
    friend bool operator==(const sum_of_keys&, const sum_of_keys&) = default;
};

// `ordered`: store_corrupt unless each is above the one before.
result<sum_of_keys> sum_keys(sqlite3* db, std::string_view sql, bool ordered) {
    auto s = sqlite::statement::prepare(db, sql);
    if (s.has_error()) return s.error();
    sum_of_keys out;
    std::string last_id, last_issuer;
    for (;;) {
        const auto row = s->step();
        if (row.has_error()) return row.error();
        if (!*row) return out;
        const auto id = s->view(0), issuer = s->view(1);
        if (ordered) {
            if (out.rows > 0 && std::tie(id, issuer) <= std::tie(last_id, last_issuer))
                return error{errc::store_corrupt, "missions_by_key is out of order"};
            last_id = id;
            last_issuer = issuer;
        }
        checksum c;
        c.add(id).add(issuer).add(static_cast<std::uint64_t>(s->number(2)));
        out.sum += static_cast<std::uint64_t>(c.value());
        ++out.rows;
    }
}

}  // namespace

result<void> check_mission_index(sqlite3* db) {
    const auto rows = sum_keys(db, "SELECT id, issuer, n FROM missions NOT INDEXED", false);
    if (rows.has_error()) return rows.error();
    const auto index = sum_keys(
        db, "SELECT id, issuer, n FROM missions INDEXED BY missions_by_key ORDER BY id, issuer",
        true);
    if (index.has_error()) return index.error();
    if (*rows != *index) return error{errc::store_corrupt, "missions_by_key is not as its table"};
    return {};
}

result<mission_writer> mission_writer::prepare(sqlite3* db) {
    mission_writer w;
    w.db_ = db;
    auto r = prepare_all(db, {{&w.mission_, upsert()},
                              {&w.authority_,
                               "REPLACE INTO authorities(issuer, id, authority, checksum) "
                               "VALUES(?,?,?,?)"},
                              {&w.no_authority_, "DELETE FROM authorities WHERE issuer=? AND id=?"},
                              // By number and the row's own key: by the index alone, one that is
                              // damaged would have another mission's row deleted.
                              {&w.forget_,
                               "DELETE FROM missions WHERE n=(SELECT n FROM missions WHERE "
                               "issuer=?1 AND id=?2) AND +issuer=?1 AND +id=?2"},
                              {&w.indexed_, "SELECT n FROM missions WHERE issuer=? AND id=?"}});
    if (r.has_error()) return r.error();
    return w;
}

result<void> mission_writer::write(const record& m, bool authority_too) {
    mission_.lend(m.key.issuer).lend(m.key.id).lend(m.state).bind(m.version).lend(m.log_epoch);
    bind_time(mission_, m.expires_at);
    mission_.bind(std::int64_t{m.gap}).bind(std::int64_t{m.not_found}).lend(m.denied_as);
    mission_.bind(m.authority_needed).bind(m.authority_version);
    bind_time(mission_, m.fresh_until);
    mission_.bind(static_cast<std::int64_t>(m.confirmed_epoch)).bind(m.heard_at);
    mission_.bind(checksum_of(m));
    bind_time(mission_, m.suspend_until);
    mission_.lend(m.successor).lend(m.reason);
    bind_time(mission_, m.committed_at);
    if (auto r = mission_.run(); r.has_error()) return r;
    if (sqlite3_changes(db_) == 0)
        return error{errc::store_corrupt, "missions_by_key leads to another mission"};
    if (!authority_too) return {};
    if (!m.authority) return no_authority_.bind(m.key.issuer).bind(m.key.id).run();
    authority_.bind(m.key.issuer).bind(m.key.id).bind(*m.authority);
    return authority_.bind(checksum_of(m.key, *m.authority)).run();
}

result<void> mission_writer::forget(const mission_key& key) {
    if (auto r = forget_.bind(key.issuer).bind(key.id).run(); r.has_error()) return r;
    if (sqlite3_changes(db_) == 0) {
        const auto row = indexed_.bind(key.issuer).bind(key.id).step();
        indexed_.reset();
        if (row.has_error()) return row.error();
        if (*row) return error{errc::store_corrupt, "missions_by_key leads to another mission"};
    }
    return no_authority_.bind(key.issuer).bind(key.id).run();
}

result<mission_reader> mission_reader::prepare(sqlite3* db,
                                               std::function<void(const mission_key&)> on_damage) {
    mission_reader w;
    w.on_damage_ = std::move(on_damage);
    const std::string select = "SELECT " + std::string(columns) + " FROM missions ";
    const std::string range = "SELECT " + std::string(columns) + ", n FROM missions ";
    auto r = prepare_all(
        db, {{&w.any_, "SELECT 1 FROM missions NOT INDEXED LIMIT 1"},
             {&w.one_, select + "WHERE issuer=? AND id=?"},
             {&w.authority_, "SELECT authority, checksum FROM authorities WHERE issuer=? AND id=?"},
             {&w.range_, range + "WHERE n > ? ORDER BY n LIMIT ?"},
             {&w.doubt_,
              "SELECT issuer, id FROM missions WHERE gap <> 0 OR authority_needed <> 0 "
              "OR denied_as <> '' LIMIT ?"}});
    if (r.has_error()) return r.error();
    return w;
}

void mission_reader::take(const sqlite::statement& s, record& m, bool brief) {
    m.key.issuer = s.view(0);
    m.key.id = s.view(1);
    m.state = s.view(2);
    m.version = s.number(3);
    m.log_epoch = s.view(4);
    m.expires_at = time_of(s, 5);
    m.gap = s.number(6) != 0;
    m.not_found = s.number(7) != 0;
    m.denied_as = s.view(8);
    m.authority_needed = s.number(9);
    m.authority_version = s.number(10);
    m.fresh_until = time_of(s, 11);
    m.confirmed_epoch = static_cast<std::uint64_t>(s.number(12));
    m.heard_at = s.number(13);
    m.authority.reset();
    if (!whole(s.number(14), checksum_of(m))) {
        // wire.md section 5: what is not known for sure is asked for, and denied until then.
        m.gap = true;
        m.fresh_until.reset();
        m.confirmed_epoch = 0;
        if (on_damage_) on_damage_(m.key);
    }
    if (brief) return;
    m.suspend_until = time_of(s, 15);
    m.successor = s.view(16);
    m.reason = s.view(17);
    m.committed_at = time_of(s, 18);
}

result<bool> mission_reader::any() {
    const at_end over{any_};
    return any_.step();
}

result<std::optional<record>> mission_reader::read(const mission_key& key) {
    const at_end over{one_}, authority_over{authority_};
    auto row = one_.bind(key.issuer).bind(key.id).step();
    if (row.has_error()) return row.error();
    if (!*row) return std::optional<record>();
    std::optional<record> m(std::in_place);
    take(one_, *m, false);
    if (m->key != key)
        return error{errc::store_corrupt, "missions_by_key leads to another mission"};
    row = authority_.bind(key.issuer).bind(key.id).step();
    if (row.has_error()) return row.error();
    if (*row) {
        const auto text = authority_.view(0);
        if (whole(authority_.number(1), checksum_of(key, text))) {
            m->authority = text;
        } else if (on_damage_) {
            on_damage_(key);
        }
    }
    return m;
}

result<std::size_t> mission_reader::each(row_place& after, std::size_t limit, bool brief,
                                         const std::function<void(const record&)>& fn) {
    constexpr int number_column = 19;  // behind `columns`
    const at_end over{range_};
    // One more is looked at: whether it follows the last one.
    constexpr std::size_t all = INT64_MAX - 1;
    range_.bind(after.number).bind(static_cast<std::int64_t>(std::min(limit, all)) + 1);
    std::size_t n = 0;
    auto last = after;
    for (;;) {
        auto row = range_.step();
        if (row.has_error()) return row.error();
        const auto number = *row ? range_.number(number_column) : 0;
        // A number that the disk has changed would have the next step begin somewhere else.
        if (*row && number <= last.number)
            return error{errc::store_corrupt, "missions are out of order"};
        if (!*row || n == limit) {
            after = last;
            return n;
        }
        ++n;
        take(range_, row_, brief);
        last.number = number;
        fn(row_);
    }
}

result<std::vector<mission_key>> mission_reader::in_doubt(std::size_t limit) {
    const at_end over{doubt_};
    doubt_.bind(static_cast<std::int64_t>(limit));
    std::vector<mission_key> out;
    for (;;) {
        auto row = doubt_.step();
        if (row.has_error()) return row.error();
        if (!*row) return out;
        out.push_back({doubt_.text(0), doubt_.text(1)});
    }
}

}  // namespace mission::receiver
