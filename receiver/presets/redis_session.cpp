#include "receiver/presets/redis_session.hpp"

#include <sys/time.h>

#include <cerrno>
#include <charconv>

namespace mission::receiver::presets {
namespace {

constexpr std::string_view unix_prefix = "unix:";

struct free_reply {
    void operator()(void* r) const noexcept { freeReplyObject(r); }
};

timeval of(std::chrono::milliseconds t) {
    // Zero would mean "for ever".
    const auto ms = std::max<std::int64_t>(t.count(), 1);
    return {static_cast<time_t>(ms / 1000), static_cast<suseconds_t>(ms % 1000 * 1000)};
}

std::string line(std::string text) {
    for (auto& c : text)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
    return text;
}

}  // namespace

std::pair<std::string, int> redis_host_port(const std::string& address) {
    const auto colon = address.rfind(':');
    int port = 0;
    if (colon != std::string::npos) {
        const char* end = address.data() + address.size();
        const auto [stopped, failed] = std::from_chars(address.data() + colon + 1, end, port);
        if (failed != std::errc{} || stopped != end) port = 0;
    }
    if (colon == 0 || port < 1 || port > 65535)
        throw ms::setup_error("the address of Redis is HOST:PORT or unix:PATH");
    auto host = address.substr(0, colon);
    if (host.size() > 2 && host.front() == '[' && host.back() == ']')
        host = host.substr(1, host.size() - 2);
    return {host, port};
}

redis_session::redis_session(const std::string& address, const std::string& admin,
                             const std::string& password, const patience& time)
    : time_(time) {
    if (address.starts_with(unix_prefix)) {
        c_.reset(
            redisConnectUnixWithTimeout(address.c_str() + unix_prefix.size(), of(time.left())));
    } else {
        const auto [host, port] = redis_host_port(address);
        c_.reset(redisConnectWithTimeout(host.c_str(), port, of(time.left())));
    }
    if (!c_) throw redis_error("out of memory");
    if (c_->err != 0) throw redis_error(address + ": " + line(c_->errstr));
    if (password.empty()) return;
    if (admin.empty()) {
        run({"AUTH", password});
    } else {
        run({"AUTH", admin, password});
    }
}

std::optional<std::string> redis_session::run(const std::vector<std::string>& words) {
    if (time_.ended()) throw redis_too_late("no answer in time");
    redisSetTimeout(c_.get(), of(time_.left()));
    std::vector<const char*> texts;
    std::vector<std::size_t> sizes;
    for (const auto& w : words) {
        texts.push_back(w.data());
        sizes.push_back(w.size());
    }
    const std::unique_ptr<void, free_reply> answer(
        redisCommandArgv(c_.get(), static_cast<int>(words.size()), texts.data(), sizes.data()));
    if (!answer) {
        const bool late = c_->err == REDIS_ERR_IO && (errno == EAGAIN || errno == EWOULDBLOCK);
        if (late || time_.over()) throw redis_too_late("no answer in time", true);
        throw redis_error(line(c_->errstr), true);
    }
    const auto& r = *static_cast<const redisReply*>(answer.get());
    switch (r.type) {
        case REDIS_REPLY_ERROR:
            throw redis_error(line(std::string(r.str, r.len)));
        case REDIS_REPLY_NIL:
            return std::nullopt;
        case REDIS_REPLY_INTEGER:
            return std::to_string(r.integer);
        case REDIS_REPLY_ARRAY:
            return std::to_string(r.elements);
        default:
            return std::string(r.str, r.len);
    }
}

}  // namespace mission::receiver::presets
