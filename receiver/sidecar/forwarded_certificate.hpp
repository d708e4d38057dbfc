// A client certificate that a proxy has verified, and the missions that it names. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "receiver/sidecar/settings.hpp"

namespace mission::receiver::sidecar {

// The ids that fit the pattern, each once; empty when the certificate names none.
// invalid_argument: the field holds no certificate that can be read, or those of several proxies
// (only one that replaces what a client has sent can be believed).
result<std::vector<std::string>> missions_of(const certificate_reference& how,
                                             std::string_view field);

// One element of x-forwarded-client-cert (Envoy): key=value;key="value"; keys may repeat.
struct xfcc_element {
    std::vector<std::string> uris, dns;
    std::string subject;
};
result<xfcc_element> parse_xfcc(std::string_view field);

}  // namespace mission::receiver::sidecar
