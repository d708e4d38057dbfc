// Missions as rows: written by the state's thread, read one by one when somebody asks, and all of
// them at a start. The authority lies in a table of its own, so that a start need not read it.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "base/error.hpp"
#include "receiver/cache/record.hpp"
#include "receiver/state/sqlite.hpp"

namespace mission::receiver {

// Of the writing connection.
class mission_writer {
  public:
    static result<mission_writer> prepare(sqlite3* db);
    // `authority_too` false: the authority's row is as it should be.
    result<void> write(const record& m, bool authority_too);
    result<void> forget(const mission_key& key);

  private:
    sqlite::statement mission_, authority_, no_authority_, forget_;
};

// Of any connection; one call at a time. A row whose checksum is wrong is told as one in doubt,
// which denies until Status has spoken, and without its authority.
class mission_reader {
  public:
    // `on_damage` is told of each damaged row.
    static result<mission_reader> prepare(sqlite3* db,
                                          std::function<void(const mission_key&)> on_damage);
    result<bool> any();
    // nullopt: there is no row.
    result<std::optional<record>> read(const mission_key& key);
    // At most `limit` missions behind `after`, by issuer and id, without their authority; returns
    // how many. The record is the reader's own, and the next one's after the call. `brief`: without
    // what only people read.
    result<std::size_t> each(const mission_key& after, std::size_t limit, bool brief,
                             const std::function<void(const record&)>& fn);
    // Missions that Status has to be asked about.
    result<std::vector<mission_key>> in_doubt(std::size_t limit);

  private:
    void take(const sqlite::statement& s, record& m, bool brief);

    std::function<void(const mission_key&)> on_damage_;
    sqlite::statement any_, one_, authority_, range_, doubt_;
    record row_;
};

}  // namespace mission::receiver
