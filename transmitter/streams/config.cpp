#include "transmitter/streams/config.hpp"

#include <arpa/inet.h>

#include <algorithm>

#include "base/limits.hpp"
#include "events/mission_event.hpp"
#include "net/http.hpp"
#include "transmitter/streams/visibility.hpp"

namespace mission::transmitter {

namespace {

error invalid(std::string what) {
    return {errc::stream_invalid, std::move(what)};
}

bool address_literal(const std::string& host) {
    unsigned char octets[sizeof(in6_addr)];
    return inet_pton(AF_INET, host.c_str(), octets) == 1 ||
           inet_pton(AF_INET6, host.c_str(), octets) == 1;
}

// RFC 9110 section 5.5: visible characters, obs-text, and inner spaces and tabs.
bool valid_field_value(std::string_view text) {
    const auto blank = [](char c) { return c == ' ' || c == '\t'; };
    if (text.empty() || blank(text.front()) || blank(text.back())) return false;
    return std::all_of(text.begin(), text.end(), [&](char c) {
        const auto u = static_cast<unsigned char>(c);
        return blank(c) || (u > 0x20 && u != 0x7f);
    });
}

result<std::vector<std::string>> string_list(const json::value& body, std::string_view name) {
    std::vector<std::string> out;
    const json::value* list = json::find(body, name);
    if (list == nullptr || list->IsNull()) return out;
    const std::string where{name};
    if (!list->IsArray()) return invalid(where + " must be an array of strings");
    if (list->Size() > limits::events_requested_entries) {
        return invalid(where + " has too many entries");
    }
    for (const auto& entry : list->GetArray()) {
        if (!entry.IsString()) return invalid(where + " must be an array of strings");
        const std::string_view text = json::view(entry);
        if (text.empty() || text.size() > limits::endpoint_url_bytes) {
            return invalid(where + " has an empty or oversized entry");
        }
        if (std::find(out.begin(), out.end(), text) == out.end()) out.emplace_back(text);
    }
    return out;
}

// SSF 1.0 section 10.3.1.1: PUSH delivery using HTTP.
result<void> parse_push(const json::value& delivery, const net::egress_policy& egress,
                        create_request& out) {
    const auto endpoint = json::find_string(delivery, "endpoint_url");
    if (!endpoint) return invalid("delivery.endpoint_url is required for push");
    if (endpoint->size() > limits::endpoint_url_bytes) {
        return invalid("delivery.endpoint_url is too long");
    }
    const auto url = net::parse_url(*endpoint);
    if (!url || url->scheme != "https") {
        return invalid("delivery.endpoint_url must be an https URL");
    }
    if (address_literal(url->host)) {
        if (const auto allowed = egress.check(url->host, url->port, url->host); !allowed) {
            return invalid("delivery.endpoint_url: address refused: " + allowed.error().detail);
        }
    }
    out.endpoint_url = *endpoint;
    const json::value* header = json::find(delivery, "authorization_header");
    if (header == nullptr || header->IsNull()) return {};
    if (!header->IsString()) return invalid("delivery.authorization_header must be a string");
    const std::string_view text = json::view(*header);
    if (text.size() > limits::authorization_header_bytes || !valid_field_value(text)) {
        return invalid("delivery.authorization_header is no valid field value");
    }
    out.authorization_header = text;
    return {};
}

void write_list(json::writer& w, std::string_view name, const std::vector<std::string>& list) {
    json::key(w, name);
    w.StartArray();
    for (const auto& entry : list)
        json::string(w, entry);
    w.EndArray();
}

}  // namespace

std::string cut_utf8(std::string_view text, std::size_t max) {
    if (text.size() <= max) return std::string(text);
    std::size_t end = max;
    // Back to the first octet of the character that does not fit.
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0u) == 0x80u)
        --end;
    return std::string(text.substr(0, end));
}

result<create_request> parse_create(const json::value& body, const net::egress_policy& egress) {
    if (!body.IsObject()) return invalid("the body must be an object");
    create_request out;
    auto requested = string_list(body, "events_requested");
    if (!requested) return requested.error();
    out.events_requested = std::move(*requested);
    auto capabilities = string_list(body, "mission_capabilities_supported");
    if (!capabilities) return capabilities.error();
    out.capabilities = std::move(*capabilities);

    const json::value* description = json::find(body, "description");
    if (description != nullptr && !description->IsNull()) {
        if (!description->IsString()) return invalid("description must be a string");
        out.description = cut_utf8(json::view(*description), limits::description_bytes);
    }

    const json::value* delivery = json::find(body, "delivery");
    if (delivery == nullptr || delivery->IsNull())
        return out;  // wire.md section 1: no `delivery` means poll
    if (!delivery->IsObject()) return invalid("delivery must be an object");
    const auto method = json::find_string(*delivery, "method");
    if (!method) return invalid("delivery.method is required");
    if (*method == poll_urn) return out;  // endpoint_url is the transmitter's to supply
    if (*method != push_urn) return invalid("delivery.method is not supported");
    out.method = store::delivery_method::push;
    if (const auto push = parse_push(*delivery, egress, out); !push) return push.error();
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

    store::stream_epoch& e = out.epoch;
    e.iss = issuer.settings.url;
    e.aud = client.audience;
    e.events_delivered = events_delivered(events_supported(client, settings.event_type_base),
                                          request.events_requested);
    e.alg = algorithm_for(client, e.events_delivered);
    e.visibility = visibility_of(client, request.capabilities).to_json();
    return out;
}

result<store::changes> create_decision(const new_stream& wanted, std::size_t limit,
                                       const store::rows& rows) {
    const auto present = rows.streams(wanted.row.issuer);
    const auto own = std::count_if(present.begin(), present.end(), [&](const store::stream& s) {
        return s.client_id == wanted.row.client_id;
    });
    if (static_cast<std::size_t>(own) >= limit) {
        return error{errc::stream_limit, "the client has all the streams it may have"};
    }
    store::changes out;
    out.new_streams.push_back(wanted.row);
    out.epochs.push_back(wanted.epoch);
    out.epochs.back().from_seq = rows.head() + 1;
    store::cursor start;
    start.acked_seq = rows.head();
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
