// The state's file: found or made, checked, brought up to this program's schema; moved aside when
// it is damaged.
#pragma once

#include <functional>
#include <string>

#include "base/error.hpp"
#include "receiver/state/file_lock.hpp"
#include "receiver/state/sqlite.hpp"

namespace mission::receiver {

// Two connections: what is read for a look waits for no transaction's way to the disk.
struct state_connections {
    sqlite::database writer;
    sqlite::database reader;  // null in memory: there the writer is the only one
    bool lost = false;        // it had a past, and that is not in it any more
};

// `path` empty: in memory. A damaged file is moved aside, once, and what can be read of its holds
// and tasks is kept.
result<state_connections> open_connections(const std::string& path,
                                           const std::function<void(std::string)>& on_problem);

// The same for a file that was found damaged while it was in use; its connections are closed.
result<state_connections> replace_damaged(const std::string& path, const std::string& why,
                                          const std::function<void(std::string)>& on_problem);

bool is_damage(const error& e) noexcept;

// Makes the file if there is none (true), and sees to it that nobody else may write it.
result<bool> make_private_file(const std::string& path);
// A name that SQLite opens otherwise than as a file of ours.
bool is_plain_path(const std::string& path) noexcept;

}  // namespace mission::receiver
