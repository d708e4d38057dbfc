// Refresh tokens: single use, rotated, gone with their mission (RFC 9700 section 4.14.2).
//
// What is kept is the hash of a token, in a file of JSON lines that is written before a token is
// handed out, so that a restart neither forgets a token nor brings a used one back. Destroyed ones
// leave a tombstone until they would have expired: a refusal can say why.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "samples/common/journal.hpp"

namespace sample {

// What one approval gave to one client: all refresh tokens that follow from another are one grant.
struct grant {
    std::string id, mission, client_id;
    std::vector<std::string> resources;  // audiences of its access tokens
    std::int64_t expires_at = 0;         // seconds since 1970, of its refresh tokens
    std::string ended;                   // why it gives no tokens any more; empty: it does
};

// THREAD: every method from any thread.
class refresh_tokens {
  public:
    // `now` in seconds since 1970: what has expired by then is left behind.
    refresh_tokens(const std::string& path, std::int64_t now);

    // The first refresh token of a new grant.
    std::string begin(const grant& g);
    enum class standing { good, used, unknown };
    struct found {
        standing what = standing::unknown;
        grant of;
    };
    found find(std::string_view token, std::int64_t now) const;
    // The next token, and this one is used up; nullopt when somebody was faster, when it has ended,
    // or when `still` says no: asked with nothing between it and the write.
    std::optional<std::string> rotate(std::string_view token, std::int64_t now,
                                      const std::function<bool()>& still);
    // No token of the grant is good for anything from here on; false when that was so already.
    bool end(const std::string& grant_id, const std::string& why);
    // Grants that still give tokens.
    std::vector<grant> open() const;

  private:
    struct issued {
        std::string grant_id;
        bool used = false;
    };
    void take_line(const rj::Document& line);
    void compact(const std::string& path, std::int64_t now);
    std::string issue(const std::string& grant_id, const std::string& instead_of);

    mutable std::mutex lock_;
    std::map<std::string, grant> grants_;
    std::map<std::string, issued> tokens_;  // by hash
    std::unique_ptr<journal> file_;
};

}  // namespace sample
