// Files that hold secrets: 0600, in folders of 0700, written whole or not at all.
#pragma once

#include <string>
#include <string_view>

#include "base/error.hpp"

namespace mission::transmitter {

// Folders that are missing are made with mode 0700. Errors name the folder: io_error.
result<void> make_private_folder(const std::string& path);

// not_found, key_unreadable, key_permissions when group or others have any right to it.
result<std::string> read_private_file(const std::string& path, std::size_t max_bytes = 64u << 10);

// Through a temporary file beside it, synced before it gets its name: after a power cut there is
// the whole file or none. Fails with io_error when it exists already.
result<void> write_private_file(const std::string& path, std::string_view content);

// The same, in place of what is there: after a power cut the old content or the new one.
result<void> replace_private_file(const std::string& path, std::string_view content);

// Adds to the end, whole and synced, after a line break if the last line was torn; made when it is
// missing.
result<void> append_private_file(const std::string& path, std::string_view lines);

}  // namespace mission::transmitter
