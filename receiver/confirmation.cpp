#include "receiver/confirmation.hpp"

#include <utility>

#include "receiver/cache/authority_table.hpp"

namespace mission::receiver {

ms::confirmation unconfirmed(std::string why, ms::cause cause) {
    ms::confirmation c;
    c.error = std::move(why);
    c.now.why = cause;
    return c;
}

ms::confirmation confirmation_of(const status_desk::reply& come) {
    if (come.word.has_error()) {
        auto c = unconfirmed(come.word.error().message(), cause_of(come.word.error().code));
        c.sent_at = come.sent_at;
        c.received_at = come.received_at;
        return c;
    }
    const auto& word = *come.word;
    ms::confirmation c;
    c.error.clear();
    c.state = word.state;
    c.version = word.version;
    if (word.authority) c.authority = parse_authority(*word.authority, word.version);
    c.issued_at = word.issued_at;
    c.expires_at = word.expires_at;
    c.fresh_until = word.fresh_until;
    c.committed_at = word.committed_at;
    c.sent_at = come.sent_at;
    c.received_at = come.received_at;
    return c;
}

}  // namespace mission::receiver

namespace mission_signals {

void mission_cache::confirm(std::string_view, std::function<void(confirmation)> done) {
    done({});
}

confirmation mission_cache::confirm(std::string_view, std::chrono::milliseconds) {
    return {};
}

}  // namespace mission_signals
