// One step of a bulk operation, as a decision: the next members are settled, judged and moved, each
// by the rules of one mission, and what came of them is written with their versions, so that a
// crash neither loses nor repeats one. Pure but for the rows it reads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "store/store.hpp"

namespace mission::transmitter {

// What a running job's row remembers of its execution (bulk_job::execution), as JSON text.
struct bulk_execution {
    std::string txn, actor, origin, reason, filter;
    std::int64_t applied = 0, already_terminal = 0, illegal_transition = 0, failed = 0;
    std::int64_t iat = 0;  // of the manifest; 0: still running
};
std::string to_json(const bulk_execution& e);
result<bulk_execution> parse_execution(std::string_view text);

struct bulk_step_request {
    store::issuer_id issuer{};
    std::string issuer_url;
    std::string token_hash;  // of the job
    std::size_t most = 0;    // members
    // Members are not processed any more but reported as `error`: why.
    std::optional<error> giving_up;
    bool clock_ok = true;
};
// `over`: nothing is left of this job, or it does not run. Errors: store_corrupt.
result<store::changes> bulk_step(const store::rows& rows, wall_time now,
                                 const bulk_step_request& request, bool& over);

}  // namespace mission::transmitter
