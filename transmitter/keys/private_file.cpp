#include "transmitter/keys/private_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "jose/digest.hpp"

namespace mission::transmitter {
namespace {

class descriptor {
  public:
    explicit descriptor(int fd) : fd_(fd) {}
    ~descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    descriptor(const descriptor&) = delete;
    descriptor& operator=(const descriptor&) = delete;
    int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }

  private:
    int fd_;
};

error system_failure(errc code, const std::string& path, const char* verb) {
    return {code, path + ": cannot " + verb + ": " + std::strerror(errno)};
}

std::string folder_of(const std::string& path) {
    const auto folder = std::filesystem::path(path).parent_path().string();
    return folder.empty() ? std::string(".") : folder;
}

// Written and synced.
result<void> write_all(int file, const std::string& path, std::string_view content) {
    while (!content.empty()) {
        const ssize_t n = ::write(file, content.data(), content.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return system_failure(errc::io_error, path, "write");
        content.remove_prefix(static_cast<std::size_t>(n));
    }
    if (::fsync(file) != 0) return system_failure(errc::io_error, path, "sync");
    return {};
}

// The name of a file beside `path` that holds `content`, durably but for its name.
result<std::string> write_temporary(const std::string& path, std::string_view content) {
    std::string temporary = path + "." + jose::random_id(6) + ".new";
    const descriptor file(
        ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR));
    if (!file) return system_failure(errc::io_error, path, "write");
    if (auto written = write_all(file.get(), path, content); !written) {
        ::unlink(temporary.c_str());
        return written.error();
    }
    return temporary;
}

// A name is durable once its folder is.
result<void> sync_folder(const std::string& path) {
    const descriptor folder(::open(folder_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (folder && ::fsync(folder.get()) != 0 && errno != EINVAL)
        return system_failure(errc::io_error, path, "sync the folder of");
    return {};
}

}  // namespace

result<void> make_private_folder(const std::string& path) {
    std::string made;
    for (std::size_t at = 0; at != std::string::npos;) {
        at = path.find('/', at + 1);
        made = path.substr(0, at);
        if (made.empty() || made == ".") continue;
        if (::mkdir(made.c_str(), 0700) != 0 && errno != EEXIST)
            return system_failure(errc::io_error, made, "make the folder");
    }
    struct stat what {};
    if (::stat(path.c_str(), &what) != 0)
        return system_failure(errc::io_error, path, "use the folder");
    if (!S_ISDIR(what.st_mode)) return error{errc::io_error, path + ": is no folder"};
    return {};
}

result<std::string> read_private_file(const std::string& path, std::size_t max_bytes) {
    const descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) {
        if (errno == ENOENT) return error{errc::not_found, path + ": there is no such file"};
        return system_failure(errc::key_unreadable, path, "read");
    }
    struct stat what {};
    if (::fstat(file.get(), &what) != 0) return system_failure(errc::key_unreadable, path, "read");
    if (!S_ISREG(what.st_mode)) return error{errc::key_unreadable, path + ": is no regular file"};
    if ((what.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return error{errc::key_permissions,
                     path + ": group or others have access; its mode must be 0600"};
    std::string content;
    char buffer[4096];
    for (;;) {
        const ssize_t n = ::read(file.get(), buffer, sizeof buffer);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return system_failure(errc::key_unreadable, path, "read");
        if (n == 0) return content;
        content.append(buffer, static_cast<std::size_t>(n));
        if (content.size() > max_bytes)
            return error{errc::key_unreadable, path + ": is too large for a key"};
    }
}

result<void> write_private_file(const std::string& path, std::string_view content) {
    const auto temporary = write_temporary(path, content);
    if (!temporary) return temporary.error();
    // link(2) rather than rename(2): two programs that start at once must not replace each other's.
    const int linked = ::link(temporary->c_str(), path.c_str());
    const error e = linked == 0 ? error{} : system_failure(errc::io_error, path, "write");
    ::unlink(temporary->c_str());
    if (linked != 0) return e;
    return sync_folder(path);
}

result<void> replace_private_file(const std::string& path, std::string_view content) {
    const auto temporary = write_temporary(path, content);
    if (!temporary) return temporary.error();
    if (::rename(temporary->c_str(), path.c_str()) != 0) {
        const error e = system_failure(errc::io_error, path, "write");
        ::unlink(temporary->c_str());
        return e;
    }
    return sync_folder(path);
}

result<void> append_private_file(const std::string& path, std::string_view lines) {
    const bool is_new = ::access(path.c_str(), F_OK) != 0;
    const descriptor file(
        ::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR));
    if (!file) return system_failure(errc::io_error, path, "write");
    std::string all;
    char last = '\n';
    const off_t size = ::lseek(file.get(), 0, SEEK_END);
    if (size > 0 && ::pread(file.get(), &last, 1, size - 1) == 1 && last != '\n') all = "\n";
    all.append(lines);
    if (auto written = write_all(file.get(), path, all); !written) return written;
    if (is_new) return sync_folder(path);
    return {};
}

}  // namespace mission::transmitter
