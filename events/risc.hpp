// The events of RISC 1.0, typed; read and written as those of CAEP are (caep.hpp).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/time.hpp"
#include "events/caep.hpp"

namespace mission::events {
namespace risc {

// Events that say nothing beside their type and subject (RISC 1.0 section 2).
struct account_credential_change_required {};
struct account_purged {};
struct account_enabled {};
struct identifier_recycled {};
struct opt_in {};
struct opt_out_initiated {};
struct opt_out_cancelled {};
struct opt_out_effective {};
struct recovery_activated {};
struct recovery_information_changed {};
struct sessions_revoked {};  // deprecated: CAEP session-revoked has taken its place

struct account_disabled {
    std::optional<std::string> reason;  // hijacking | bulk-account
};

// The subject is an email address or a phone number, and is the old value.
struct identifier_changed {
    std::optional<std::string> new_value;  // member `new-value`
};

struct credential_compromise {
    std::string credential_type;  // one of caep::credential_types
    std::optional<wall_time> event_timestamp;
    // RISC says what they are for and not what they are: a text without language is "und".
    language_map reason_admin, reason_user;
};

}  // namespace risc

using risc_event =
    std::variant<risc::account_credential_change_required, risc::account_purged,
                 risc::account_disabled, risc::account_enabled, risc::identifier_changed,
                 risc::identifier_recycled, risc::credential_compromise, risc::opt_in,
                 risc::opt_out_initiated, risc::opt_out_cancelled, risc::opt_out_effective,
                 risc::recovery_activated, risc::recovery_information_changed,
                 risc::sessions_revoked>;

std::string to_json(const risc::account_disabled& e);
std::string to_json(const risc::identifier_changed& e);
std::string to_json(const risc::credential_compromise& e);
std::string to_json(const risc_event& e);

std::string_view type_of(const risc_event& e) noexcept;

// As parse_caep.
result<risc_event> parse_risc(std::string_view type, const json::value& body);
result<void> check_lists(const risc_event& e);

}  // namespace mission::events
