#include "receiver/subscribe/poll_answer.hpp"

#include "base/json_members.hpp"
#include "base/limits.hpp"

namespace mission::receiver {

result<std::vector<polled_set>> parse_poll_answer(std::string& body) {
    auto sets = json::read_members(body, "sets", limits::http_response_bytes);
    if (sets.has_error() || !*sets)
        return error{errc::bad_response, "the poll answer is no JSON with sets"};
    std::vector<polled_set> out;
    out.reserve((*sets)->size());
    for (const auto& m : **sets)
        out.push_back({m.name, m.text});
    return out;
}

}  // namespace mission::receiver
