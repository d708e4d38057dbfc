// OpenID AuthZEN Authorization API 1.0: the Access Evaluation API and the Access Evaluations API
// (boxcarring), and the metadata of a policy decision point. Pure.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "receiver/sidecar/decision.hpp"
#include "receiver/sidecar/settings.hpp"

namespace mission::receiver::sidecar::authzen {

// One evaluation, its defaults filled in.
struct evaluation {
    std::string problem;  // not empty: what is wrong with this one; the others are answered
    std::string subject_type, subject_id, action, resource_type, resource_id;
    // The mission: subject {"type":"mission","id"}, subject.properties.mission_id,
    // context.mission_id, context.mission.id; each id once.
    std::vector<std::string> missions;
    bool malformed_reference = false;
};

enum class semantic : std::uint8_t { execute_all, deny_on_first_deny, permit_on_first_permit };

struct request {
    std::vector<evaluation> all;
    bool batch = false;  // `evaluations` was there, and not empty
    semantic how = semantic::execute_all;
};

// invalid_request with a sentence: what concerns the whole payload (400).
result<request> parse(std::string_view body, bool batch_allowed);

// {"decision":..} or {"evaluations":[..]}; `one` is asked in order, as far as the semantic goes.
std::string answer(const request& r, const std::function<decision(const evaluation&)>& one);

// The decision of one evaluation, `missions` asked as the settings have it.
decision decide(const evaluation& e, const ms::mission_cache& missions, const settings& s);

// The document at /.well-known/authzen-configuration.
std::string metadata(std::string_view public_url);

}  // namespace mission::receiver::sidecar::authzen
