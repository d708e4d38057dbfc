#include "transmitter/missions/authorization_types.hpp"

#include <algorithm>
#include <map>

#include "base/limits.hpp"
#include "transmitter/missions/entries.hpp"
#include "transmitter/missions/subset.hpp"

namespace mission::transmitter {
namespace {

error invalid(std::string what) {
    return {errc::invalid_request, std::move(what)};
}

// Levels of objects and arrays.
std::size_t depth_of(const json::value& v) {
    std::size_t below = 0;
    if (v.IsArray())
        for (const auto& item : v.GetArray())
            below = std::max(below, depth_of(item));
    if (v.IsObject())
        for (const auto& m : v.GetObject())
            below = std::max(below, depth_of(m.value));
    return v.IsArray() || v.IsObject() ? below + 1 : 0;
}

// "[A-Za-z0-9_.:-]+", or that and ".*": the pattern of an action or a family of actions.
bool is_action(std::string_view text) {
    if (text.ends_with(".*")) text.remove_suffix(2);
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '.' || c == ':' || c == '-';
    });
}

result<void> check_resource_access(const json::value& entry, const std::string& at) {
    const auto resource = json::find_string(entry, "resource");
    if (!resource || resource->empty()) return invalid(at + "/resource: must be a string");
    const auto prefix = entries::is_prefix(entry);
    if (!prefix) return invalid(at + "/resource_match: must be exact or prefix");
    // A prefix has no query and no fragment.
    if (*prefix && resource->find_first_of("?#") != std::string_view::npos)
        return invalid(at + "/resource: a prefix has neither query nor fragment");
    const auto* actions = json::find(entry, "actions");
    if (!actions || !actions->IsArray() || actions->Empty())
        return invalid(at + "/actions: must be an array of strings that is not empty");
    std::size_t index = 0;
    for (const auto& action : actions->GetArray()) {
        const auto place = at + "/actions/" + std::to_string(index++);
        if (!action.IsString() || !is_action(json::view(action)))
            return invalid(place + ": no action and no family of actions");
    }
    const auto* constraints = json::find(entry, "constraints");
    if (!constraints) return {};
    if (!constraints->IsObject()) return invalid(at + "/constraints: must be an object");
    for (const auto& m : constraints->GetObject()) {
        const auto key = json::view(m.name);
        if (auto ok = check_constraint(key, m.value); !ok)
            return invalid(at + "/constraints/" + std::string(key) + ": " + ok.error().detail);
    }
    return {};
}

}  // namespace

result<authorization_types> authorization_types::from(const config& settings) {
    authorization_types out;
    out.accept_unknown_ = settings.missions.accept_unknown_types;
    for (const auto& one : settings.authorization_types) {
        auto schema = schemas::compiled::from(one.schema_json);
        if (!schema)
            return error{errc::bad_configuration,
                         "authorization_type " + one.type + ": " + schema.error().message()};
        out.known_.push_back({one.type, std::move(*schema)});
    }
    return out;
}

authorization_types authorization_types::any() {
    authorization_types out;
    out.accept_unknown_ = true;
    return out;
}

result<void> authorization_types::check(const json::value& set) const {
    if (!set.IsArray()) return invalid("/authorization_details: must be an array");
    std::size_t index = 0;
    std::map<std::pair<std::string_view, std::string_view>, std::size_t> of_one;
    for (const auto& entry : set.GetArray()) {
        const auto at = "/authorization_details/" + std::to_string(index++);
        if (!entry.IsObject()) return invalid(at + ": must be an object");
        if (depth_of(entry) > limits::authorization_details_depth)
            return invalid(at + ": nested too deep");
        const auto type = json::find_string(entry, "type");
        if (!type) return invalid(at + "/type: required");
        if (++of_one[{*type, entries::text_of(entry, "resource")}] > limits::entries_per_resource)
            return invalid(at + ": too many entries of one resource");
        if (*type == entries::resource_access) {
            if (auto ok = check_resource_access(entry, at); !ok) return ok.error();
            continue;
        }
        const auto it = std::find_if(known_.begin(), known_.end(),
                                     [&](const known& k) { return k.type == *type; });
        // RFC 9396 section 5: what is not understood is refused, not carried along.
        if (it == known_.end()) {
            if (accept_unknown_) continue;
            return invalid(at + "/type: is no type of authorization_details that is known here");
        }
        if (auto ok = it->schema.validate(entry); !ok) {
            const auto& why = ok.error().detail;  // "/member: keyword", or "/: keyword"
            return invalid(at + (why.starts_with("/:") ? why.substr(1) : why));
        }
    }
    if (json::write(set).size() > limits::authorization_details_bytes)
        return invalid("/authorization_details: too large");
    return {};
}

}  // namespace mission::transmitter
