#include "receiver/teardown/plan.hpp"

#include <algorithm>

#include "jose/base64url.hpp"
#include "jose/digest.hpp"

namespace mission::receiver {

std::string idempotency_key(const std::string& handler, ms::effect why, const mission_key& mission,
                            std::int64_t version, const std::string& name) {
    std::string text;
    // Length before each part: no two different tasks give one text.
    const auto version_text = std::to_string(version);
    for (std::string_view part :
         {std::string_view(handler), ms::name(why), std::string_view(mission.issuer),
          std::string_view(mission.id), std::string_view(version_text), std::string_view(name)}) {
        text += std::to_string(part.size());
        text += ':';
        text += part;
    }
    const auto digest = jose::sha256(text);
    return jose::base64url_encode(jose::view(digest).substr(0, 18));
}

std::vector<task_record> plan_tasks(const std::vector<ms::handler_options>& handlers,
                                    const std::vector<hold_record>& holds, ms::effect why,
                                    const mission_key& mission, std::int64_t version,
                                    wall_time now) {
    std::vector<task_record> out;
    for (const auto& h : handlers) {
        if (std::find(h.on.begin(), h.on.end(), why) == h.on.end()) continue;
        auto make = [&](const std::string& name, const std::string& data) {
            task_record t;
            t.key = idempotency_key(h.name, why, mission, version, name);
            t.handler = h.name;
            t.why = why;
            t.mission = mission;
            t.version = version;
            t.name = name;
            t.data = data;
            t.created = t.updated = now;
            t.durable = is_durable(why);
            out.push_back(std::move(t));
        };
        if (!h.per_hold) {
            make({}, {});
            continue;
        }
        for (const auto& held : holds)
            make(held.name, held.data);
    }
    return out;
}

bool supersedes(const task_record& newer, const task_record& older) noexcept {
    if (!older.open() || is_terminal(older.why)) return false;
    if (is_terminal(newer.why)) return true;
    const auto pauses = [](ms::effect e) {
        return e == ms::effect::suspended || e == ms::effect::resumed;
    };
    const auto freshness = [](ms::effect e) { return !is_durable(e); };
    if (pauses(newer.why) && pauses(older.why)) return newer.version >= older.version;
    if (freshness(newer.why) && freshness(older.why)) return true;
    // Held by the mission's own state from here on: whether we are fresh no longer matters.
    if (newer.why == ms::effect::suspended && freshness(older.why)) return true;
    return newer.why == ms::effect::scope_changed && older.why == ms::effect::scope_changed &&
           newer.version >= older.version;
}

bool forbids(const task_record& existing, const task_record& newer) noexcept {
    return is_terminal(existing.why) && !existing.cancelled && !is_terminal(newer.why);
}

std::chrono::milliseconds retry_delay(const ms::handler_options& h, unsigned attempts,
                                      random_source& random) {
    auto d = std::max(h.retry_first, std::chrono::milliseconds(1));
    for (unsigned n = 1; n < attempts && d < h.retry_max; ++n)
        d *= 2;
    d = std::min(d, std::max(h.retry_max, std::chrono::milliseconds(1)));
    const auto half = static_cast<std::uint64_t>(d.count() / 2);
    return d - std::chrono::milliseconds(random.below(half + 1));
}

}  // namespace mission::receiver
