#include "store/sqlite/file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

namespace mission::store::sqlite {
namespace {

// Only what is missing is made, and that for its owner alone.
result<void> make_folders(const std::filesystem::path& folder) {
    if (folder.empty()) return {};
    std::error_code ec;
    if (std::filesystem::is_directory(folder, ec)) return {};
    if (auto above = make_folders(folder.parent_path()); !above) return above;
    if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
        return file_error(folder.string(), errno);
    return {};
}

// It is written to, so no link is followed: the folder may be another user's than ours.
int open_lock(const std::string& path, const struct stat* of) {
    constexpr int how = O_RDWR | O_CLOEXEC | O_NOFOLLOW;
    const int made = ::open(path.c_str(), how | O_CREAT | O_EXCL, 0600);
    if (made < 0) return errno == EEXIST ? ::open(path.c_str(), how) : made;
    // What root is asked to do with a store (`store restored`) leaves no lock that its owner cannot
    // open; SQLite does the same for what it makes.
    if (of && ::geteuid() == 0 && ::fchown(made, of->st_uid, of->st_gid) != 0) {
        const int e = errno;
        ::close(made);
        ::unlink(path.c_str());
        errno = e;
        return -1;
    }
    return made;
}

}  // namespace

file_lock::~file_lock() {
    if (fd_ >= 0) ::close(fd_);
}

std::string file_lock::read() const {
    std::string out(witness_bytes, '\0');
    const auto n = ::pread(fd_, out.data(), out.size(), 0);
    out.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return out;
}

void file_lock::write(std::string_view text) const noexcept {
    // Whole and always as long, so that it needs no new block on a full disk and has no rest.
    char out[witness_bytes];
    std::memset(out, ' ', sizeof out);
    std::memcpy(out, text.data(), std::min(text.size(), sizeof out - 1));
    out[sizeof out - 1] = '\n';
    [[maybe_unused]] const auto n = ::pwrite(fd_, out, sizeof out, 0);
}

error file_error(const std::string& path, int system_errno) {
    const int e = system_errno;
    errc code = errc::io_error;
    if (e == EROFS || e == EACCES || e == EPERM) code = errc::store_read_only;
    if (e == ENOSPC || e == EDQUOT || e == EFBIG) code = errc::store_full;
    return {code, path + ": " + std::strerror(e)};
}

result<void> refuse_strange_log(const std::string& path) {
    struct stat log {};
    if (::stat((path + "-wal").c_str(), &log) != 0 || log.st_size == 0) return {};
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return file_error(path, errno);
    // The file's write version: 1 is a rollback journal, and is set before the log is taken away
    // and changed before one is made (sqlite.org/fileformat.html section 1.3.3).
    unsigned char version = 0;
    const auto n = ::pread(fd, &version, 1, 18);
    ::close(fd);
    if (n != 1 || version != 1) return {};
    return error(errc::store_corrupt, path + "-wal belongs to the store whose place " + path +
                                          " has taken: move it and " + path +
                                          "-shm away, then start again");
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
    const int fd = open_lock(lock_path, there ? &st : nullptr);
    if (fd < 0) return file_error(lock_path, errno);
    file_lock lock(fd);
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            return error(errc::store_locked, path + ": another process writes it");
        return file_error(lock_path, errno);
    }
    if (!there) {
        const int made = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (made < 0) return file_error(path, errno);
        ::close(made);
    }
    return lock;
}

}  // namespace mission::store::sqlite
