#include "transmitter/delivery/emitted.hpp"

#include "base/json.hpp"

namespace mission::transmitter {

namespace {

error corrupt(std::string_view what) {
    return {errc::store_corrupt, "emitted event: " + std::string(what)};
}

}  // namespace

std::string to_record(const emitted_event& e) {
    json::buffer out;
    json::writer w(out);
    w.StartObject();
    json::member(w, "type", e.type);
    json::member(w, "subject", e.subject);
    json::member(w, "event", e.event);
    json::member(w, "signal_id", e.signal_id);
    json::member(w, "emitted_by", e.emitted_by);
    if (e.audience) {
        json::key(w, "audience");
        w.StartArray();
        for (const auto& client : *e.audience)
            json::string(w, client);
        w.EndArray();
    }
    w.EndObject();
    return json::text(out);
}

result<emitted_event> from_record_event(std::string_view text) {
    // Twice the limit: the two texts inside are escaped once more.
    const auto parsed = json::parse(text, 2 * limits::json_bytes);
    if (!parsed) return corrupt(parsed.error().message());
    emitted_event out;
    const auto read = [&](std::string_view name, std::string& into) {
        const auto found = json::find_string(*parsed, name);
        if (found) into = *found;
        return found.has_value();
    };
    if (!read("type", out.type)) return corrupt("no type");
    if (!read("subject", out.subject)) return corrupt("no subject");
    if (!read("event", out.event)) return corrupt("no event");
    read("signal_id", out.signal_id);
    read("emitted_by", out.emitted_by);
    if (const auto* audience = json::find(*parsed, "audience")) {
        if (!audience->IsArray()) return corrupt("audience is no array");
        out.audience.emplace();
        for (const auto& one : audience->GetArray()) {
            if (!one.IsString()) return corrupt("audience holds something other than client ids");
            out.audience->emplace_back(json::view(one));
        }
    }
    return out;
}

}  // namespace mission::transmitter
