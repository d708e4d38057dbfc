// Which addresses a push may go to. Checked after DNS resolution, at connect, on each address.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace mission::net {

// Refuses loopback, private (RFC 1918, RFC 4193), link-local, shared (RFC 6598), documentation,
// benchmarking, multicast, unspecified and reserved networks, IPv4-mapped, -compatible, NAT64 and
// 6to4 forms of these, unless a listed entry allows them.
class egress_policy {
  public:
    // Entries: "127.0.0.0/8", "::1/128", "10.1.2.3", "host.example:8443" (host with optional port,
    // matched against the URL's host; it allows whatever addresses that name resolves to).
    static result<egress_policy> parse(const std::vector<std::string>& allow);

    // `address` textual, without brackets. address_refused with the reason ("loopback").
    result<void> check(std::string_view host, std::uint16_t port, std::string_view address) const;

  private:
    struct network;
    std::vector<std::shared_ptr<const network>> networks_;
    std::vector<std::pair<std::string, std::uint16_t>> hosts_;  // port 0: any
};

// Injection points for tests: nothing is ever sent to a refused address.
class resolver {
  public:
    virtual ~resolver() = default;
    // Blocking; runs on one of the client's look-up threads, for several names at once.
    virtual result<std::vector<std::string>> resolve(const std::string& host) = 0;
};
std::shared_ptr<resolver> system_resolver();

class connector {
  public:
    virtual ~connector() = default;
    // Called right before a real connect with the address that is to be connected to; an error
    // stops the connect. Counts in tests.
    virtual result<void> before_connect(std::string_view address, std::uint16_t port) = 0;
};

}  // namespace mission::net
