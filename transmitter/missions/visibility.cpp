#include "transmitter/missions/visibility.hpp"

#include <algorithm>

namespace mission::transmitter {
namespace {

bool contains(const std::vector<std::string>& list, std::string_view text) {
    return std::find(list.begin(), list.end(), text) != list.end();
}

}  // namespace

bool may_know(std::string_view audience, const mission_visibility& visibility,
              const store::match_keys& keys) {
    if (visibility.what == mission_visibility::kind::all) return true;
    if (!audience.empty() &&
        std::binary_search(keys.resources.begin(), keys.resources.end(), audience))
        return true;
    if (visibility.what != mission_visibility::kind::listed) return false;
    return (keys.tenant && contains(visibility.tenants, *keys.tenant)) ||
           contains(visibility.agents, keys.agent_client_id);
}

bool may_know(const client_config& client, const store::match_keys& keys) {
    return may_know(client.audience, client.missions, keys);
}

store::match_keys keys_of(const store::mission& m) {
    store::match_keys keys;
    keys.mission_id = m.record.mission_id;
    keys.agent_client_id = m.record.agent_client_id;
    keys.agent_spiffe_id = m.record.agent_spiffe_id;
    keys.user = m.record.subject;
    keys.tenant = m.record.tenant;
    keys.resources = m.resources;
    return keys;
}

}  // namespace mission::transmitter
