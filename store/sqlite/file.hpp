// The file and its lock, before SQLite sees them.
#pragma once

#include <string>

#include "base/error.hpp"

namespace mission::store::sqlite {

// Keeps PATH.lock locked (flock) as long as it lives. The kernel lets go when the process dies.
class file_lock {
  public:
    file_lock() = default;
    explicit file_lock(int fd) : fd_(fd) {}
    ~file_lock();
    file_lock(file_lock&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
    file_lock& operator=(file_lock&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }

  private:
    int fd_ = -1;
};

// Makes missing folders (0700) and the file (0600), locks, and sees that it can be written.
// store_locked, store_read_only, store_full, io_error: each names the file.
result<file_lock> prepare_file(const std::string& path);

}  // namespace mission::store::sqlite
