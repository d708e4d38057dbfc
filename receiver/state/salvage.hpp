// What a damaged state file still says of holds, tasks and the rest: everything but missions, which
// Status and the stream tell anew.
#pragma once

#include <sqlite3.h>

#include <string>

namespace mission::receiver {

// Copies every row that can be read from the file into the tables of the same names; a table that
// breaks off keeps what came before. Returns one line for people: what was found, what was not.
std::string salvage(const std::string& damaged, sqlite3* into);

}  // namespace mission::receiver
