// The routes of /ssf, /signals and /admin/streams, one file each; put together by
// add_stream_routes and add_admin_stream_routes (transmitter/delivery/delivery.hpp).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "net/egress.hpp"
#include "transmitter/api/router.hpp"
#include "transmitter/auth/authenticator.hpp"
#include "transmitter/delivery/delivery.hpp"
#include "transmitter/streams/status.hpp"

namespace mission::transmitter {

void add_poll_route(router& r, authenticator& auth, delivery& out);
void add_verify_route(router& r, issuer_service& issuer, authenticator& auth, delivery& out);
void add_update_routes(router& r, issuer_service& issuer, authenticator& auth, delivery& out,
                       std::shared_ptr<const net::egress_policy> egress);
void add_status_routes(router& r, issuer_service& issuer, authenticator& auth, delivery& out);
void add_subject_routes(router& r, issuer_service& issuer, authenticator& auth, delivery& out);
void add_signal_route(router& r, issuer_service& issuer, authenticator& auth);
void add_admin_operation_routes(router& r, issuer_service& issuer, authenticator& auth,
                                delivery& out);
void add_admin_tail_route(router& r, issuer_service& issuer, authenticator& auth);
void add_dead_letter_routes(router& r, issuer_service& issuer, authenticator& auth, delivery& out);

// A stream of this client, which has been heard of hereby (`inactivity_timeout`); another's is not
// found, as none is. wire.md, "Checks run in one order".
result<delivery::stream_ref> own_stream(delivery& out, const principal& who,
                                        std::string_view stream_id);

// The stream_id of the query; empty when there is none.
result<std::string> stream_id_of(const net::http_request& request);

// Writes a change of status and tells delivery of it; answers with the status as it then is. An
// operator's is audited: `by` has author, action and target.
void change_status(issuer_service& issuer, delivery& out, store::stream_row row,
                   status_request wanted, status_actor actor, const net::responder& respond,
                   const std::optional<store::audit_entry>& by = std::nullopt);

}  // namespace mission::transmitter
