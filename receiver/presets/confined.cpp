#include "receiver/presets/confined.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace mission::receiver::presets {
namespace {

error of_errno(const std::string& what, int why) {
    const auto text = what + ": " + std::strerror(why);
    if (why == ENOENT) return {errc::not_found, text};
    if (why == ELOOP || why == EXDEV || why == ENOTDIR)
        return {
            errc::address_refused,
            what + (why == ENOTDIR ? ": not a directory" : ": a symbolic link is not followed")};
    return {errc::io_error, text};
}

// openat2(2), Linux 5.6: the kernel itself does not leave the directory. -1 with errno.
int open_beneath(int root, const char* path, int flags) {
    open_how how{};
    how.flags = static_cast<std::uint64_t>(flags) | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    return static_cast<int>(::syscall(SYS_openat2, root, path, &how, sizeof how));
}

constexpr int directory_flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

// The same, a component at a time, where the kernel is older or a sandbox hides the call.
int walk(int root, const std::string& path) {
    descriptor at(::openat(root, ".", directory_flags));
    std::size_t from = 0;
    while (at && from < path.size()) {
        const auto slash = std::min(path.find('/', from), path.size());
        const auto name = path.substr(from, slash - from);
        at = descriptor(::openat(at.get(), name.c_str(), directory_flags));
        from = slash + 1;
    }
    return at ? ::fcntl(at.get(), F_DUPFD_CLOEXEC, 0) : -1;
}

}  // namespace

descriptor::~descriptor() {
    if (fd_ >= 0) ::close(fd_);
}

descriptor& descriptor::operator=(descriptor&& other) noexcept {
    if (this != &other) {
        const int why = errno;  // of what is assigned
        if (fd_ >= 0) ::close(fd_);
        fd_ = std::exchange(other.fd_, -1);
        errno = why;
    }
    return *this;
}

result<descriptor> open_root(const std::string& directory) {
    descriptor d(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!d) return error{errc::io_error, directory + ": " + std::strerror(errno)};
    return d;
}

result<void> check_relative(std::string_view path) {
    const auto bad = [](const char* why) {
        return error{errc::invalid_argument, std::string("the path ") + why};
    };
    if (path.empty()) return bad("is empty");
    if (path.front() == '/') return bad("is absolute");
    if (path.size() > 4096) return bad("is too long");
    if (path.find('\0') != std::string_view::npos) return bad("holds a NUL");
    for (std::size_t from = 0; from <= path.size();) {
        const auto slash = std::min(path.find('/', from), path.size());
        const auto name = path.substr(from, slash - from);
        if (name.empty()) return bad("has an empty component");
        if (name == "." || name == "..") return bad("has \".\" or \"..\" as a component");
        from = slash + 1;
    }
    return {};
}

result<descriptor> open_below(int root, const std::string& path) {
    int fd = open_beneath(root, path.empty() ? "." : path.c_str(), O_RDONLY | O_DIRECTORY);
    if (fd < 0 && (errno == ENOSYS || errno == EPERM)) fd = walk(root, path);
    if (fd < 0) return of_errno(path, errno);
    return descriptor(fd);
}

result<descriptor> open_file_at(int directory, const std::string& name, int flags) {
    descriptor d(::openat(directory, name.c_str(), flags | O_NOFOLLOW | O_CLOEXEC));
    if (!d) return of_errno(name, errno);
    return d;
}

std::pair<std::string, std::string> split_last(const std::string& path) {
    const auto slash = path.rfind('/');
    if (slash == std::string::npos) return {"", path};
    return {path.substr(0, slash), path.substr(slash + 1)};
}

result<std::string> read_all(int fd, std::size_t most) {
    std::string out;
    char block[4096];
    while (true) {
        const auto n = ::read(fd, block, sizeof block);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return error{errc::io_error, std::strerror(errno)};
        if (n == 0) return out;
        out.append(block, static_cast<std::size_t>(n));
        if (out.size() > most) return error{errc::too_large, "the file is too large"};
    }
}

}  // namespace mission::receiver::presets
