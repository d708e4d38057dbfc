// Adding and removing subjects (SSF 1.0 sections 8.1.3.2 and 8.1.3.3), judged. Pure.
//
//   default_subjects NONE   an including row stands for what was added
//   default_subjects ALL    an excluding row stands for what was removed; an including one for what
//                           was added while something else stands removed, and may cover it
//
// Rows are in force for signals with added_seq <= seq < removed_seq; a change holds from the log's
// head + 1 on, so that what is delivered again is matched as it was. Nothing here looks at missions
// or people: whether a subject exists cannot show (SSF 1.0 section 9.1).
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/time.hpp"
#include "events/subject.hpp"
#include "store/store.hpp"

namespace mission::transmitter {

struct subject_request {
    std::string stream_id;
    events::subject subject;
    bool verified = true;  // SSF 1.0 section 8.1.3.2: left out means verified
};
// invalid_request with a sentence that names the member.
result<subject_request> parse_subject_request(const json::value& body);

struct subject_change {
    bool remove = false;
    std::string key;   // events::canonical_key
    std::string text;  // JSON
    bool verified = true;
};

struct subject_limits {
    std::size_t per_stream = 0;
    // How long what was removed is still delivered (SSF 1.0 section 9.3).
    std::chrono::milliseconds grace{0};
};

// The rows to write. `of_key` are all rows of the key, by added_seq; `standing` counts the rows of
// the stream that are not removed. rate_limited when one more would be too many. Idempotent: what
// is so already writes nothing.
struct subject_state {
    bool default_all = true;
    store::stream_row stream{};
    std::vector<store::stream_subject> of_key;
    std::size_t standing = 0;
    store::seq_t head = 0;
};
result<std::vector<store::stream_subject>> judge_subject(const subject_change& change,
                                                         const subject_state& state,
                                                         const subject_limits& limits,
                                                         wall_time now);

// Run by the writer: reads the state, judges, and leaves in `written` what the commit will hold.
// The stream itself (opaque, its own id) is always a subject of the stream: nothing is written.
result<store::changes> subject_decision(const subject_request& wanted, bool remove,
                                        const subject_limits& limits, store::issuer_id issuer,
                                        store::stream_row row, const store::rows& rows,
                                        wall_time now, std::vector<store::stream_subject>& written);

}  // namespace mission::transmitter
