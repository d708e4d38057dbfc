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

// Through a temporary file beside it, synced before the rename: after a power cut there is the
// whole file or none. Fails with io_error when it exists already.
result<void> write_private_file(const std::string& path, std::string_view content);

}  // namespace mission::transmitter
