// What [check] says: where the sidecar listens, where a request names its mission, who is believed,
// and what is asked of the mission besides its standing.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "jose/key.hpp"

namespace mission::receiver::sidecar {

// Where a request names its mission. All that are configured are read, and have to agree: the first
// that is there is what the answer tells, and a second one that names another mission denies.
enum class source : std::uint8_t { header, token, certificate };
std::string_view name(source s) noexcept;

// Addresses of the proxies whose forwarded fields are believed. On a TCP connection that is the
// address of the peer; on a Unix socket it is "unix": who may open it is a matter of its file.
class peer_list {
  public:
    // "unix", "127.0.0.1", "10.1.0.0/16", "::1". bad_configuration names the entry.
    static result<peer_list> parse(const std::vector<std::string>& entries);
    bool has(std::string_view address) const noexcept;

  private:
    struct network {
        unsigned char base[16];
        int family;
        unsigned bits;
    };
    bool unix_ = false;
    std::vector<network> networks_;
};

// Where the server listens: a Unix socket, or an address and a port.
struct listen_place {
    std::string address;  // "127.0.0.1", "::1", "unix:/run/x"
    std::uint16_t port = 0;
    bool local() const noexcept { return address.starts_with("unix:"); }
    bool loopback() const noexcept;  // or a Unix socket
    friend bool operator==(const listen_place&, const listen_place&) = default;
};
// "unix:/path", "127.0.0.1:9000", "[::1]:9000". invalid_argument: a sentence.
result<listen_place> parse_listen_place(std::string_view text);

// Whose tokens are read, and which claim of them names the mission (RFC 9068, RFC 7519).
struct token_issuer {
    std::string issuer;
    std::string audience;
    std::string jwks_uri;                       // or
    std::shared_ptr<const jose::key_set> keys;  // from a file; read again at a reload
    std::string ca_pem;                         // for jwks_uri; empty: the system's trust store
    std::vector<jose::alg> algs;                // never empty
    std::vector<std::string> types{"at+jwt"};   // lower case, without "application/"
    std::vector<std::string> claim{"mission", "id"};  // the path to it
    std::chrono::seconds clock_skew{30};
    bool require_jti = false;
    // Tokens bound to a key or a certificate (`cnf`) are taken: whoever is behind us has the proof
    // of possession checked. Off: they are refused, for a bearer would pass as their holder.
    bool allow_bound = false;
};

// A certificate that the proxy has verified and tells in a field.
struct certificate_reference {
    std::string header;  // lower case
    enum class form : std::uint8_t {
        pem,   // percent-encoded PEM: nginx's $ssl_client_escaped_cert
        xfcc,  // Envoy's x-forwarded-client-cert
    } how = form::pem;
    enum class member : std::uint8_t { uri, dns, common_name } what = member::uri;
    std::string before, after;  // around {mission_id}
};

// Which action of which resource a request is. The first rule that fits decides.
struct rule {
    std::vector<std::string> methods;  // empty: every one
    std::string path;                  // "*": within a segment; "**" at its end: whatever comes
    std::string resource;              // empty: check.resource
    std::string action;                // empty: the standing of the mission is enough
};

enum class authzen_authority : std::uint8_t {
    none,         // standing alone
    resource_id,  // the request's resource.id is the mission's resource
    configured,   // check.resource is
};

struct settings {
    std::optional<listen_place> listen;  // none: no sidecar
    bool allow_remote = false;
    std::string certificate_pem, private_key_pem;  // both, or neither: plain HTTP
    unsigned threads = 2;

    std::vector<source> references{source::header};
    std::string header = "x-mission-id";  // lower case, as all fields here
    std::string token_header = "authorization", token_cookie;
    peer_list trusted_proxies;
    std::vector<token_issuer> tokens;
    std::optional<certificate_reference> certificate;

    // The mission issuer that the transmitter is, and others it may speak for: what the `issuer`
    // beside the id of a token's mission claim may be.
    std::string mission_issuer;
    std::vector<std::string> other_mission_issuers;

    bool resolve = false;
    std::chrono::milliseconds resolve_wait{500};

    std::string method_header = "x-original-method", uri_header = "x-original-uri";
    std::string resource, resource_header, action_header;
    std::vector<rule> rules;
    authzen_authority authzen = authzen_authority::none;
    std::string public_url;  // for AuthZEN's metadata; empty: none is published

    bool authority_asked() const noexcept { return !rules.empty() || !action_header.empty(); }
    bool has(source s) const noexcept {
        for (const auto r : references)
            if (r == s) return true;
        return false;
    }
};

}  // namespace mission::receiver::sidecar
