#include "transmitter/config/read_config.hpp"

#include <charconv>
#include <cmath>

#include "events/mission_event.hpp"
#include "jose/base64url.hpp"
#include "net/egress.hpp"
#include "net/http.hpp"
#include "transmitter/config/section.hpp"

namespace mission::transmitter {
namespace {

std::chrono::milliseconds to_ms(double seconds) {
    return std::chrono::milliseconds(static_cast<std::int64_t>(std::llround(seconds * 1000)));
}

void read_issuers(setting* list, const std::string& file, const environment& env, config& c) {
    if (!list) return;
    if (list->what != setting::kind::list)
        throw error{errc::bad_configuration, file + ":" + std::to_string(list->line) +
                                                 ": issuers are written as [[issuer]]"};
    for (auto& tree : list->items) {
        section s(&tree, "issuer", file, env, false);
        auto parsed = parse_issuer_url(s.required_text("url"));
        if (!parsed) s.fail("url", parsed.error().detail);
        // Two that differ in the last slash alone would have the same endpoints.
        for (const auto& other : c.issuers)
            if (other.base() == parsed->base())
                s.fail("url", "is there twice");
            else if (other.path == parsed->path)
                // Requests are told apart by their path: one of the two would never be asked.
                s.fail("url", "has the path of \"" + other.url + "\"");
        if (const auto mode = s.one_of("mode", {"authoritative", "mirror"}))
            parsed->mirror = *mode == "mirror";
        parsed->in_place_extension = s.boolean("in_place_extension").value_or(false);
        // A mirror's authority is another's: nothing is extended here.
        if (parsed->mirror && parsed->in_place_extension)
            s.fail("in_place_extension", "= true does not go with mode = \"mirror\"");
        s.finish();
        c.issuers.push_back(std::move(*parsed));
    }
}

void read_listeners(section& top, section& admin, config& c) {
    if (const auto listen = top.text("listen")) {
        const auto at = parse_listen(*listen);
        if (!at) top.fail("listen", at.error().detail);
        std::tie(c.listen_address, c.listen_port) = *at;
    }
    if (const auto listen = admin.text("listen")) {
        const auto at = parse_listen(*listen);
        if (!at) admin.fail("listen", at.error().detail);
        std::tie(c.admin.address, c.admin.port) = *at;
    }
    admin.finish();
}

void read_store(section s, config& c) {
    if (auto url = s.text("url")) c.store_url = std::move(*url);
    if (c.store_url.starts_with("postgresql:") || c.store_url.starts_with("postgres:"))
        s.fail("url", "names PostgreSQL, which is not available in this version");
    if (c.store_url != "memory:" && !(c.store_url.starts_with("sqlite:") && c.store_url.size() > 7))
        s.fail("url", "must be \"sqlite:PATH\" or \"memory:\"");
    s.finish();
}

void read_secrets(section s, const environment& env, config& c) {
    auto* key = s.raw("key");
    const auto override_text = env ? env("MISSION_SECRETS_KEY") : std::nullopt;
    // The file may not exist yet: it is made at first start, so it is not read here.
    if (!override_text && key && key->what == setting::kind::table && key->members.size() == 1 &&
        key->members.begin()->first == "file" &&
        key->members.begin()->second.what == setting::kind::text) {
        c.secrets_key_file = key->members.begin()->second.text;
    } else if (const auto text = s.secret("key")) {
        auto octets = jose::base64url_decode(*text);
        if (!octets || octets->size() != 32) s.fail("key", "must be 32 octets in base64url");
        c.secrets_key = std::move(*octets);
        c.secrets_key_file.clear();
    }
    s.finish();
}

void read_ssf(section s, config& c) {
    if (const auto all = s.one_of("default_subjects", {"ALL", "NONE"}))
        c.ssf.default_subjects_all = *all == "ALL";
    auto& out = c.ssf;
    if (const auto n = s.integer("streams_per_receiver", 1, 100'000))
        out.streams_per_receiver = static_cast<std::size_t>(*n);
    if (const auto n = s.integer("subjects_per_stream", 1, 100'000'000))
        out.subjects_per_stream = static_cast<std::size_t>(*n);
    if (const auto n = s.integer("min_verification_interval", 0, 86'400))
        out.min_verification_interval = std::chrono::seconds(*n);
    // Whole seconds on the wire (SSF 1.0 section 8.1.1).
    if (const auto n = s.integer("inactivity_timeout", 1, 10 * 365 * 86'400))
        out.inactivity_timeout = std::chrono::seconds(*n);
    if (const auto n = s.number("subject_removal_grace_seconds", 0, 30 * 86'400))
        out.removal_grace = to_ms(*n);
    if (const auto n = s.number("heartbeat_seconds", 0.05, 86'400)) out.heartbeat = to_ms(*n);
    // Whole seconds on the wire; rounded down, because the bound may only shrink.
    if (const auto n = s.number("max_stale_seconds", 1, 7 * 86'400))
        out.max_stale = std::chrono::seconds(static_cast<std::int64_t>(std::floor(*n)));
    if (const auto n = s.number("redelivery_seconds", 0.05, 3'600)) out.redelivery = to_ms(*n);
    if (const auto n = s.integer("hold_days", 1, 3'650)) out.hold_days = std::chrono::days(*n);
    if (const auto n = s.integer("hold_signals", 1, 1'000'000'000)) out.hold_signals = *n;
    if (out.heartbeat >= out.max_stale)
        s.fail("heartbeat_seconds", "must be below max_stale_seconds, or everything is stale");
    if (auto base = s.text("event_type_base")) c.event_type_base = std::move(*base);
    s.finish();
}

void read_push(section s, config& c) {
    c.push.ca_file = s.text("ca_file").value_or("");
    c.push.allow = s.list("allow");
    if (const auto policy = net::egress_policy::parse(c.push.allow); !policy)
        s.fail("allow", "cannot be read: " + policy.error().detail);
    if (const auto n = s.number("timeout_seconds", 0.05, 300)) c.push.timeout = to_ms(*n);
    if (const auto n = s.integer("window", 1, 1'000)) c.push.window = static_cast<std::size_t>(*n);
    if (const auto n = s.number("pause_after_seconds", 0.05, 365 * 86'400))
        c.push.pause_after = to_ms(*n);
    s.finish();
}

void read_tls(section s, config& c) {
    c.tls.certificate = s.text("certificate").value_or("");
    c.tls.private_key = s.text("private_key").value_or("");
    c.tls.client_ca = s.text("client_ca").value_or("");
    if (c.tls.certificate.empty() != c.tls.private_key.empty())
        s.fail(c.tls.certificate.empty() ? "certificate" : "private_key", "is missing");
    s.finish();
}

config read(setting& tree, const std::string& file, const environment& env) {
    config c;
    c.event_type_base = std::string(events::event_type_base);
    section top(&tree, "", file, env);
    const auto part = [&](const char* name) { return section(top.raw(name), name, file, env); };

    section admin = part("admin");
    read_listeners(top, admin, c);
    read_issuers(top.raw("issuer"), file, env, c);
    read_tls(part("tls"), c);
    read_store(part("store"), c);
    section signing = part("signing");
    if (auto folder = signing.text("directory")) c.signing_directory = std::move(*folder);
    if (const auto n = signing.integer("lead_seconds", 0, 30 * 86'400))
        c.signing_lead = std::chrono::seconds(*n);
    if (const auto n = signing.integer("retain_seconds", 0, 100LL * 365 * 86'400))
        c.signing_retain = std::chrono::seconds(*n);
    if (const auto n = signing.integer("status_retain_seconds", 0, 100LL * 365 * 86'400))
        c.signing_status_retain = std::chrono::seconds(*n);
    signing.finish();
    read_secrets(part("secrets"), env, c);
    read_ssf(part("ssf"), c);
    read_push(part("push"), c);
    read_missions_section(part("missions"), c);
    read_auth(part("auth"), file, env, c);
    read_foreign_events(top.raw("foreign_event"), file, env, c);
    read_authorization_types(top.raw("authorization_type"), file, env, c);
    read_clients(top.raw("client"), file, env, c);
    read_report_rules(top.raw("report_rule"), file, env, c);
    top.finish();
    return c;
}

}  // namespace

result<std::pair<std::string, std::uint16_t>> parse_listen(std::string_view text) {
    const error wrong{errc::bad_configuration, "must be \"ADDRESS:PORT\" or \"unix:PATH\""};
    if (text.starts_with("unix:"))
        return text.size() > 5 ? result<std::pair<std::string, std::uint16_t>>(
                                     std::pair{std::string(text), std::uint16_t{0}})
                               : wrong;
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos || colon == 0) return wrong;
    auto host = text.substr(0, colon);
    if (host.front() == '[') {
        if (host.back() != ']' || host.size() < 4) return wrong;
        host = host.substr(1, host.size() - 2);
    } else if (host.find(':') != std::string_view::npos) {
        return wrong;  // IPv6 goes into brackets
    }
    const auto digits = text.substr(colon + 1);
    std::uint16_t port = 0;
    const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (failed != std::errc{} || end != digits.data() + digits.size()) return wrong;
    return std::pair{std::string(host), port};
}

result<issuer_config> parse_issuer_url(std::string_view text) {
    const auto parsed = net::parse_url(text);
    if (!parsed || parsed->scheme != "https")
        return error{errc::bad_configuration, "must be an https URL"};
    // RFC 8414 section 2: no query, no fragment (parse_url refuses the latter).
    if (parsed->target.find('?') != std::string::npos)
        return error{errc::bad_configuration, "must not have a query"};
    issuer_config out;
    // As the operator writes it: this is `iss`. Below it everything has exactly one slash.
    out.url = std::string(text);
    out.path = parsed->target;
    if (out.path.ends_with('/')) out.path.pop_back();
    if (out.path.ends_with('/'))
        return error{errc::bad_configuration, "must not end in more than one '/'"};
    return out;
}

result<config> parse_config(std::string_view toml_text, const std::string& name,
                            const environment& env) {
    auto tree = parse_toml(toml_text, name);
    if (!tree) return tree.error();
    try {
        auto c = read(*tree, name, env);
        if (auto checked = check_config(c); !checked)
            return error{errc::bad_configuration, name + ": " + checked.error().detail};
        return c;
    } catch (const error& e) {
        return e;
    }
}

result<config> load_config(const std::string& file, const environment& env) {
    try {
        return parse_config(read_text_file(file, "--config"), file, env);
    } catch (const error& e) {
        return e;
    }
}

result<void> check_config(const config& c) {
    if (c.issuers.empty()) return error{errc::bad_configuration, "there is no [[issuer]]"};
    return {};
}

}  // namespace mission::transmitter
