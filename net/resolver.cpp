#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <memory>

#include "net/egress.hpp"

namespace mission::net {
namespace {

constexpr std::size_t most_addresses = 16;

class system_resolver_impl final : public resolver {
  public:
    result<std::vector<std::string>> resolve(const std::string& host) override {
        addrinfo hints{};
        hints.ai_family = AF_UNSPEC;
        hints.ai_socktype = SOCK_STREAM;
        addrinfo* found = nullptr;
        const int code = ::getaddrinfo(host.c_str(), nullptr, &hints, &found);
        if (code != 0) {
            return error{errc::resolve_failed, host + ": " + ::gai_strerror(code)};
        }
        const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> guard(found, ::freeaddrinfo);
        std::vector<std::string> out;
        for (const addrinfo* a = found; a != nullptr && out.size() < most_addresses;
             a = a->ai_next) {
            char text[INET6_ADDRSTRLEN] = {};
            if (a->ai_family == AF_INET) {
                const auto* v4 = reinterpret_cast<const sockaddr_in*>(a->ai_addr);
                inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
            } else if (a->ai_family == AF_INET6) {
                const auto* v6 = reinterpret_cast<const sockaddr_in6*>(a->ai_addr);
                inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
            } else {
                continue;
            }
            if (std::find(out.begin(), out.end(), text) == out.end()) out.emplace_back(text);
        }
        if (out.empty()) return error{errc::resolve_failed, host + ": no address"};
        return out;
    }
};

}  // namespace

std::shared_ptr<resolver> system_resolver() {
    return std::make_shared<system_resolver_impl>();
}

}  // namespace mission::net
