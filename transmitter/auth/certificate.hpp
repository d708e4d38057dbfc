// Client certificates, as far as knowing one again goes (RFC 8705). Pure.
#pragma once

#include <string>
#include <string_view>

#include "base/error.hpp"

namespace mission::transmitter {

// DER of the first certificate of a PEM text. bad_configuration when there is none.
result<std::string> certificate_der(std::string_view pem);

// `x5t#S256` (RFC 8705 section 3.1): base64url of the SHA-256 of the DER; "" for "".
std::string certificate_thumbprint(std::string_view der);

}  // namespace mission::transmitter
