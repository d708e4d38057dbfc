// The schema, in numbered steps. user_version is the number of the last one that ran.
#pragma once

#include "store/sqlite/connection.hpp"

namespace mission::store::sqlite {

inline constexpr int application_id = 0x4d536967;  // "MSig"
extern const int newest_schema;

// Changes nothing. store_newer names both numbers; not_a_database for a file of another program.
// Returns the file's schema number, 0 for a new file.
int check_owner(connection& c, const std::string& path);

// Brings the file from `version` to newest_schema, each step in a transaction of its own.
void migrate(connection& c, int version);

}  // namespace mission::store::sqlite
