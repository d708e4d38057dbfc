// The mission's record as the transmitter has it: for whom it was approved, and what it permits.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "samples/common/transmitter_api.hpp"

namespace sample {

// One entry of `authorization_details` (RFC 9396).
struct authority_entry {
    std::string resource, json;
};

struct mission_record {
    std::string id, issuer, authority_hash, expires_at, state;
    std::int64_t version = 0, expires = 0;  // `expires`: seconds since 1970
    std::string agent, subject;             // client id of the one, `sub` of the other
    std::vector<authority_entry> entries;   // in force

    std::vector<std::string> resources() const;  // each once, in their order
};

// THREAD: every method from any thread.
class mission_records {
  public:
    explicit mission_records(transmitter_api& api) : api_(api) {}
    // As of `version` or later (0: of any); nullopt when it cannot be had (`why` says so), or is
    // none of ours.
    std::optional<mission_record> at_least(const std::string& mission, std::int64_t version,
                                           std::string& why);

  private:
    static constexpr std::size_t kept_max = 10'000;
    transmitter_api& api_;
    std::mutex lock_;
    std::map<std::string, mission_record> kept_;
};

// Seconds since 1970 of an RFC 3339 text in UTC; nullopt when it is none.
std::optional<std::int64_t> seconds_of(const std::string& rfc3339);

// What of `held` (entries of a token) is still within `in_force`: an entry stays when some entry in
// force covers it, and gives way to one in force that it covers. Entries that differ in anything
// but their actions cover each other only when that is equal: what cannot be compared is left out.
std::vector<authority_entry> within(const std::vector<authority_entry>& held,
                                    const std::vector<authority_entry>& in_force);

// The entries of an `authorization_details` array.
std::vector<authority_entry> entries_of(const rj::Value& array);

}  // namespace sample
