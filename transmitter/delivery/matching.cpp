#include "transmitter/delivery/matching.hpp"

#include <algorithm>

#include "transmitter/delivery/bridge.hpp"
#include "transmitter/missions/visibility.hpp"

namespace mission::transmitter {

match match_signal(const routed_signal& signal, const stream_terms& terms, bool subject_of_interest,
                   std::string_view event_type_base) {
    match out;
    if (!subject_of_interest) return out;
    const auto& delivered = terms.epoch.events_delivered;
    const auto wants = [&](std::string_view type) {
        return std::find(delivered.begin(), delivered.end(), type) != delivered.end();
    };
    if (signal.is_event()) {
        const auto& clients = signal.emitted.audience;
        const bool spoken_to = !clients || std::find(clients->begin(), clients->end(),
                                                     terms.client_id) != clients->end();
        if (spoken_to && wants(signal.emitted.type)) {
            out.forms.push_back({{}, signal.emitted.type, set_shape::emitted});
        }
        return out;
    }
    // Whatever default_subjects says, nobody is sent what it may not know (wire.md section 3).
    if (!may_know(terms.epoch.aud, terms.visibility.missions, signal.row->keys)) return out;

    std::string ours = events::event_type(signal.change, events::form::ours, event_type_base);
    if (wants(ours)) out.forms.push_back({events::form::ours, std::move(ours), {}});

    if (wants(events::lifecycle_change_type)) {
        // In this form nothing but the member `authority_changed` tells such a change, and a stream
        // that has not declared to understand it would take the SET for news of no consequence; a
        // resumption that a mirror is told of together with another authority, for more than
        // there is. What denies is sent to everybody.
        const bool tells_nothing_else =
            signal.change.authority_changed &&
            (events::event_name(signal.change) == "mission-scope-changed" ||
             signal.change.state == events::name(events::mission_state::active));
        if (!tells_nothing_else || terms.visibility.authority_changed) {
            out.forms.push_back(
                {events::form::lifecycle_change, std::string(events::lifecycle_change_type), {}});
        } else if (out.forms.empty()) {
            out.withheld = true;
        }
    }
    if (bridged(signal.change, terms.visibility) && wants(session_revoked_type)) {
        out.forms.push_back({{}, std::string(session_revoked_type), set_shape::bridge});
    }
    return out;
}

}  // namespace mission::transmitter
