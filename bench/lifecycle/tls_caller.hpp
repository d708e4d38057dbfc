// A caller that costs little beside what it calls: kept-alive TLS connections of one thread,
// written to one after the other and read in the same order. What is measured is the server's.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace mission::bench {

struct caller_identity {
    std::string ca_pem, certificate_pem, private_key_pem;
};

class tls_caller {
  public:
    // Opens them all; ends the program when one fails.
    tls_caller(std::uint16_t port, const caller_identity& who, int connections);
    ~tls_caller();

    // Waves of one request a connection until `more` says no. `request` is a whole HTTP/1.1 request
    // for a number that nobody else has; `answer` is told its number, status and body.
    void run(const std::function<bool()>& more, const std::function<std::string(int)>& request,
             const std::function<void(int, int, std::string_view)>& answer,
             const std::function<int()>& number);

  private:
    struct connection;
    std::vector<std::unique_ptr<connection>> connections_;
};

}  // namespace mission::bench
