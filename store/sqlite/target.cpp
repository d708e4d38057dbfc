#include "store/sqlite/target.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include "store/sqlite/file.hpp"

namespace mission::store::sqlite {
namespace {

namespace fs = std::filesystem;

constexpr const char* beside[] = {"-wal", "-shm", "-journal"};

bool is_there(const std::string& path) {
    struct stat st {};
    return ::lstat(path.c_str(), &st) == 0;
}

fs::path folder_of(const std::string& path) {
    const auto above = fs::path(path).parent_path();
    return above.empty() ? fs::path(".") : above;
}

// The folder as it is, so that two ways to it are one name.
std::string plain_name(const std::string& path) {
    std::error_code ec;
    const auto folder = fs::canonical(folder_of(path), ec);
    return (ec ? folder_of(path) : folder).string() + "/" + fs::path(path).filename().string();
}

error refused(const std::string& path, const char* why) {
    return {errc::store_conflict, path + ": " + why};
}

result<void> check_names(const std::string& from, const std::string& to) {
    const auto name = fs::path(to).filename().string();
    std::error_code ec;
    if (fs::is_directory(to, ec)) return refused(to, "is a folder, and a file's name is needed");
    if (name.empty() || name == "." || name == ".." || to.find('\0') != std::string::npos)
        return refused(to, "is no name of a file");
    if (is_there(to)) return refused(to, "is there already, and is not overwritten");
    const auto store = plain_name(from), wanted = plain_name(to);
    for (const char* suffix : {"-wal", "-shm", "-journal", ".lock"})
        if (wanted == store + suffix || wanted + suffix == store)
            return refused(to, "is a name that belongs to the store itself");
    // SQLite would take it for a part of the copy.
    for (const char* suffix : beside)
        if (is_there(to + suffix)) return refused(to + suffix, "is left of another database");
    if (!fs::is_directory(folder_of(to), ec))
        return error(errc::not_found, folder_of(to).string() + ": there is no such folder");
    return {};
}

result<void> take(int fd, const std::string& part) {
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            return error(errc::store_locked, part + ": another process writes it");
        return file_error(part, errno);
    }
    // Under a lock it stays what it is: ours alone, and still of this name.
    struct stat held {
    }, named{};
    if (::fstat(fd, &held) != 0 || ::lstat(part.c_str(), &named) != 0)
        return file_error(part, errno);
    if (held.st_ino != named.st_ino || held.st_dev != named.st_dev)
        return error(errc::store_locked, part + ": another process writes it");
    if (!S_ISREG(held.st_mode) || held.st_uid != ::geteuid() || held.st_nlink != 1)
        return refused(part, "is not ours to write");
    if (::fchmod(fd, 0600) != 0 || ::ftruncate(fd, 0) != 0) return file_error(part, errno);
    return {};
}

// RENAME_NOREPLACE, also where the file system does not know it.
int name_it(const std::string& part, const std::string& to) {
    if (::renameat2(AT_FDCWD, part.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
    if (errno != EINVAL && errno != ENOSYS) return errno;
    if (is_there(to)) return EEXIST;
    return ::rename(part.c_str(), to.c_str()) == 0 ? 0 : errno;
}

}  // namespace

result<target> target::open(const std::string& from, const std::string& to) {
    if (auto r = check_names(from, to); !r) return r.error();
    const std::string part = to + ".part";
    // What a copy that was killed has left is written anew.
    const int fd =
        ::open(part.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (fd < 0) return file_error(part, errno);
    if (auto r = take(fd, part); !r) {
        ::close(fd);
        return r.error();
    }
    for (const char* suffix : beside)
        ::unlink((part + suffix).c_str());
    return target(to, fd);
}

target::target(target&& other) noexcept
    : to_(std::move(other.to_)), part_(std::move(other.part_)), fd_(std::exchange(other.fd_, -1)) {}

target::~target() {
    if (fd_ >= 0) discard();
}

void target::discard() noexcept {
    ::unlink(part_.c_str());
    for (const char* suffix : beside)
        ::unlink((part_ + suffix).c_str());
    ::close(std::exchange(fd_, -1));
}

result<std::uint64_t> target::finish() {
    struct stat st {};
    if (::fsync(fd_) != 0 || ::fstat(fd_, &st) != 0) return file_error(part_, errno);
    if (const int e = name_it(part_, to_); e == EEXIST)
        return refused(to_, "is there already, and is not overwritten");
    else if (e != 0)
        return file_error(to_, e);
    const int folder = ::open(folder_of(to_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool synced = folder >= 0 && (::fsync(folder) == 0 || errno == EINVAL);
    const int e = errno;
    if (folder >= 0) ::close(folder);
    if (!synced) {
        // Whether the name outlives a power cut nobody knows: better none than one to rely on.
        ::unlink(to_.c_str());
        return file_error(folder_of(to_).string(), e);
    }
    ::close(std::exchange(fd_, -1));
    return static_cast<std::uint64_t>(st.st_size);
}

}  // namespace mission::store::sqlite
