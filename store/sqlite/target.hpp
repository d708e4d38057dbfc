// The file that a copy is written into: nobody else's, not readable by others, named when it is
// whole, and gone when it is not.
#pragma once

#include <cstdint>
#include <string>

#include "base/error.hpp"

namespace mission::store::sqlite {

class target {
  public:
    // `from` is the store's file. store_conflict when `to` or something of SQLite's beside it is
    // there, or is a name that belongs to the store; store_locked while another process writes it.
    static result<target> open(const std::string& from, const std::string& to);
    ~target();  // removes what was not finished
    target(target&& other) noexcept;
    target& operator=(target&&) = delete;

    const std::string& part() const noexcept { return part_; }  // where to write
    // On the disk, under its name. Its database must be closed: its locks end with this.
    result<std::uint64_t> finish();

  private:
    target(std::string to, int fd) : to_(std::move(to)), part_(to_ + ".part"), fd_(fd) {}
    void discard() noexcept;

    std::string to_, part_;
    int fd_ = -1;
};

}  // namespace mission::store::sqlite
