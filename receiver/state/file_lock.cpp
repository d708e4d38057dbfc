#include "receiver/state/file_lock.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>
#include <set>
#include <system_error>

namespace mission::receiver {
namespace {

// What this process has locked: its own lock keeps no thread of it out, and closing the file a
// second time would lose it.
struct taken_files {
    std::mutex m;
    std::set<std::pair<unsigned long, unsigned long>> files;
};
taken_files& taken() {
    static taken_files all;
    return all;
}

error locked(const std::string& path) {
    return {errc::store_locked, path + ": another process has the state open"};
}

}  // namespace

bool file_lock::exists(const std::string& state_path) {
    struct stat s {};
    return ::stat((state_path + "-lock").c_str(), &s) == 0;
}

result<file_lock> file_lock::take(const std::string& state_path) {
    const auto path = state_path + "-lock";
    auto& all = taken();
    std::lock_guard guard(all.m);
    struct stat s {};
    if (::stat(path.c_str(), &s) == 0 && all.files.count({s.st_dev, s.st_ino}) != 0)
        return locked(state_path);
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        const bool refused = errno == EROFS || errno == EACCES || errno == EPERM;
        return error{refused ? errc::store_read_only : errc::store_unavailable,
                     path + ": " + std::generic_category().message(errno)};
    }
    struct flock whole {};
    whole.l_type = F_WRLCK;
    whole.l_whence = SEEK_SET;
    if (::fcntl(fd, F_SETLK, &whole) != 0 || ::fstat(fd, &s) != 0) {
        ::close(fd);
        return locked(state_path);
    }
    file_lock lock;
    lock.fd_ = fd;
    lock.device_ = s.st_dev;
    lock.inode_ = s.st_ino;
    all.files.insert({s.st_dev, s.st_ino});
    return lock;
}

file_lock::~file_lock() {
    if (fd_ < 0) return;
    auto& all = taken();
    std::lock_guard guard(all.m);
    all.files.erase({device_, inode_});
    ::close(fd_);
}

}  // namespace mission::receiver
