// GET /status-lists/{n}: the issuer's token status lists (draft-ietf-oauth-status-list), kept in
// memory, brought up to date from what was committed since, and signed when somebody asks.
//
// What a list says is true as of its `iat`: never later than the oldest change that is due and not
// yet written (a deadline that has passed, a family's effect that has not reached every child).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "transmitter/api/router.hpp"
#include "transmitter/missions/status_list.hpp"
#include "transmitter/service.hpp"

namespace mission::transmitter {

// THREAD: any.
class status_lists {
  public:
    virtual ~status_lists() = default;
    // From the commit listener, on the store's writer: notes which bits are old. Hands on at once.
    virtual void committed(const std::vector<store::signal>& batch) = 0;
    // Answers with the list; mission_not_found for one that is not there, unavailable while nothing
    // fresh enough can be said.
    virtual void answer(std::int64_t list, const net::responder& respond) = 0;
    // What a Status answer refers to.
    struct reference {
        std::uint32_t idx = 0;
        std::string uri;
    };
    virtual reference of(store::mission_row row) const = 0;
};

// Null when the configuration has `status_list_ttl` 0. `issuer` outlives it.
std::shared_ptr<status_lists> make_status_lists(const issuer_service& issuer);

// No token: a list says nothing to who has not been told an index by an authenticated Status
// answer.
void add_status_list_route(router& r, issuer_service& issuer);

}  // namespace mission::transmitter
