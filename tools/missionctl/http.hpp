// One request at a time, waited for: the command line has nothing else to do meanwhile.
#pragma once

#include <memory>
#include <string>

#include "base/error.hpp"
#include "net/client.hpp"

namespace mission::tools {

class blocking_http {
  public:
    virtual ~blocking_http() = default;
    virtual result<net::http_response> send(net::client_request request) = 0;
};

// `ca_pem` empty: the system's trust store.
result<std::unique_ptr<blocking_http>> make_blocking_http(const std::string& ca_pem);

}  // namespace mission::tools
