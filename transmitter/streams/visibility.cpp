#include "transmitter/streams/visibility.hpp"

#include <algorithm>

#include "base/json.hpp"

namespace mission::transmitter {

std::string stream_visibility::to_json() const {
    json::buffer out;
    json::writer w(out);
    w.StartObject();
    json::key(w, "missions");
    json::raw(w, missions.to_json());
    const auto flag = [&](std::string_view name, bool on) {
        json::key(w, name);
        w.Bool(on);
    };
    flag("user", user);
    flag("tenant", tenant);
    flag("reason", reason);
    flag("authority_changed", authority_changed);
    if (!caep_bridge.empty()) json::member(w, "caep_bridge", caep_bridge);
    w.EndObject();
    return json::text(out);
}

result<stream_visibility> stream_visibility::from_json(std::string_view text) {
    const auto parsed = json::parse(text);
    if (!parsed) return error{errc::bad_configuration, "epoch visibility: not JSON"};
    const json::value& v = *parsed;
    const json::value* missions = json::find(v, "missions");
    if (missions == nullptr) {
        return error{errc::bad_configuration, "epoch visibility: missions is missing"};
    }
    auto which = mission_visibility::from_json(json::write(*missions));
    if (!which) return which.error();
    stream_visibility out;
    out.missions = std::move(*which);
    out.user = json::find_bool(v, "user").value_or(false);
    out.tenant = json::find_bool(v, "tenant").value_or(false);
    out.reason = json::find_bool(v, "reason").value_or(false);
    out.authority_changed = json::find_bool(v, "authority_changed").value_or(false);
    out.caep_bridge = json::find_string(v, "caep_bridge").value_or("");
    return out;
}

stream_visibility visibility_of(const client_config& client,
                                const std::vector<std::string>& capabilities) {
    const auto has = [](const std::vector<std::string>& list, std::string_view what) {
        return std::find(list.begin(), list.end(), what) != list.end();
    };
    stream_visibility out;
    out.missions = client.missions;
    out.user = has(client.disclose, "user");
    out.tenant = has(client.disclose, "tenant");
    out.reason = has(client.disclose, "reason");
    out.authority_changed = has(capabilities, "authority_changed");
    out.caep_bridge = client.caep_bridge;
    return out;
}

}  // namespace mission::transmitter
