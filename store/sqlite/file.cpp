#include "store/sqlite/file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

namespace mission::store::sqlite {
namespace {

error system_error_of(const std::string& path, int e) {
    errc code = errc::io_error;
    if (e == EROFS || e == EACCES || e == EPERM) code = errc::store_read_only;
    if (e == ENOSPC || e == EDQUOT || e == EFBIG) code = errc::store_full;
    return {code, path + ": " + std::strerror(e)};
}

// Only what is missing is made, and that for its owner alone.
result<void> make_folders(const std::filesystem::path& folder) {
    if (folder.empty()) return {};
    std::error_code ec;
    if (std::filesystem::is_directory(folder, ec)) return {};
    if (auto above = make_folders(folder.parent_path()); !above) return above;
    if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
        return system_error_of(folder.string(), errno);
    return {};
}

}  // namespace

file_lock::~file_lock() {
    if (fd_ >= 0) ::close(fd_);
}

result<file_lock> prepare_file(const std::string& path) {
    if (auto made = make_folders(std::filesystem::path(path).parent_path()); !made)
        return made.error();
    struct stat st {};
    const bool there = ::stat(path.c_str(), &st) == 0;
    if (there && !S_ISREG(st.st_mode))
        return error(errc::io_error, path + ": " +
                                         (S_ISDIR(st.st_mode) ? "is a folder, not a database file"
                                                              : "is no regular file"));
    // A file without any write bit is meant to stay as it is, also for root.
    if (there && ((st.st_mode & 0222) == 0 || ::access(path.c_str(), W_OK) != 0))
        return error(errc::store_read_only, path + ": the file is read-only");

    const std::string lock_path = path + ".lock";
    const int fd = ::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return system_error_of(lock_path, errno);
    file_lock lock(fd);
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            return error(errc::store_locked, path + ": another process writes it");
        return system_error_of(lock_path, errno);
    }
    if (!there) {
        const int made = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (made < 0) return system_error_of(path, errno);
        ::close(made);
    }
    return lock;
}

}  // namespace mission::store::sqlite
