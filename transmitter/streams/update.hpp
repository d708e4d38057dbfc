// PATCH and PUT of a stream's configuration, judged. Pure.
//
// SSF 1.0 sections 8.1.1.3 and 8.1.1.4; wire.md section 1, "Stream configuration".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/json.hpp"
#include "net/egress.hpp"
#include "store/store.hpp"
#include "transmitter/streams/config.hpp"

namespace mission::transmitter {

// What is to be changed; nullopt: stays as it is. A replacement names everything: what the body
// leaves out is deleted.
struct update_request {
    std::string stream_id;
    std::optional<delivery_request> delivery;
    std::optional<std::vector<std::string>> events_requested, capabilities;
    std::optional<std::string> description;
};

// invalid_request or stream_invalid with a sentence that names the member.
result<update_request> parse_update(const json::value& body, bool replace,
                                    const net::egress_policy& egress);

// Members that are the transmitter's to give are compared with `present`, the configuration as it
// is answered before anything is changed (SSF 1.0: `events_delivered` among them): stream_invalid
// names the first that differs. Lists are compared as sets; `endpoint_url` of a poll delivery with
// `poll_url`.
result<void> check_supplied(const json::value& body, const json::value& present,
                            std::string_view poll_url);

// The row with the request applied. `sealed` is the encrypted authorization header, where there is
// a new one: absent in the request, the present one is kept while method and endpoint_url stay the
// same, else it is removed (wire.md section 1): it was meant for that receiver alone.
store::stream apply_update(const update_request& wanted, store::stream present,
                           std::string_view sealed);

// What a decision about one stream has found out and what it writes, for delivery::stream_changed.
struct stream_outcome {
    store::stream row;
    std::vector<store::stream_epoch> epochs;  // all that are kept, by from_seq
    std::optional<store::cursor> cursor;
    std::vector<store::stream_event> events;
    bool changed = false;
};

// Run by the writer. stream_not_found when the stream is gone; the errors of check_supplied. A
// change of what SETs say or are signed with begins an epoch behind the log's head; an epoch that
// begins at the same place is replaced, because no signal can have been built by it yet. Nothing
// changed: nothing is written.
struct update_rules {
    const update_request& wanted;
    const json::value& body;
    std::string_view sealed;
    const client_config& client;
    const issuer_service& issuer;
};
result<store::changes> update_decision(const update_rules& rules, store::stream_row row,
                                       const store::rows& rows, stream_outcome& out);

}  // namespace mission::transmitter
