#include "store/sqlite/history.hpp"

#include <algorithm>

namespace mission::store::sqlite {
namespace {

struct told {
    std::string log_epoch, identity;
    seq_t head = 0;
    std::optional<wall_time> copied_at;
};

told read_meta(connection& c) {
    query q(c, "SELECT log_epoch, head, identity, copied_at FROM meta WHERE id = 1");
    if (!q.step()) c.corrupt("the meta row is missing");
    return {q.text(0), q.text(2), q.integer(1), q.maybe_time(3)};
}

bool was_ours(connection& c, const std::string& log_epoch) {
    query q(c, "SELECT 1 FROM log_epochs WHERE log_epoch = ?1", log_epoch);
    return q.step();
}

}  // namespace

std::optional<std::string> why_a_copy(connection& c, const std::string& identity,
                                      const std::optional<witness>& seen) {
    const told m = read_meta(c);
    if (m.copied_at) return "it was made by `store copy` at " + to_rfc3339(*m.copied_at);
    if (!same_file(m.identity, identity)) return "it is another file than it was";
    if (!seen) return std::nullopt;
    if (seen->log_epoch != m.log_epoch) {
        // A process that died between the new epoch and its witness left the one before.
        if (was_ours(c, seen->log_epoch)) return std::nullopt;
        return "another history was written here last";
    }
    if (seen->head > m.head)
        return "it ends at seq " + std::to_string(m.head) + ", and " + std::to_string(seen->head) +
               " was committed here";
    return std::nullopt;
}

void begin_history(connection& c, const std::string& log_epoch, const std::string& identity,
                   const std::string& why, wall_time now) {
    c.exec("BEGIN IMMEDIATE");
    try {
        query(c,
              "INSERT INTO log_epochs (log_epoch, ended_at, head, why) "
              "SELECT log_epoch, ?1, head, ?2 FROM meta WHERE id = 1",
              now, why)
            .run();
        query(c,
              "UPDATE meta SET log_epoch = ?1, identity = ?2, copied_at = NULL, "
              "last_mission = last_mission + ?3 WHERE id = 1",
              log_epoch, identity, missions_passed_over)
            .run();
        c.exec("COMMIT");
    } catch (const store_error&) {
        sqlite3_exec(c.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
        throw;
    }
}

void note_identity(connection& c, const std::string& identity) {
    // What cannot be asked today (a sandbox without name_to_handle_at) is not forgotten.
    const auto known = read_meta(c).identity;
    if (std::count(identity.begin(), identity.end(), '=') <=
        std::count(known.begin(), known.end(), '='))
        return;
    query(c, "UPDATE meta SET identity = ?1 WHERE id = 1", identity).run();
}

}  // namespace mission::store::sqlite
