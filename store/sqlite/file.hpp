// The file and its lock, before SQLite sees them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

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

    // What stands in the lock's file, and puts something else there: at most witness_bytes, which
    // outlive the process, not always the power. Nothing is worse for what could not be written.
    static constexpr std::size_t witness_bytes = 256;
    std::string read() const;
    void write(std::string_view text) const noexcept;

  private:
    int fd_ = -1;
};

// Makes missing folders (0700) and the file (0600), locks, and sees that it can be written.
// store_locked, store_read_only, store_full, io_error: each names the file.
result<file_lock> prepare_file(const std::string& path);

// store_corrupt when beside a database that keeps no log of its own there is one with something in
// it: left by the store whose place the file has taken. SQLite would put it into the file.
result<void> refuse_strange_log(const std::string& path);

// A failed system call on `path`, with its cause.
error file_error(const std::string& path, int system_errno);

}  // namespace mission::store::sqlite
