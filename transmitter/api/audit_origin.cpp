#include "transmitter/api/audit_origin.hpp"

namespace mission::transmitter {
namespace {

std::string_view name_of(const principal& who) {
    switch (who.how) {
        case principal::method::bearer:
            return who.bound ? "bound token" : "bearer token";
        case principal::method::private_key_jwt:
            return "private_key_jwt";
        case principal::method::secret:
            return "client secret";
        case principal::method::certificate:
            return "client certificate";
    }
    return "";
}

}  // namespace

std::string origin_of(const principal& who, const net::http_request& request) {
    return std::string(name_of(who)) + " from " + request.peer.address;
}

store::audit_entry audited(const issuer_service& issuer, const principal& who,
                           const net::http_request& request) {
    store::audit_entry entry;
    entry.issuer = issuer.id;
    entry.actor = who.client->id;
    entry.origin = origin_of(who, request);
    return entry;
}

std::string refused_outcome(const error& why) {
    return "refused: " + std::string(name(why.code));
}

}  // namespace mission::transmitter
