#include "transmitter/api/audit_notes.hpp"

#include "base/json.hpp"
#include "transmitter/api/router.hpp"
#include "transmitter/log.hpp"

namespace mission::transmitter {

std::string audit_members(
    std::initializer_list<std::pair<std::string_view, std::string_view>> members) {
    json::buffer buffer;
    json::writer w(buffer);
    w.StartObject();
    for (const auto& [name, value] : members)
        if (!value.empty()) json::member(w, name, value);
    w.EndObject();
    return json::text(buffer);
}

store::audit_entry audit_note(store::audit_entry by, std::string action, std::string target,
                              std::string outcome, std::string detail) {
    by.action = std::move(action);
    by.target = std::move(target);
    by.outcome = std::move(outcome);
    by.detail = std::move(detail);
    return by;
}

void write_note(const issuer_service& issuer, store::audit_entry entry) {
    issuer.common->db->submit(
        [entry](const store::rows&, wall_time) -> result<store::changes> {
            store::changes out;
            out.audit.push_back(entry);
            return out;
        },
        [action = entry.action, target = entry.target](const result<store::receipt>& done) {
            if (!done)
                log(level::error, "an audit entry could not be written",
                    {{"action", action}, {"target", target}, {"why", done.error().message()}});
        });
}

void note_refusal(const issuer_service& issuer, store::audit_entry asked, const error& why) {
    const int status = http_status(why.code);
    if (status >= 500 || status == 429) return;
    asked.outcome = refused_outcome(why);
    if (asked.detail.empty()) asked.detail = audit_members({{"why", why.detail}});
    write_note(issuer, std::move(asked));
}

}  // namespace mission::transmitter
