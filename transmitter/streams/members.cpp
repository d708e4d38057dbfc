#include "transmitter/streams/members.hpp"

#include <arpa/inet.h>

#include <algorithm>

#include "base/limits.hpp"
#include "net/http.hpp"

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

// SSF 1.0 section 6.1.1: PUSH delivery using HTTP.
result<void> read_push(const json::value& delivery, const net::egress_policy& egress,
                       delivery_request& out) {
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
    if (header == nullptr) return {};
    if (header->IsNull()) {
        out.authorization = delivery_request::header::remove;
        return {};
    }
    if (!header->IsString()) return invalid("delivery.authorization_header must be a string");
    const std::string_view text = json::view(*header);
    if (text.size() > limits::authorization_header_bytes || !valid_field_value(text)) {
        return invalid("delivery.authorization_header is no valid field value");
    }
    out.authorization = delivery_request::header::replace;
    out.authorization_header = text;
    return {};
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

result<delivery_request> read_delivery(const json::value& body, const net::egress_policy& egress) {
    delivery_request out;
    const json::value* delivery = json::find(body, "delivery");
    if (delivery == nullptr || delivery->IsNull()) return out;
    if (!delivery->IsObject()) return invalid("delivery must be an object");
    const auto method = json::find_string(*delivery, "method");
    if (!method) return invalid("delivery.method is required");
    if (*method == poll_urn) return out;
    if (*method != push_urn) return invalid("delivery.method is not supported");
    out.method = store::delivery_method::push;
    if (const auto push = read_push(*delivery, egress, out); !push) return push.error();
    return out;
}

result<std::vector<std::string>> read_events_requested(const json::value& body) {
    return string_list(body, "events_requested");
}

result<std::vector<std::string>> read_capabilities(const json::value& body) {
    return string_list(body, "mission_capabilities_supported");
}

result<std::string> read_description(const json::value& body) {
    const json::value* description = json::find(body, "description");
    if (description == nullptr || description->IsNull()) return std::string{};
    if (!description->IsString()) return invalid("description must be a string");
    return cut_utf8(json::view(*description), limits::description_bytes);
}

result<std::string> read_stream_id(const json::value& body) {
    if (!body.IsObject()) return error{errc::invalid_request, "the body must be an object"};
    const json::value* id = json::find(body, "stream_id");
    if (id == nullptr) return error{errc::invalid_request, "stream_id is required"};
    if (!id->IsString() || id->GetStringLength() == 0)
        return error{errc::invalid_request, "stream_id must be a string"};
    return std::string(json::view(*id));
}

}  // namespace mission::transmitter
