#include "transmitter/program/prepare.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>

#include "events/mission_event.hpp"
#include "jose/key.hpp"
#include "net/dev_certificate.hpp"
#include "transmitter/auth/authenticator.hpp"
#include "transmitter/keys/key_ring.hpp"
#include "transmitter/keys/private_file.hpp"
#include "transmitter/log.hpp"

namespace mission::transmitter {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::days dev_certificate_validity{365};

result<std::string> read_file(const std::string& path, const char* what) {
    std::ifstream in(path, std::ios::binary);
    std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    if (!in.is_open() || in.bad() || text.empty())
        return error{errc::bad_configuration, std::string(what) + " cannot be read: " + path};
    return text;
}

bool exists(const std::string& path) {
    std::error_code ignored;
    return fs::exists(path, ignored);
}

bool is_loopback(const std::string& address) {
    return address.starts_with("127.") || address == "::1" || address == "localhost" ||
           address.starts_with("unix:");
}

result<void> make_certificate(config& settings, const std::string& folder) {
    settings.tls.certificate = folder + "/certificate.pem";
    settings.tls.private_key = folder + "/private_key.pem";
    const std::string ca = folder + "/ca.pem";
    if (!exists(settings.tls.certificate) || !exists(settings.tls.private_key) || !exists(ca)) {
        const auto made = net::make_dev_certificate({}, dev_certificate_validity);
        if (!made) return made.error();
        std::error_code ignored;
        for (const auto& stale : {settings.tls.certificate, settings.tls.private_key, ca})
            fs::remove(stale, ignored);
        if (auto r = write_private_file(settings.tls.private_key, made->private_key_pem); !r)
            return r;
        if (auto r = write_private_file(settings.tls.certificate, made->certificate_pem); !r)
            return r;
        if (auto r = write_private_file(ca, made->ca_pem); !r) return r;
    }
    log(level::info, "development certificate for localhost; clients trust its CA", {{"ca", ca}});
    return {};
}

result<jose::private_key> client_key(const std::string& file) {
    if (!exists(file)) {
        const auto key = jose::private_key::generate(jose::alg::es256);
        if (!key) return key.error();
        if (auto r = write_private_file(file, key->to_pem()); !r) return r.error();
    }
    const auto pem = read_private_file(file);
    if (!pem) return pem.error();
    auto key = jose::private_key::from_pem(*pem);
    if (!key) return error{key.error().code, file + ": " + key.error().message()};
    return key;
}

struct example {
    const char* id;
    const char* audience;
    std::vector<std::string> scopes, lifecycle, disclose;
    mission_visibility::kind missions;
};

result<void> make_clients(config& settings, const std::string& folder) {
    const std::vector<example> examples{
        {"operator",
         "",
         {"mission.read", "mission.write", "mission.scope", "mission_status", "mission_lifecycle",
          "mission_management", "signals.emit", "ssf.admin"},
         {"revoke", "suspend", "resume", "complete"},
         {"tenant", "user", "reason"},
         mission_visibility::kind::all},
        {"example-resource-server",
         "https://erp.example.com",
         {"ssf.read", "ssf.manage", "mission_status", "mission.read"},
         {},
         {"reason"},
         mission_visibility::kind::audience},
        {"example-orchestrator",
         "https://orchestrator.example.com",
         {"ssf.read", "ssf.manage", "mission_status", "mission.read"},
         {},
         {"reason"},
         mission_visibility::kind::all},
    };
    for (const auto& e : examples) {
        const std::string file = folder + "/" + e.id + ".pem";
        const auto key = client_key(file);
        if (!key) return key.error();
        client_config c;
        c.id = e.id;
        c.issuer = settings.issuers.front().url;
        c.audience = e.audience;
        c.scopes = e.scopes;
        c.lifecycle = e.lifecycle;
        c.disclose = e.disclose;
        c.missions.what = e.missions;
        if (c.id == examples.front().id) c.signals_to = "all";
        c.jwks.add(key->to_public());
        settings.clients.push_back(std::move(c));
        log(level::info, "example client", {{"client_id", e.id}, {"private_key", file}});
    }
    return {};
}

}  // namespace

result<void> prepare_secrets(config& settings) {
    if (!settings.secrets_key.empty()) return {};
    auto key = load_secret_key(settings.secrets_key_file);
    if (!key) return key.error();
    settings.secrets_key = std::move(*key);
    return {};
}

result<std::pair<std::string, std::string>> load_certificate(const config& settings,
                                                             const std::string& certificate_pem,
                                                             const std::string& private_key_pem) {
    if (!certificate_pem.empty()) return std::pair{certificate_pem, private_key_pem};
    if (settings.tls.certificate.empty())
        return error{errc::bad_configuration,
                     "[tls] certificate and private_key are missing (--dev makes them)"};
    const auto certificate = read_file(settings.tls.certificate, "[tls] certificate");
    if (!certificate) return certificate.error();
    const auto key = read_file(settings.tls.private_key, "[tls] private_key");
    if (!key) return key.error();
    return std::pair{*certificate, *key};
}

result<void> client_certificates(const config& settings, net::server_options& out) {
    if (!settings.tls.client_ca.empty()) {
        const auto ca = read_file(settings.tls.client_ca, "[tls] client_ca");
        if (!ca) return ca.error();
        out.client_ca_pem = *ca;
    } else {
        out.accept_any_client_certificate = uses_client_certificates(settings);
    }
    return {};
}

void warn_of(const config& settings, wall_time now) {
    for (const auto& c : settings.clients) {
        if (c.token.empty()) continue;
        if (!c.token_expires)
            log(level::warning, "a static token without token_expires never ends",
                {{"client_id", c.id}});
        else if (*c.token_expires <= now)
            log(level::warning, "a static token has expired",
                {{"client_id", c.id}, {"token_expires", to_rfc3339(*c.token_expires)}});
    }
}

result<void> prepare_dev(config& settings, const std::string& folder) {
    if (auto r = make_private_folder(folder); !r) return r;
    if (settings.tls.certificate.empty()) {
        if (!is_loopback(settings.listen_address) ||
            (!settings.admin.address.empty() && !is_loopback(settings.admin.address)))
            return error{errc::bad_configuration,
                         "--dev listens on loopback only; [tls] certificate is needed elsewhere"};
        if (auto r = make_certificate(settings, folder); !r) return r;
    }
    if (settings.clients.empty()) return make_clients(settings, folder);
    return {};
}

config dev_config() {
    config c;
    c.event_type_base = std::string(events::event_type_base);
    c.issuers.push_back({"https://localhost:8443", "", false, false});
    c.admin.address = "127.0.0.1";
    c.admin.port = 9443;
    c.push.allow = {"127.0.0.0/8", "::1/128"};
    return c;
}

}  // namespace mission::transmitter
