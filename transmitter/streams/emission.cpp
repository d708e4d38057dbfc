#include "transmitter/streams/emission.hpp"

#include <algorithm>

#include "base/limits.hpp"
#include "events/catalog.hpp"
#include "events/mission_event.hpp"
#include "events/subject.hpp"

namespace mission::transmitter {

namespace {

error invalid(std::string what) {
    return {errc::invalid_request, std::move(what)};
}

bool ours(std::string_view type, std::string_view base) {
    return (!base.empty() && type.starts_with(base)) || type.starts_with(events::event_type_base) ||
           type == events::lifecycle_change_type;
}

// A language map with something in it (CAEP 1.0 section 2).
bool says_why(const json::value& event) {
    const json::value* reason = json::find(event, "reason_admin");
    if (reason == nullptr || !reason->IsObject()) return false;
    return std::any_of(reason->MemberBegin(), reason->MemberEnd(), [](const auto& m) {
        return m.value.IsString() && m.value.GetStringLength() > 0;
    });
}

// Profile sections 3.1 and 3.2, beyond CAEP itself.
result<void> check_reason(const events::event_kind& kind, const json::value& event) {
    const bool caep = kind.family == events::event_family::caep;
    if (caep && (kind.name == "session-revoked" || kind.name == "credential-change") &&
        !says_why(event))
        return invalid("event.reason_admin is required and must not be empty");
    return {};
}

result<void> check_event(std::string_view type, const json::value& event,
                         const events::subject& subject, const emission_rules& rules) {
    if (const auto* kind = events::find_event_kind(type)) {
        if (kind->family == events::event_family::ssf ||
            kind->family == events::event_family::mission)
            return invalid("type: this event is the transmitter's own");
        if (auto ok = schemas::validate(kind->schema, event); !ok)
            return error{ok.error().code, "event" + ok.error().detail};
        if (auto ok = events::check_event(*kind, subject, event); !ok)
            return error{ok.error().code, "event: " + ok.error().detail};
        return check_reason(*kind, event);
    }
    if (ours(type, rules.event_type_base))
        return invalid("type: this event is the transmitter's own");
    const auto it = std::find_if(rules.foreign.begin(), rules.foreign.end(),
                                 [&](const foreign_event& f) { return f.type == type; });
    if (it == rules.foreign.end()) return invalid("type: neither CAEP, RISC nor configured");
    if (auto ok = it->schema.validate(event); !ok)
        return error{ok.error().code, "event" + ok.error().detail};
    return {};
}

// The event as it will be sent.
std::string completed(std::string_view type, const json::value& event, wall_time now) {
    const auto* kind = events::find_event_kind(type);
    const bool add = kind != nullptr && kind->family == events::event_family::caep &&
                     json::find(event, "event_timestamp") == nullptr;
    if (!add) return json::write(event);
    json::buffer text;
    json::writer w(text);
    w.StartObject();
    for (const auto& m : event.GetObject()) {
        json::key(w, json::view(m.name));
        m.value.Accept(w);
    }
    json::key(w, "event_timestamp");
    w.Int64(to_numeric_date(now));
    w.EndObject();
    return json::text(text);
}

result<std::optional<std::vector<std::string>>> read_audience(const json::value& body,
                                                              const emission_rules& rules) {
    using audience = std::optional<std::vector<std::string>>;
    const json::value* given = json::find(body, "audience");
    if (given == nullptr) return invalid("audience is required: client ids, or \"all\"");
    if (given->IsString() && json::view(*given) == "all") {
        if (rules.emitter.signals_to != "all")
            return error{errc::forbidden, "this client may not address everybody"};
        return audience{};
    }
    if (!given->IsArray() || given->Empty())
        return invalid("audience must be a list of client ids, or \"all\"");
    if (given->Size() > limits::emission_audience) return invalid("audience has too many entries");
    std::vector<std::string> out;
    for (const auto& id : given->GetArray()) {
        if (!id.IsString()) return invalid("audience must be a list of client ids, or \"all\"");
        std::string name(json::view(id));
        if (!rules.is_client(name)) return invalid("audience names no client: " + name);
        out.push_back(std::move(name));
    }
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return audience(std::move(out));
}

}  // namespace

result<std::vector<foreign_event>> compile_foreign(const std::vector<foreign_event_config>& list) {
    std::vector<foreign_event> out;
    for (const auto& one : list) {
        auto schema = schemas::compiled::from(one.schema_json);
        if (!schema)
            return error{errc::bad_configuration,
                         "foreign_event " + one.type + ": " + schema.error().message()};
        out.push_back({one.type, std::move(*schema)});
    }
    return out;
}

result<emission> parse_emission(const json::value& body, const emission_rules& rules) {
    if (!body.IsObject()) return invalid("the body must be an object");
    emission out;
    const auto type = json::find_string(body, "type");
    if (!type) return invalid("type is required: the event's URI");
    out.type = *type;
    const json::value* given = json::find(body, "subject");
    if (given == nullptr) return invalid("subject is required");
    const auto subject = events::parse_subject(*given);
    if (!subject) return subject.error();
    out.subject = events::to_json(*subject);
    if (out.subject.size() > limits::subject_bytes) return invalid("subject is too long");
    const json::value* event = json::find(body, "event");
    if (event == nullptr || !event->IsObject()) return invalid("event must be an object");
    if (const json::value* txn = json::find(body, "txn"); txn != nullptr) {
        if (!txn->IsString() || txn->GetStringLength() == 0 ||
            txn->GetStringLength() > limits::txn_bytes)
            return invalid("txn must be a string of 1 to 255 characters");
        out.txn = json::view(*txn);
    }
    if (auto ok = check_event(out.type, *event, *subject, rules); !ok) return ok.error();
    // SSF 1.0 section 3.1.1: where CAEP and RISC events carry a subject of their own, it is this.
    const json::value* inner = json::find(*event, "subject");
    if (inner != nullptr && events::find_event_kind(out.type) != nullptr) {
        const auto same = events::parse_subject(*inner);
        if (!same || *same != *subject) return invalid("event.subject differs from subject");
    }
    out.event = completed(out.type, *event, rules.now);
    if (out.event.size() > limits::emitted_event_bytes) return invalid("event is too long");
    auto audience = read_audience(body, rules);
    if (!audience) return audience.error();
    out.audience = std::move(*audience);
    return out;
}

}  // namespace mission::transmitter
