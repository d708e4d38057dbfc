#include "transmitter/delivery/notices.hpp"

#include <algorithm>
#include <optional>

#include "base/json.hpp"
#include "events/mission_event.hpp"
#include "events/set.hpp"
#include "transmitter/streams/extra.hpp"

namespace mission::transmitter {

namespace {

events::stream_updated read(const stream_special& e) {
    events::stream_updated out;
    if (const auto text = json::parse(e.event)) {
        if (auto parsed = events::parse_stream_updated(*text)) out = std::move(*parsed);
    }
    return out;
}

bool of_loss(const events::stream_updated& told) {
    return told.reason && told.reason->find(loss_reason) != std::string::npos;
}

bool of_change(const events::stream_updated& told) {
    return told.reason && told.reason->starts_with(changed_reason);
}

}  // namespace

bool paused_by_us(const store::stream& s) {
    return !extra_string(s.extra, "paused_by").empty();
}

stream_special special_of(const store::stream_event& row) {
    stream_special out;
    out.what = row.type == events::stream_updated_type ? stream_special::kind::stream_updated
                                                       : stream_special::kind::verification;
    out.jti = row.jti;
    out.type = row.type;
    out.event = row.event;
    out.after_seq = row.after_seq;
    out.created_at = row.created_at;
    out.stored = true;
    return out;
}

void review_notices(delivery_state& s, store::stream_status status, bool paused_by_us) {
    const bool enabled = status == store::stream_status::enabled;
    const std::string_view name = store::name(status);
    std::erase_if(s.specials, [&](stream_special& e) {
        if (e.what != stream_special::kind::stream_updated) return false;
        auto told = read(e);
        const bool of_status = !of_loss(told) && !of_change(told);
        e.tells_status = !enabled && paused_by_us && told.status == name && of_status;
        if (!enabled || told.status == name || e.in_flight) return false;
        if (of_status) {
            if (e.stored) s.effects.settled_events.push_back(e.jti);
            return true;
        }
        // What has left once stays as it was under its jti.
        if (!e.offered) {
            told.status = name;
            e.event = events::to_json(told);
        }
        return false;
    });
}

bool tells_loss(const delivery_state& s) {
    return std::any_of(s.specials.begin(), s.specials.end(), [](const stream_special& e) {
        return e.what == stream_special::kind::stream_updated && !e.offered && of_loss(read(e));
    });
}

}  // namespace mission::transmitter
