#include "samples/common/journal.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace sample {
namespace {

std::string read_all(int fd) {
    std::string text;
    char block[1 << 16];
    for (;;) {
        const auto n = ::read(fd, block, sizeof block);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) throw std::runtime_error(std::strerror(errno));
        if (n == 0) return text;
        text.append(block, static_cast<std::size_t>(n));
    }
}

}  // namespace

void sync_directory_of(const std::string& path) {
    const auto slash = path.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    ::fsync(fd);
    ::close(fd);
}

journal::journal(const std::string& path, const std::function<void(const rj::Document&)>& line)
    : path_(path), fd_(::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) {
    const auto fail = [&](const std::string& why) {
        if (fd_ >= 0) ::close(fd_);
        throw std::runtime_error(path_ + ": " + why);
    };
    if (fd_ < 0) fail(std::strerror(errno));
    if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) fail("is in use by another process");
    try {
        const std::string text = read_all(fd_);
        std::size_t at = 0;
        for (std::size_t end; (end = text.find('\n', at)) != std::string::npos; at = end + 1) {
            const auto object = parse_object(std::string_view(text).substr(at, end - at));
            if (!object)
                throw std::runtime_error("octet " + std::to_string(at) + ": no JSON object");
            line(*object);
        }
        if (at < text.size() && ::ftruncate(fd_, static_cast<off_t>(at)) != 0)
            throw std::runtime_error(std::strerror(errno));
    } catch (const std::exception& e) {
        fail(e.what());
    }
    sync_directory_of(path_);
}

journal::~journal() {
    ::close(fd_);
}

void journal::append(const json_object& line) {
    const std::string text = line.str() + "\n";
    std::string_view rest = text;
    while (!broken_ && !rest.empty()) {
        const auto n = ::write(fd_, rest.data(), rest.size());
        if (n < 0 && errno == EINTR) continue;
        broken_ = n <= 0;
        if (n > 0) rest.remove_prefix(static_cast<std::size_t>(n));
    }
    broken_ = broken_ || ::fdatasync(fd_) != 0;
    if (broken_) throw std::runtime_error(path_ + " cannot be written");
}

}  // namespace sample
