#include "transmitter/streams/update.hpp"

#include <algorithm>
#include <set>

namespace mission::transmitter {

namespace {

error wrong(std::string_view member) {
    return {errc::stream_invalid, std::string(member) + " is not the receiver's to change"};
}

bool number_equal(const json::value& a, const json::value& b) {
    return a.IsNumber() && b.IsNumber() && a.GetDouble() == b.GetDouble();
}

// Entries as a set; a list and a single string of the same say the same (RFC 7519 section 4.1.3).
std::optional<std::set<std::string_view>> entries(const json::value& v) {
    std::set<std::string_view> out;
    if (v.IsString()) {
        out.insert(json::view(v));
        return out;
    }
    if (!v.IsArray()) return std::nullopt;
    for (const auto& one : v.GetArray()) {
        if (!one.IsString()) return std::nullopt;
        out.insert(json::view(one));
    }
    return out;
}

bool matches(std::string_view member, const json::value& given, const json::value& expected) {
    if (expected.IsNumber()) return number_equal(given, expected);
    if (expected.IsArray() || member == "aud") {
        // One of several names of a list would be another audience, or another set of events.
        if (expected.IsArray() && !given.IsArray()) return false;
        const auto a = entries(given), b = entries(expected);
        return a && b && *a == *b;
    }
    return given.IsString() && expected.IsString() && json::view(given) == json::view(expected);
}

}  // namespace

result<update_request> parse_update(const json::value& body, bool replace,
                                    const net::egress_policy& egress) {
    update_request out;
    auto id = read_stream_id(body);
    if (!id) return id.error();
    out.stream_id = std::move(*id);
    const auto named = [&](std::string_view member) {
        return replace || json::find(body, member) != nullptr;
    };
    if (named("delivery")) {
        auto delivery = read_delivery(body, egress);
        if (!delivery) return delivery.error();
        out.delivery = std::move(*delivery);
    }
    if (named("events_requested")) {
        auto list = read_events_requested(body);
        if (!list) return list.error();
        out.events_requested = std::move(*list);
    }
    if (named("mission_capabilities_supported")) {
        auto list = read_capabilities(body);
        if (!list) return list.error();
        out.capabilities = std::move(*list);
    }
    if (named("description")) {
        auto text = read_description(body);
        if (!text) return text.error();
        out.description = std::move(*text);
    }
    return out;
}

result<void> check_supplied(const json::value& body, const json::value& present,
                            std::string_view poll_url) {
    for (const std::string_view member :
         {"stream_id", "iss", "aud", "events_supported", "events_delivered",
          "min_verification_interval", "inactivity_timeout", "default_subjects"}) {
        const json::value* given = json::find(body, member);
        if (given == nullptr) continue;
        const json::value* expected = json::find(present, member);
        // A receiver that writes null for what it does not know says nothing wrong of a member that
        // no answer has.
        if (expected == nullptr && given->IsNull()) continue;
        if (expected == nullptr || !matches(member, *given, *expected)) return wrong(member);
    }
    const json::value* delivery = json::find(body, "delivery");
    if (delivery == nullptr || json::find_string(*delivery, "method") != poll_urn) return {};
    // SSF 1.0 section 6.1.2: the poll endpoint is the transmitter's.
    const json::value* url = json::find(*delivery, "endpoint_url");
    if (url == nullptr || url->IsNull()) return {};
    if (!url->IsString() || (url->GetStringLength() > 0 && json::view(*url) != poll_url))
        return wrong("delivery.endpoint_url");
    return {};
}

store::stream apply_update(const update_request& wanted, store::stream present,
                           std::string_view sealed) {
    if (wanted.delivery) {
        const delivery_request& d = *wanted.delivery;
        const bool same = d.method == present.method && d.endpoint_url == present.endpoint_url;
        if (d.authorization == delivery_request::header::replace)
            present.sealed_authorization = sealed;
        else if (d.authorization == delivery_request::header::remove || !same)
            present.sealed_authorization.clear();
        present.method = d.method;
        present.endpoint_url = d.endpoint_url;
    }
    if (wanted.events_requested) present.events_requested = *wanted.events_requested;
    if (wanted.capabilities) present.capabilities = *wanted.capabilities;
    if (wanted.description) present.description = *wanted.description;
    return present;
}

result<store::changes> update_decision(const update_rules& rules, store::stream_row row,
                                       const store::rows& rows, stream_outcome& out) {
    out = {};
    const auto& wanted = rules.wanted;
    const auto present = rows.find_stream(rules.issuer.id, wanted.stream_id);
    if (!present || present->row != row) return error{errc::stream_not_found};
    out.epochs = rows.epochs(row);
    const auto last = out.epochs.empty() ? store::stream_epoch{} : out.epochs.back();
    const auto shown = json::parse(to_json(*present, last, rules.client, rules.issuer));
    if (!shown) return error{errc::store_corrupt, "a stream's configuration is no JSON"};
    if (auto ok =
            check_supplied(rules.body, *shown, rules.issuer.url("/ssf/poll/" + wanted.stream_id));
        !ok)
        return ok.error();

    out.row = apply_update(wanted, *present, rules.sealed);
    store::changes changes;
    const bool same_row = out.row.method == present->method &&
                          out.row.endpoint_url == present->endpoint_url &&
                          out.row.sealed_authorization == present->sealed_authorization &&
                          out.row.events_requested == present->events_requested &&
                          out.row.capabilities == present->capabilities &&
                          out.row.description == present->description;
    if (!same_row) changes.updated_streams.push_back(out.row);

    auto next =
        make_epoch(rules.client, rules.issuer, out.row.events_requested, out.row.capabilities);
    if (out.epochs.empty() || !same_terms(next, last)) {
        next.stream = row;
        next.from_seq = rows.head() + 1;
        if (!out.epochs.empty() && last.from_seq == next.from_seq) out.epochs.pop_back();
        out.epochs.push_back(next);
        changes.epochs.push_back(std::move(next));
    }
    out.changed = !changes.empty();
    return changes;
}

}  // namespace mission::transmitter
