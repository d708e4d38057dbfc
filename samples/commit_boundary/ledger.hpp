// What became of every payment: an append-only file, and what is looked up of it in memory.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "samples/common/journal.hpp"

namespace sample {

// One line of the ledger. Times are RFC 3339 in UTC with microseconds; empty: it did not come to
// it.
struct payment {
    std::string id, key, request_hash;  // `key`: the caller's Idempotency-Key
    std::string mission;
    std::int64_t version = 0;  // of the mission, as the answer had it that decided
    std::int64_t status_iat = 0;
    std::string sent_at, received_at, committed_at;  // Status request, its answer, the payment
    std::int64_t age_us = 0;  // of the answer when it was decided; monotonic, from the sending
    bool committed = false;
    std::string reason;
    // The mission is known to have ended between the sending and the commit: heard before the
    // decision (then it is refused), or told later (then a further line says so).
    bool overlapped = false;
    std::string order;  // JSON text: what is paid to whom

    std::int64_t committed_us = 0;  // `committed_at` as a number, not written
    json_object line() const;
};

// Why and when a mission ended, as it was heard.
struct ending {
    std::string mission, state;
    std::int64_t version = 0;
    std::optional<std::int64_t> committed_us;  // by the transmitter's clock, where it says
    std::string committed_at, heard_at;
};

// THREAD: every method from any thread.
class ledger {
  public:
    explicit ledger(const std::string& path);  // runtime_error when it cannot be used

    enum class start { begun, known, other_request, under_way };
    // Begins a payment under its key, or says what became of it.
    std::pair<start, payment> begin(const std::string& key, const std::string& request_hash);
    // Decides and records, alone: `decide` fills in the payment and is followed by the write, so
    // that no ending that is heard meanwhile can slip between. Ends what begin() began, also by
    // throwing.
    payment settle(payment p, const std::function<void(payment&)>& decide);
    // Marks the committed payments that this ending overlaps; the ids of those newly marked.
    std::vector<std::string> mark_overlapped(const ending& e);

    std::optional<payment> find(const std::string& id) const;

  private:
    void take_line(const rj::Document& line);

    mutable std::mutex lock_;
    std::map<std::string, payment> by_key_;  // `id` empty: under way
    std::map<std::string, std::string> key_by_id_;
    std::multimap<std::string, std::string> committed_by_mission_;  // mission -> key
    journal file_;
};

}  // namespace sample
