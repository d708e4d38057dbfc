// Whether the file goes on with the log that was left here, or with an older one: then versions
// and seqs may be given out a second time, and the log gets a new log_epoch before anybody is
// answered (docs/adr/0056).
#pragma once

#include <optional>
#include <string>

#include "base/time.hpp"
#include "store/sqlite/connection.hpp"
#include "store/sqlite/place.hpp"

namespace mission::store::sqlite {

// Numbers of missions that are passed over when a history begins: those that the lost part of the
// old one gave out have places in status lists that somebody may still look at.
inline constexpr std::int64_t missions_passed_over = 1 << 20;

// One sentence for the operator; nullopt when the store is what was left here. `identity` is the
// file's, `seen` what the place has written down.
std::optional<std::string> why_a_copy(connection& c, const std::string& identity,
                                      const std::optional<witness>& seen);

// In one transaction: `log_epoch` from here on, the old one kept in log_epochs, `identity` written,
// the mark of a copy taken off. A process that dies here has done all of it or nothing.
void begin_history(connection& c, const std::string& log_epoch, const std::string& identity,
                   const std::string& why, wall_time now);

// Writes the identity of a file that has none (a new store, or one of an older schema) or whose
// identity now has more parts.
void note_identity(connection& c, const std::string& identity);

}  // namespace mission::store::sqlite
