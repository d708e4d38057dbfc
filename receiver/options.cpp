#include "receiver/options.hpp"

#include <charconv>
#include <fstream>
#include <iterator>

#include "base/json.hpp"
#include "base/limits.hpp"
#include "events/mission_event.hpp"
#include "events/subject.hpp"
#include "net/http.hpp"
#include "receiver/subscribe/token_source.hpp"

namespace mission::receiver {
namespace {

[[noreturn]] void refuse(const std::string& option, const std::string& why) {
    throw ms::setup_error(option + ": " + why);
}

void need_https(const std::string& option, const std::string& text) {
    const auto url = net::parse_url(text);
    if (url.has_error() || url->scheme != "https") refuse(option, "has to be an https URL");
}

void need_field_value(const std::string& option, const std::string& text) {
    for (const char c : text) {
        if (c < 0x20 || c == 0x7f) refuse(option, "is no valid header value");
    }
}

std::string with_port(std::string url, std::uint16_t port) {
    if (const auto at = url.find("{port}"); at != std::string::npos) {
        url.replace(at, 6, std::to_string(port));
    }
    return url;
}

}  // namespace

listen_address parse_listen(const std::string& text) {
    const auto colon = text.rfind(':');
    if (colon == std::string::npos || colon == 0) refuse("push_listen", "has to be ADDRESS:PORT");
    listen_address a;
    a.address = text.substr(0, colon);
    if (a.address.size() > 2 && a.address.front() == '[' && a.address.back() == ']') {
        a.address = a.address.substr(1, a.address.size() - 2);
    }
    const char* first = text.data() + colon + 1;
    const char* last = text.data() + text.size();
    const auto r = std::from_chars(first, last, a.port);
    if (r.ec != std::errc() || r.ptr != last) refuse("push_listen", "the port is no number");
    return a;
}

void check_peer_options(const ms::options& o) {
    if (o.issuer.empty() && o.metadata_url.empty() && o.metadata_json.empty()) {
        refuse("issuer", "or metadata_url, or metadata_json is needed");
    }
    if (!o.issuer.empty()) need_https("issuer", o.issuer);
    if (!o.metadata_url.empty()) need_https("metadata_url", o.metadata_url);
    if (!o.metadata_json.empty() && !o.metadata_url.empty()) {
        refuse("metadata_json, metadata_url", "one of them");
    }
    const int ways = !o.private_key_file.empty() + !o.client_secret.empty() + !o.token.empty();
    const bool certificate = !o.certificate_file.empty();
    if (certificate != !o.certificate_key_file.empty()) {
        refuse("certificate_file, certificate_key_file", "are needed together");
    }
    if (ways > 1 || (ways == 0 && !certificate)) {
        refuse("private_key_file, client_secret, token", "exactly one is needed");
    }
    if (o.token.empty() && o.client_id.empty()) refuse("client_id", "is needed");
    if (o.client_secret_post && o.client_secret.empty()) {
        refuse("client_secret_post", "needs client_secret");
    }
    need_field_value("token", o.token);
    if (!o.token_endpoint.empty()) need_https("token_endpoint", o.token_endpoint);
    for (const auto& host : o.token_hosts) {
        if (!token_reach::valid_host(host)) refuse("token_hosts", "HOST or HOST:PORT: " + host);
    }
    if (!o.metadata_json.empty()) {
        const auto m = parse_metadata(o.metadata_json, o.issuer, token_reach(o.token_hosts),
                                      std::make_unique<quirk_log>(o).get());
        if (m.has_error()) refuse("metadata_json", m.error().message());
    }
}

void check_options(const ms::options& o) {
    check_peer_options(o);
    need_field_value("push_authorization_header", o.push_authorization_header);
    if (o.push_authorization_header.size() > limits::authorization_header_bytes) {
        refuse("push_authorization_header", "is too long");
    }
    if (o.subjects.size() > limits::configured_subjects) refuse("subjects", "are too many");
    for (const auto& text : o.subjects) {
        const auto doc = json::parse(text);
        const auto subject =
            doc.has_value() ? events::parse_subject(*doc) : result<events::subject>(doc.error());
        if (subject.has_error()) refuse("subjects", subject.error().message());
    }
    if (o.max_missions == 0) refuse("max_missions", "has to be positive");
    if (o.poll_timeout.count() <= 0) refuse("poll_timeout", "has to be positive");
    if (o.teardown_report_after.count() <= 0) refuse("teardown_report_after", "has to be positive");
    if (!o.reports_url.empty()) {
        need_https("reports_url", o.reports_url);
        if (o.reports_url.find("{mission_id}") == std::string::npos)
            refuse("reports_url", "has to hold {mission_id}");
    }
    if (o.delivery == ms::delivery::poll) {
        if (!o.push_listen.empty()) refuse("push_listen", "makes no sense with poll delivery");
        return;
    }
    if (o.push_public_url.empty()) refuse("push_public_url", "is needed with push delivery");
    need_https("push_public_url", with_port(o.push_public_url, 1));
    if (o.push_listen.empty()) {
        if (o.push_public_url.find("{port}") != std::string::npos) {
            refuse("push_public_url", "{port} needs push_listen");
        }
        return;
    }
    (void)parse_listen(o.push_listen);
    if (o.push_certificate_file.empty() || o.push_private_key_file.empty()) {
        refuse("push_certificate_file, push_private_key_file", "are needed with push_listen");
    }
}

std::string read_option_file(const std::string& path, const char* option) {
    std::ifstream in(path, std::ios::binary);
    if (!in) refuse(option, "cannot be read: " + path);
    std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    if (in.bad() || text.empty()) refuse(option, "cannot be read: " + path);
    return text;
}

credentials read_credentials(const ms::options& o) {
    credentials c;
    c.client_id = o.client_id;
    c.client_secret = o.client_secret;
    c.token = o.token;
    if (!o.private_key_file.empty()) {
        auto key =
            jose::private_key::from_pem(read_option_file(o.private_key_file, "private_key_file"));
        if (key.has_error()) refuse("private_key_file", key.error().message());
        // Without a kid the server tries every key it has of this client.
        key->set_kid(o.private_key_id);
        c.key = std::move(*key);
    }
    c.secret_in_form = o.client_secret_post;
    if (!o.certificate_file.empty()) {
        c.certificate_pem = read_option_file(o.certificate_file, "certificate_file");
        c.certificate_key_pem = read_option_file(o.certificate_key_file, "certificate_key_file");
    }
    return c;
}

net::client_options client_options_of(const ms::options& o) {
    net::client_options c;
    if (!o.ca_file.empty()) c.ca_pem = read_option_file(o.ca_file, "ca_file");
    if (!o.certificate_file.empty()) {
        c.certificate_pem = read_option_file(o.certificate_file, "certificate_file");
        c.private_key_pem = read_option_file(o.certificate_key_file, "certificate_key_file");
    }
    return c;
}

link_options link_options_of(const ms::options& o, std::shared_ptr<quirk_log> quirks) {
    link_options l;
    l.issuer = o.issuer;
    l.metadata_url = o.metadata_url;
    l.metadata_json = o.metadata_json;
    l.who = read_credentials(o);
    l.token_hosts = o.token_hosts;
    l.token_endpoint = o.token_endpoint;
    l.token_scope = o.token_scope;
    for (const auto& secret : {o.client_secret, o.token, o.push_authorization_header}) {
        if (!secret.empty()) l.known.push_back(secret);
    }
    if (!o.client_secret.empty()) {
        l.known.push_back(basic_credentials(o.client_id, o.client_secret));
    }
    l.quirks = quirks ? std::move(quirks) : std::make_shared<quirk_log>(o);
    l.log = o.log;
    return l;
}

wanted_stream make_wanted(const ms::options& o, std::uint16_t push_port) {
    wanted_stream w;
    const bool push = o.delivery == ms::delivery::push;
    w.method = std::string(push ? push_method : poll_method);
    if (push) {
        w.endpoint_url = with_port(o.push_public_url, push_port);
        w.authorization_header = o.push_authorization_header;
    }
    w.description = o.description.substr(0, limits::description_bytes);
    w.audience = o.audience;
    w.events = o.events.empty() ? our_event_types() : o.events;
    w.events_chosen = !o.events.empty();
    w.replace = o.replace_stream;
    return w;
}

bool missions_wanted(const ms::options& o) {
    // Of a stream that the transmitter has made it says itself what it carries.
    if (o.events.empty()) return o.stream_id.empty();
    return any_mission_event(o.events);
}

}  // namespace mission::receiver
