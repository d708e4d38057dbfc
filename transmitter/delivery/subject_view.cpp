#include "transmitter/delivery/subject_view.hpp"

#include <cstring>

#include "jose/digest.hpp"

namespace mission::transmitter {

subject_key subject_hasher::of_text(std::string_view canonical) const {
    std::string text;
    text.reserve(secret_.size() + canonical.size());
    text.append(secret_).append(canonical);
    const auto digest = jose::sha256(text);
    subject_key out;
    std::memcpy(&out.high, digest.data(), sizeof out.high);
    std::memcpy(&out.low, digest.data() + sizeof out.high, sizeof out.low);
    return out;
}

subject_key subject_hasher::of(const events::subject& simple) const {
    return of_text(events::canonical_key(simple));
}

std::uint64_t subject_hasher::of_name(std::string_view member) const {
    // No canonical key begins like this: they are JSON objects.
    const std::uint64_t h = of_text("member " + std::string(member)).high;
    return h == 0 ? 1 : h;
}

signal_subjects subjects_of(const store::match_keys& keys, std::string_view issuer_url,
                            const subject_hasher& hash) {
    using needs = subject_facet::needs;
    signal_subjects out;
    const auto add = [&](const events::subject& s, std::string_view member, needs what) {
        out.facets.push_back({hash.of(s), hash.of_name(member), what});
    };
    const auto mission = events::subject::opaque(keys.mission_id);
    add(mission, "mission", needs::nothing);
    // The CAEP bridge names the mission so.
    out.facets.push_back({out.facets.front().key, hash.of_name("session"), needs::bridge});
    if (!keys.agent_client_id.empty()) {
        add(events::subject::iss_sub(std::string(issuer_url), keys.agent_client_id), "application",
            needs::nothing);
    }
    if (keys.agent_spiffe_id && !keys.agent_spiffe_id->empty()) {
        add(events::subject::uri(*keys.agent_spiffe_id), "application", needs::nothing);
    }
    if (keys.user && !keys.user->sub.empty()) {
        add(events::subject::iss_sub(keys.user->iss, keys.user->sub), "user", needs::user);
    }
    if (keys.tenant && !keys.tenant->empty()) {
        add(events::subject::opaque(*keys.tenant), "tenant", needs::tenant);
    }
    return out;
}

signal_subjects subjects_of(const events::subject& s, const subject_hasher& hash) {
    signal_subjects out;
    const auto add = [&](const events::subject& one, std::uint64_t member) {
        // RFC 9493 section 3.2.8: any of its identifiers names the subject.
        if (one.format == "aliases") {
            for (const auto& name : one.identifiers)
                out.facets.push_back({hash.of(name), member, subject_facet::needs::nothing});
        } else {
            out.facets.push_back({hash.of(one), member, subject_facet::needs::nothing});
        }
    };
    out.simple_only = !s.is_complex();
    if (out.simple_only) {
        add(s, 0);
    } else {
        for (const auto& [name, member] : s.complex)
            add(member, hash.of_name(name));
    }
    return out;
}

}  // namespace mission::transmitter
