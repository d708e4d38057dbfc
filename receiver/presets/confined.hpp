// Paths that come from a task, opened below a configured directory and nowhere else.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "base/error.hpp"

namespace mission::receiver::presets {

// Owns a file descriptor.
class descriptor {
  public:
    descriptor() = default;
    explicit descriptor(int fd) : fd_(fd) {}
    ~descriptor();
    descriptor(descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    descriptor& operator=(descriptor&& other) noexcept;
    int get() const noexcept { return fd_; }
    explicit operator bool() const noexcept { return fd_ >= 0; }

  private:
    int fd_ = -1;
};

// io_error: what is configured is not there, or no directory. Links on the way to it are followed:
// it is the operator's own word.
result<descriptor> open_root(const std::string& directory);

// invalid_argument: empty, absolute, NUL, or "", "." or ".." as a component.
result<void> check_relative(std::string_view path);

// Opens a directory below `root`; no component may be a symbolic link. `path` empty: the root
// again. not_found; address_refused: a link, or no directory; io_error.
result<descriptor> open_below(int root, const std::string& path);
// A file in a directory that is held open. not_found, address_refused, io_error.
result<descriptor> open_file_at(int directory, const std::string& name, int flags);

// "a/b/c" -> {"a/b", "c"}
std::pair<std::string, std::string> split_last(const std::string& path);

// Of a small file, all of it. io_error.
result<std::string> read_all(int fd, std::size_t most);

}  // namespace mission::receiver::presets
