// One process, and in it one state, owns a state file. The lock lies on a file of its own beside
// it, `<path>-lock`, which is never deleted: SQLite's own locks of the database are lost as soon as
// anything else in the process closes that file, and are not ours to rely on.
#pragma once

#include <string>
#include <utility>

#include "base/error.hpp"

namespace mission::receiver {

// A lock of the process (fcntl): a fork()ed child has none of it.
class file_lock {
  public:
    file_lock() = default;
    file_lock(file_lock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {
        std::swap(device_, other.device_);
        std::swap(inode_, other.inode_);
    }
    file_lock& operator=(file_lock&& other) noexcept {
        std::swap(fd_, other.fd_);
        std::swap(device_, other.device_);
        std::swap(inode_, other.inode_);
        return *this;
    }
    ~file_lock();

    // store_locked: somebody has it; store_read_only, store_unavailable: it cannot be made.
    static result<file_lock> take(const std::string& state_path);
    // Somebody has taken it once.
    static bool exists(const std::string& state_path);

  private:
    int fd_ = -1;
    unsigned long device_ = 0, inode_ = 0;
};

}  // namespace mission::receiver
