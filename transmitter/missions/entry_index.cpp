#include "transmitter/missions/entry_index.hpp"

#include <algorithm>

#include "base/limits.hpp"
#include "transmitter/missions/entries.hpp"
#include "transmitter/missions/uri.hpp"

namespace mission::transmitter::entries {
namespace {

// "/a" holds "/a" and "/a/b", not "/ab" (subset.hpp, resource_within).
bool holds(std::string_view prefix, std::string_view normal) {
    return normal.starts_with(prefix) && (normal.size() == prefix.size() || prefix.ends_with('/') ||
                                          normal[prefix.size()] == '/');
}

// What comparing two entries costs beside their values: their resources are normalised.
constexpr std::size_t pair_cost = 200;

// What finding out costs that two values are the same: members are looked for one by one.
std::size_t sameness_of(const json::value& v) {
    std::size_t n = 1;
    if (v.IsArray())
        for (const auto& item : v.GetArray())
            n += sameness_of(item);
    if (v.IsObject()) {
        n += std::size_t{v.MemberCount()} * v.MemberCount();
        for (const auto& m : v.GetObject())
            n += sameness_of(m.value);
    }
    return n;
}

}  // namespace

effort::effort() : left_(limits::comparison_effort) {}

bool effort::spend(std::size_t pairs) noexcept {
    if (left_ >= 0) left_ -= static_cast<std::int64_t>(pairs);
    return left_ >= 0;
}

std::size_t weight_of(const json::value& v) noexcept {
    std::size_t n = 1;
    if (v.IsArray())
        for (const auto& item : v.GetArray())
            n += weight_of(item);
    if (v.IsObject())
        for (const auto& m : v.GetObject())
            n += weight_of(m.value);
    return n;
}

index::index(const json::value& set, effort* shared) : set_(set), shared_(shared) {
    if (!set.IsArray()) return;
    normal_.resize(set.Size());
    for (std::uint32_t i = 0; i < set.Size(); ++i) {
        const auto& entry = set[i];
        weights_.push_back(weight_of(entry));
        if (!entry.IsObject()) continue;
        if (!is_resource_access(entry)) {
            by_type_[text_of(entry, "type")].push_back(i);
            continue;
        }
        const auto resource = text_of(entry, "resource");
        normal_[i] = normalize_uri(resource);
        // A resource_match that the rule does not know covers its equal alone.
        if (is_prefix(entry) == true)
            prefixes_[normal_[i]].push_back(i);
        else
            exact_[resource].push_back(i);
    }
}

void index::append(places& out, const places* more) {
    if (more) out.insert(out.end(), more->begin(), more->end());
}

void index::append_prefixes(places& out, const std::string& normal) const {
    if (prefixes_.empty()) return;
    const auto take = [&](std::string_view prefix) {
        const auto it = prefixes_.find(std::string(prefix));
        if (it != prefixes_.end()) append(out, &it->second);
    };
    take(normal);
    for (std::size_t at = normal.find('/'); at != std::string::npos;
         at = normal.find('/', at + 1)) {
        const auto whole = std::string_view(normal);
        take(whole.substr(0, at));
        if (at + 1 < normal.size()) take(whole.substr(0, at + 1));
    }
}

index::places index::may_cover(const json::value& entry) const {
    places out;
    if (!is_resource_access(entry)) {
        const auto it = by_type_.find(text_of(entry, "type"));
        if (it != by_type_.end()) append(out, &it->second);
        return out;
    }
    const auto resource = text_of(entry, "resource");
    const auto it = exact_.find(resource);
    if (it != exact_.end()) append(out, &it->second);
    append_prefixes(out, normalize_uri(resource));
    std::sort(out.begin(), out.end());
    return out;
}

std::optional<std::size_t> index::covering(const json::value& entry) const {
    if (!entry.IsObject()) return std::nullopt;
    const auto weight = weight_of(entry);
    const auto same = sameness_of(entry);
    for (const auto i : may_cover(entry)) {
        // The same is cheap to see; whatever else is compared, it is no more than each with each.
        if (!work().spend(same)) return std::nullopt;
        if (entry == set_[i]) return i;
        if (!work().spend(pair_cost + weight * weights_[i])) return std::nullopt;
        if (within(entry, set_[i])) return i;
    }
    return std::nullopt;
}

std::vector<std::uint32_t> index::related(const json::value& entry) const {
    if (is_prefix(entry) != true) return may_cover(entry);
    places out;
    const auto normal = normalize_uri(text_of(entry, "resource"));
    for (std::uint32_t i = 0; i < normal_.size(); ++i)
        if (!normal_[i].empty() && (holds(normal, normal_[i]) || holds(normal_[i], normal)))
            out.push_back(i);
    return out;
}

}  // namespace mission::transmitter::entries
