// The routes of /ssf, one file each; put together by add_stream_routes.
#pragma once

#include "transmitter/api/router.hpp"
#include "transmitter/auth/authenticator.hpp"
#include "transmitter/delivery/delivery.hpp"

namespace mission::transmitter {

void add_poll_route(router& r, authenticator& auth, delivery& out);
void add_verify_route(router& r, issuer_service& issuer, authenticator& auth, delivery& out);

// A stream of this client; another's is not found, as none is. wire.md, "Checks run in one order".
result<delivery::stream_ref> own_stream(const delivery& out, const principal& who,
                                        std::string_view stream_id);

}  // namespace mission::transmitter
