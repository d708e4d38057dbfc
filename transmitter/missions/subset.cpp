#include "transmitter/missions/subset.hpp"

#include "transmitter/missions/entries.hpp"
#include "transmitter/missions/entry_index.hpp"
#include "transmitter/missions/uri.hpp"

namespace mission::transmitter {

bool action_within(std::string_view candidate, std::string_view held) noexcept {
    if (candidate == held) return true;
    // A family is "name.*"; within it is what extends the name by at least one segment.
    if (!held.ends_with(".*") || held.size() < 3) return false;
    const auto stem = held.substr(0, held.size() - 1);  // "invoices."
    if (!candidate.starts_with(stem) || candidate.size() == stem.size()) return false;
    return candidate != held && candidate[stem.size()] != '.' && candidate != stem;
}

bool resource_within(std::string_view candidate, bool candidate_prefix, std::string_view held,
                     bool held_prefix) {
    if (!held_prefix) return !candidate_prefix && candidate == held;
    const auto c = normalize_uri(candidate);
    const auto h = normalize_uri(held);
    if (c == h) return true;
    // At a path-segment boundary: "/a" holds "/a/b", not "/ab".
    if (!c.starts_with(h)) return false;
    return h.ends_with('/') || c[h.size()] == '/';
}

std::optional<std::size_t> covering_entry(const json::value& entry, const json::value& held) {
    return entries::index(held).covering(entry);
}

result<void> check_subset(const json::value& candidate, const json::value& held) {
    if (!candidate.IsArray() || !held.IsArray())
        return error{errc::exceeds_authority, "/authorization_details: must be an array"};
    const entries::index by_resource(held);
    std::size_t number = 0;
    for (const auto& entry : candidate.GetArray()) {
        const auto place = "/authorization_details/" + std::to_string(number++);
        if (by_resource.covering(entry)) continue;
        entries::misfit closest{-1, ""};
        const auto weight = entries::weight_of(entry);
        for (std::size_t i = 0; i < held.Size(); ++i) {
            if (!by_resource.work().spend(weight * by_resource.weight(i))) break;
            auto why = entries::compare(entry, held[static_cast<unsigned>(i)]);
            if (why && why->progress > closest.progress) closest = std::move(*why);
        }
        if (by_resource.work().spent())
            return error{errc::exceeds_authority,
                         place +
                             ": overlaps more entries of the authority that bounds it than "
                             "can be compared"};
        return error{errc::exceeds_authority,
                     closest.member.empty()
                         ? place + ": lies within no entry of the authority that bounds it"
                         : place + "/" + closest.member +
                               ": exceeds the entry of the authority that comes closest"};
    }
    return {};
}

}  // namespace mission::transmitter
