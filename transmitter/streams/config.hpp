// The configuration of a stream: judged on the way in, printed on the way out. Pure.
//
// SSF 1.0 section 8.1.1; wire.md section 1, "Stream configuration".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/json.hpp"
#include "net/egress.hpp"
#include "store/rows.hpp"
#include "store/store.hpp"
#include "transmitter/config.hpp"
#include "transmitter/service.hpp"
#include "transmitter/streams/members.hpp"

namespace mission::transmitter {

// What a receiver asks for. Members that are the transmitter's to give are not even looked at.
struct create_request {
    store::delivery_method method = store::delivery_method::poll;
    std::string endpoint_url;          // push
    std::string authorization_header;  // push, plain; sealed before it is stored
    std::vector<std::string> events_requested;
    std::vector<std::string> capabilities;  // mission_capabilities_supported
    std::string description;
};

// stream_invalid with a sentence that names the member (members.hpp).
result<create_request> parse_create(const json::value& body, const net::egress_policy& egress);

// What the client's entry offers; all mission types when the entry says nothing.
std::vector<std::string> events_supported(const client_config& client, std::string_view base);

// supported ∩ requested, in the order of `supported`; empty when nothing was requested.
std::vector<std::string> events_delivered(const std::vector<std::string>& supported,
                                          const std::vector<std::string>& requested);

// wire.md section 2: RS256 on every SET of a stream that is delivered any CAEP or RISC event, else
// ES256; the client's entry overrides.
std::string algorithm_for(const client_config& client, const std::vector<std::string>& delivered);

// What the stream's SETs say and are signed with from some seq on, as the client's entry now is.
// `stream` and `from_seq` are the caller's to set.
store::stream_epoch make_epoch(const client_config& client, const issuer_service& issuer,
                               const std::vector<std::string>& requested,
                               const std::vector<std::string>& capabilities);
// Whether SETs of both epochs are built alike, wherever they begin.
bool same_terms(const store::stream_epoch& a, const store::stream_epoch& b) noexcept;

// The row and its first epoch. `sealed` is the encrypted authorization header. from_seq is set in
// the decision.
struct new_stream {
    store::stream row;
    store::stream_epoch epoch;
};
new_stream make_stream(const create_request& request, const client_config& client,
                       const issuer_service& issuer, std::string stream_id, std::string sealed,
                       wall_time now);

// Run by the writer: refuses with stream_limit when the client has its number of streams, else the
// stream starts behind the log's head: nothing of before is delivered.
result<store::changes> create_decision(const new_stream& wanted, std::size_t limit,
                                       const store::rows& rows);

// The stream configuration as every answer carries it.
std::string to_json(const store::stream& s, const store::stream_epoch& epoch,
                    const client_config& client, const issuer_service& issuer);

// Binds a sealed authorization header to its stream.
std::string authorization_context(std::string_view stream_id);

}  // namespace mission::transmitter
