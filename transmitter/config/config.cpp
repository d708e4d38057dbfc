#include <algorithm>

#include "base/json.hpp"
#include "transmitter/config.hpp"

namespace mission::transmitter {
namespace {

void write_list(json::writer& w, std::string_view name, const std::vector<std::string>& list) {
    json::key(w, name);
    w.StartArray();
    for (const auto& item : list)
        json::string(w, item);
    w.EndArray();
}

result<std::vector<std::string>> read_list(const json::value& v, std::string_view name) {
    std::vector<std::string> out;
    const auto* list = json::find(v, name);
    if (!list) return out;
    if (!list->IsArray()) return error{errc::invalid_argument, std::string(name) + ": no array"};
    for (const auto& item : list->GetArray()) {
        if (!item.IsString())
            return error{errc::invalid_argument, std::string(name) + ": no string"};
        out.emplace_back(json::view(item));
    }
    return out;
}

}  // namespace

std::string mission_visibility::to_json() const {
    json::buffer buffer;
    json::writer w(buffer);
    w.StartObject();
    json::member(w, "missions",
                 what == kind::all      ? "all"
                 : what == kind::listed ? "listed"
                                        : "audience");
    if (what == kind::listed) {
        write_list(w, "tenants", tenants);
        write_list(w, "agents", agents);
    }
    w.EndObject();
    return json::text(buffer);
}

result<mission_visibility> mission_visibility::from_json(std::string_view text) {
    const auto parsed = json::parse(text);
    if (!parsed) return parsed.error();
    mission_visibility out;
    const auto what = json::find_string(*parsed, "missions");
    if (!what) return error{errc::invalid_argument, "missions: missing"};
    if (*what == "all")
        out.what = kind::all;
    else if (*what == "listed")
        out.what = kind::listed;
    else if (*what != "audience")
        return error{errc::invalid_argument, "missions: unknown kind"};
    auto tenants = read_list(*parsed, "tenants");
    if (!tenants) return tenants.error();
    auto agents = read_list(*parsed, "agents");
    if (!agents) return agents.error();
    out.tenants = std::move(*tenants);
    out.agents = std::move(*agents);
    return out;
}

const client_config* config::find_client(std::string_view issuer,
                                         std::string_view id) const noexcept {
    const auto it = std::find_if(clients.begin(), clients.end(), [&](const client_config& c) {
        return c.id == id && c.issuer == issuer;
    });
    return it == clients.end() ? nullptr : &*it;
}

}  // namespace mission::transmitter
