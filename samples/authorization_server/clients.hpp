// Who may ask for tokens: agents with a secret each (RFC 6749 section 2.3.1).
#pragma once

#include <httplib.h>

#include <map>
#include <optional>
#include <string>

namespace sample {

// THREAD: safe once made.
class client_list {
  public:
    // {"clients":[{"client_id":"..","client_secret":".."}]}; runtime_error when it is not.
    explicit client_list(const std::string& path);

    // The client that the request proves to be, by HTTP Basic or by the form, never by both.
    std::optional<std::string> authenticate(const httplib::Request& request) const;

  private:
    std::map<std::string, std::string> hashes_;  // client id -> SHA-256 of its secret
};

}  // namespace sample
