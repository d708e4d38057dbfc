#include "events/risc.hpp"

#include <algorithm>

#include "events/detail/event_reader.hpp"
#include "events/detail/event_writer.hpp"

namespace mission::events {
namespace {

using detail::event_reader;
using detail::event_writer;

template <class Event>
void read(event_reader&, Event&) {}
void read(event_reader& r, risc::account_disabled& e) {
    e.reason = r.optional_text("reason");
}
void read(event_reader& r, risc::identifier_changed& e) {
    e.new_value = r.optional_text("new-value");
}
void read(event_reader& r, risc::credential_compromise& e) {
    e.credential_type = r.text("credential_type");
    e.event_timestamp = r.numeric_date("event_timestamp");
    e.reason_admin = r.text_or_languages("reason_admin");
    e.reason_user = r.text_or_languages("reason_user");
}

template <class Event>
result<risc_event> parsed(const json::value& body) {
    if (!body.IsObject()) return detail::bad_claim("events", "has an event that is no object");
    event_reader r(body);
    Event e;
    read(r, e);
    if (r.fault()) return *r.fault();
    return risc_event(std::move(e));
}

struct entry {
    std::string_view type;
    result<risc_event> (*parse)(const json::value&);
};
// In the order of the variant's alternatives.
constexpr entry entries[] = {
    {"https://schemas.openid.net/secevent/risc/event-type/account-credential-change-required",
     parsed<risc::account_credential_change_required>},
    {"https://schemas.openid.net/secevent/risc/event-type/account-purged",
     parsed<risc::account_purged>},
    {"https://schemas.openid.net/secevent/risc/event-type/account-disabled",
     parsed<risc::account_disabled>},
    {"https://schemas.openid.net/secevent/risc/event-type/account-enabled",
     parsed<risc::account_enabled>},
    {"https://schemas.openid.net/secevent/risc/event-type/identifier-changed",
     parsed<risc::identifier_changed>},
    {"https://schemas.openid.net/secevent/risc/event-type/identifier-recycled",
     parsed<risc::identifier_recycled>},
    {"https://schemas.openid.net/secevent/risc/event-type/credential-compromise",
     parsed<risc::credential_compromise>},
    {"https://schemas.openid.net/secevent/risc/event-type/opt-in", parsed<risc::opt_in>},
    {"https://schemas.openid.net/secevent/risc/event-type/opt-out-initiated",
     parsed<risc::opt_out_initiated>},
    {"https://schemas.openid.net/secevent/risc/event-type/opt-out-cancelled",
     parsed<risc::opt_out_cancelled>},
    {"https://schemas.openid.net/secevent/risc/event-type/opt-out-effective",
     parsed<risc::opt_out_effective>},
    {"https://schemas.openid.net/secevent/risc/event-type/recovery-activated",
     parsed<risc::recovery_activated>},
    {"https://schemas.openid.net/secevent/risc/event-type/recovery-information-changed",
     parsed<risc::recovery_information_changed>},
    {"https://schemas.openid.net/secevent/risc/event-type/sessions-revoked",
     parsed<risc::sessions_revoked>},
};
static_assert(std::size(entries) == std::variant_size_v<risc_event>);

template <class Event>
std::string printed(const Event&) {
    return "{}";
}
std::string printed(const risc::account_disabled& e) {
    return to_json(e);
}
std::string printed(const risc::identifier_changed& e) {
    return to_json(e);
}
std::string printed(const risc::credential_compromise& e) {
    return to_json(e);
}

}  // namespace

std::string to_json(const risc::account_disabled& e) {
    event_writer w;
    w.text("reason", e.reason);
    return w.finish();
}
std::string to_json(const risc::identifier_changed& e) {
    event_writer w;
    w.text("new-value", e.new_value);
    return w.finish();
}
std::string to_json(const risc::credential_compromise& e) {
    event_writer w;
    w.text("credential_type", e.credential_type);
    w.time("event_timestamp", e.event_timestamp);
    w.languages("reason_admin", e.reason_admin);
    w.languages("reason_user", e.reason_user);
    return w.finish();
}

std::string to_json(const risc_event& e) {
    return std::visit([](const auto& one) { return printed(one); }, e);
}

std::string_view type_of(const risc_event& e) noexcept {
    return entries[e.index()].type;
}

result<risc_event> parse_risc(std::string_view type, const json::value& body) {
    for (const entry& one : entries)
        if (one.type == type) return one.parse(body);
    return error{errc::not_found, "the type is none of RISC's"};
}

result<void> check_lists(const risc_event& e) {
    // RISC 1.0 section 2.3: the possible values.
    if (const auto* disabled = std::get_if<risc::account_disabled>(&e);
        disabled && disabled->reason && *disabled->reason != "hijacking" &&
        *disabled->reason != "bulk-account")
        return error{errc::invalid_request, "\"reason\" must be one of: hijacking, bulk-account"};
    // RISC 1.0 section 2.7: one of those that CAEP lists.
    if (const auto* found = std::get_if<risc::credential_compromise>(&e);
        found && std::find(std::begin(caep::credential_types), std::end(caep::credential_types),
                           found->credential_type) == std::end(caep::credential_types))
        return error{errc::invalid_request,
                     "\"credential_type\" is none of those that CAEP credential-change lists"};
    return {};
}

}  // namespace mission::events
