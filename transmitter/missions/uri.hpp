// Syntax-based normalisation of RFC 3986 section 6.2.2, for comparing resources. Never for hashing.
#pragma once

#include <string>
#include <string_view>

namespace mission::transmitter {

// Scheme and host in lower case, default port away, percent-encoding in upper case and decoded
// where the character is unreserved, dot segments removed. Text that is no URI with an authority
// comes back with its percent-encoding normalised only.
std::string normalize_uri(std::string_view uri);

}  // namespace mission::transmitter
