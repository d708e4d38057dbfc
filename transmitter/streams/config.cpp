#include "transmitter/streams/config.hpp"

#include <algorithm>

#include "events/mission_event.hpp"
#include "transmitter/streams/visibility.hpp"

namespace mission::transmitter {

namespace {

void write_list(json::writer& w, std::string_view name, const std::vector<std::string>& list) {
    json::key(w, name);
    w.StartArray();
    for (const auto& entry : list)
        json::string(w, entry);
    w.EndArray();
}

}  // namespace

result<create_request> parse_create(const json::value& body, const net::egress_policy& egress) {
    if (!body.IsObject()) return error{errc::stream_invalid, "the body must be an object"};
    create_request out;
    auto requested = read_events_requested(body);
    if (!requested) return requested.error();
    out.events_requested = std::move(*requested);
    auto capabilities = read_capabilities(body);
    if (!capabilities) return capabilities.error();
    out.capabilities = std::move(*capabilities);
    auto description = read_description(body);
    if (!description) return description.error();
    out.description = std::move(*description);
    auto delivery = read_delivery(body, egress);
    if (!delivery) return delivery.error();
    out.method = delivery->method;
    out.endpoint_url = std::move(delivery->endpoint_url);
    out.authorization_header = std::move(delivery->authorization_header);
    return out;
}

std::vector<std::string> events_supported(const client_config& client, std::string_view base) {
    if (!client.events.empty()) return client.events;
    std::vector<std::string> out;
    for (const std::string_view type : events::mission_event_names) {
        out.push_back(std::string(base).append(type));
    }
    out.emplace_back(events::lifecycle_change_type);
    return out;
}

std::vector<std::string> events_delivered(const std::vector<std::string>& supported,
                                          const std::vector<std::string>& requested) {
    std::vector<std::string> out;
    for (const auto& type : supported) {
        if (std::find(requested.begin(), requested.end(), type) != requested.end()) {
            out.push_back(type);
        }
    }
    return out;
}

std::string algorithm_for(const client_config& client, const std::vector<std::string>& delivered) {
    if (client.alg) return std::string(jose::name(*client.alg));
    const bool interoperable = std::any_of(delivered.begin(), delivered.end(), [](const auto& t) {
        return t.starts_with(events::caep_base) || t.starts_with(events::risc_base);
    });
    return interoperable ? "RS256" : "ES256";
}

store::stream_epoch make_epoch(const client_config& client, const issuer_service& issuer,
                               const std::vector<std::string>& requested,
                               const std::vector<std::string>& capabilities) {
    store::stream_epoch e;
    e.iss = issuer.settings.url;
    // RFC 8417 section 2.2: never an empty one. A client that is no resource is addressed by name.
    e.aud = client.audience.empty() ? client.id : client.audience;
    e.events_delivered = events_delivered(
        events_supported(client, issuer.common->settings.event_type_base), requested);
    e.alg = algorithm_for(client, e.events_delivered);
    e.visibility = visibility_of(client, capabilities).to_json();
    return e;
}

bool same_terms(const store::stream_epoch& a, const store::stream_epoch& b) noexcept {
    return a.iss == b.iss && a.aud == b.aud && a.events_delivered == b.events_delivered &&
           a.alg == b.alg && a.visibility == b.visibility;
}

new_stream make_stream(const create_request& request, const client_config& client,
                       const issuer_service& issuer, std::string stream_id, std::string sealed,
                       wall_time now) {
    const config& settings = issuer.common->settings;
    new_stream out;
    store::stream& s = out.row;
    s.issuer = issuer.id;
    s.stream_id = std::move(stream_id);
    s.client_id = client.id;
    s.created_at = now;
    s.method = request.method;
    s.endpoint_url = request.endpoint_url;
    s.sealed_authorization = std::move(sealed);
    s.events_requested = request.events_requested;
    s.capabilities = request.capabilities;
    s.description = request.description;
    s.default_all = client.default_subjects_all.value_or(settings.ssf.default_subjects_all);

    out.epoch = make_epoch(client, issuer, request.events_requested, request.capabilities);
    return out;
}

result<store::changes> create_decision(const new_stream& wanted, std::size_t limit,
                                       const store::rows& rows) {
    if (rows.streams(wanted.row.issuer, wanted.row.client_id).size() >= limit) {
        return error{errc::stream_limit, "the client has all the streams it may have"};
    }
    store::changes out;
    out.new_streams.push_back(wanted.row);
    out.epochs.push_back(wanted.epoch);
    out.epochs.back().from_seq = rows.head() + 1;
    store::cursor start;
    start.acked_seq = rows.head();
    start.open = false;  // settled up to here
    out.cursors.push_back(std::move(start));
    return out;
}

std::string to_json(const store::stream& s, const store::stream_epoch& epoch,
                    const client_config& client, const issuer_service& issuer) {
    const config& settings = issuer.common->settings;
    json::buffer out;
    json::writer w(out);
    w.StartObject();
    json::member(w, "stream_id", s.stream_id);
    json::member(w, "iss", epoch.iss);
    json::member(w, "aud", epoch.aud);
    json::key(w, "delivery");
    w.StartObject();
    const bool push = s.method == store::delivery_method::push;
    json::member(w, "method", push ? push_urn : poll_urn);
    json::member(w, "endpoint_url", push ? s.endpoint_url : issuer.url("/ssf/poll/" + s.stream_id));
    w.EndObject();  // authorization_header is never shown
    write_list(w, "events_supported", events_supported(client, settings.event_type_base));
    write_list(w, "events_requested", s.events_requested);
    write_list(w, "events_delivered", epoch.events_delivered);
    if (!s.description.empty()) json::member(w, "description", s.description);
    json::key(w, "min_verification_interval");
    w.Int64(settings.ssf.min_verification_interval.count());
    if (settings.ssf.inactivity_timeout) {
        json::key(w, "inactivity_timeout");
        w.Int64(settings.ssf.inactivity_timeout->count());
    }
    json::member(w, "default_subjects", s.default_all ? "ALL" : "NONE");
    if (!s.capabilities.empty()) {
        write_list(w, "mission_capabilities_supported", s.capabilities);
    }
    w.EndObject();
    return json::text(out);
}

std::string authorization_context(std::string_view stream_id) {
    return std::string("stream authorization header ").append(stream_id);
}

}  // namespace mission::transmitter
