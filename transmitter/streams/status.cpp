#include "transmitter/streams/status.hpp"

#include <algorithm>

#include "base/limits.hpp"
#include "events/set.hpp"
#include "transmitter/streams/extra.hpp"

namespace mission::transmitter {

namespace {

using status = store::stream_status;

error invalid(std::string what) {
    return {errc::invalid_request, std::move(what)};
}

store::stream_event stream_updated(const store::stream& s, std::string_view jti,
                                   const std::string& reason, wall_time now) {
    store::stream_event e;
    e.stream = s.row;
    e.jti = jti;
    e.type = events::stream_updated_type;
    events::stream_updated body;
    body.status = store::name(s.status);
    if (!reason.empty()) body.reason = reason;
    e.event = events::to_json(body);
    e.created_at = now;
    return e;
}

// Leaving `disabled`: from here on, nothing of before. True when something was or may have been
// dropped meanwhile.
bool move_to_head(const store::rows& rows, store::stream& s, store::changes& changes,
                  stream_outcome& out) {
    const auto head = rows.head();
    store::cursor c;
    c.stream = s.row;
    c.acked_seq = head;
    c.open = false;
    changes.cursors.push_back(c);
    out.cursor = std::move(c);
    for (const auto& e : rows.exceptions(s.row))
        if (!e.dead) changes.settled_exceptions.emplace_back(s.row, e.seq);
    // What waited at the time was dropped then. Delivery says so a moment later, and a crash may
    // have come before: the cursor has not moved yet.
    const auto disabled_at = extra_number(s.extra, "disabled_at").value_or(0);
    const auto before = rows.find_cursor(s.row).value_or(store::cursor{});
    const auto settled =
        before.open ? before.acked_seq : std::max(before.acked_seq, rows.routed_seq(s.issuer));
    const bool dropped = disabled_at != head || settled < disabled_at;
    s.extra = with_extra(s.extra, "disabled_at", std::nullopt);
    return dropped;
}

}  // namespace

std::optional<status> parse_stream_status(std::string_view text) noexcept {
    for (const auto s : {status::enabled, status::paused, status::disabled})
        if (text == store::name(s)) return s;
    return std::nullopt;
}

result<std::string> parse_reason(const json::value& body) {
    if (!body.IsObject()) return invalid("the body must be an object");
    const json::value* reason = json::find(body, "reason");
    if (reason == nullptr || reason->IsNull()) return std::string{};
    if (!reason->IsString()) return invalid("reason must be a string");
    return cut_utf8(json::view(*reason), limits::status_reason_bytes);
}

result<status_request> parse_status_update(const json::value& body) {
    status_request out;
    auto id = read_stream_id(body);
    if (!id) return id.error();
    out.stream_id = std::move(*id);
    const auto wanted = json::find_string(body, "status");
    if (!wanted) return invalid("status is required: enabled, paused or disabled");
    const auto parsed = parse_stream_status(*wanted);
    if (!parsed) return invalid("status must be enabled, paused or disabled");
    out.status = *parsed;
    auto reason = parse_reason(body);
    if (!reason) return reason.error();
    out.reason = std::move(*reason);
    return out;
}

std::string status_json(std::string_view stream_id, status s, std::string_view reason) {
    json::buffer text;
    json::writer w(text);
    w.StartObject();
    json::member(w, "stream_id", stream_id);
    json::member(w, "status", store::name(s));
    if (!reason.empty()) json::member(w, "reason", reason);
    w.EndObject();
    return json::text(text);
}

result<store::changes> status_decision(const status_rules& rules, store::issuer_id issuer,
                                       store::stream_row row, const store::rows& rows,
                                       wall_time now, stream_outcome& out) {
    out = {};
    const auto& wanted = rules.wanted;
    const auto present = rows.find_stream(issuer, wanted.stream_id);
    if (!present || present->row != row) return error{errc::stream_not_found};
    out.row = *present;
    out.epochs = rows.epochs(row);
    store::stream& s = out.row;
    const bool by_operator = rules.actor == status_actor::operator_;
    const bool held_by_operator =
        s.status == status::paused && extra_string(s.extra, "paused_by") == paused_by_operator;
    if (held_by_operator && !by_operator && wanted.status != status::paused)
        return error{errc::forbidden, "an operator has paused the stream"};
    if (by_operator && wanted.status == status::paused && s.status == status::disabled)
        return error{errc::stream_conflict, "the stream is disabled: nothing is held there"};

    store::changes changes;
    const bool same_status = wanted.status == s.status;
    // Who repeats a pause with nothing to add has it already. An operator who pauses what the
    // receiver or the transmitter has paused takes it over.
    const bool takes_over = by_operator && wanted.status == status::paused && !held_by_operator;
    if (same_status && !takes_over &&
        (wanted.reason.empty() || wanted.reason == s.status_reason || held_by_operator))
        return changes;

    bool dropped = false;
    if (s.status == status::disabled && !same_status) dropped = move_to_head(rows, s, changes, out);
    if (wanted.status == status::disabled && !same_status)
        s.extra = with_extra_number(s.extra, "disabled_at", rows.head());
    s.status = wanted.status;
    s.status_reason = wanted.reason;
    if (takes_over)
        s.extra = with_extra(s.extra, "paused_by", paused_by_operator);
    else if (!same_status)
        s.extra = with_extra(s.extra, "paused_by", std::nullopt);
    // I3: in the transaction that moves the cursor past what is dropped.
    if (dropped) ++s.continuity;
    if (by_operator || dropped) {
        const std::string reason = dropped ? (wanted.reason.empty() ? "" : wanted.reason + "; ") +
                                                 "events were dropped while the stream was disabled"
                                           : wanted.reason;
        out.events.push_back(stream_updated(s, rules.jti, reason, now));
        changes.stream_events.push_back(out.events.back());
    }
    changes.updated_streams.push_back(s);
    out.changed = true;
    return changes;
}

}  // namespace mission::transmitter
