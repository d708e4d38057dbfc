#include "receiver/cache/authority_table.hpp"

#include <mutex>

#include "base/json.hpp"

namespace mission::receiver {

std::shared_ptr<const ms::authority> parse_authority(std::string_view json_array,
                                                     std::int64_t version) {
    auto out = std::make_shared<ms::authority>();
    out->version = version;
    auto parsed = json::parse(json_array);
    if (parsed.has_error() || !parsed->IsArray()) return out;
    for (const auto& one : parsed->GetArray()) {
        if (!one.IsObject()) continue;
        ms::authority_entry e;
        e.type = json::find_string(one, "type").value_or("");
        e.resource = json::find_string(one, "resource").value_or("");
        if (const auto* actions = json::find(one, "actions"); actions && actions->IsArray()) {
            for (const auto& a : actions->GetArray()) {
                if (a.IsString()) e.actions.emplace_back(json::view(a));
            }
        }
        e.json = json::write(one);
        out->entries.push_back(std::move(e));
    }
    return out;
}

std::string authority_table::key(std::string_view issuer, std::string_view id) {
    std::string k;
    k.reserve(issuer.size() + id.size() + 1);
    k.append(id).append(1, ' ').append(issuer);  // an id has no space
    return k;
}

bool authority_table::put(std::string_view issuer, std::string_view id, const published& p,
                          std::shared_ptr<const ms::authority> authority) {
    auto& s = at(id);
    std::unique_lock lock(s.m);
    if (!missions_.put(issuer, id, p)) return false;
    if (authority) {
        s.of[key(issuer, id)] = std::move(authority);
    } else {
        s.of.erase(key(issuer, id));
    }
    return true;
}

std::shared_ptr<const ms::authority> authority_table::of(std::string_view issuer,
                                                         std::string_view id) const {
    const auto& s = at(id);
    std::shared_lock lock(s.m);
    const auto it = s.of.find(key(issuer, id));
    return it == s.of.end() ? nullptr : it->second;
}

std::pair<ms::answer, std::shared_ptr<const ms::authority>> authority_table::look(
    std::string_view issuer, std::string_view id, instant now) const {
    const auto& s = at(id);
    std::shared_lock lock(s.m);
    const auto it = s.of.find(key(issuer, id));
    return {missions_.check(issuer, id, now), it == s.of.end() ? nullptr : it->second};
}

}  // namespace mission::receiver
