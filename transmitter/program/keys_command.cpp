#include "transmitter/program/keys_command.hpp"

#include <vector>

#include "transmitter/program/key_keeper.hpp"

namespace mission::transmitter {
namespace {

std::string line_of(const std::string& issuer, const key_listing& k) {
    std::string out = issuer + "  " + k.alg + "  " + k.role + "  " + k.kid;
    if (!k.file.empty()) out += "  " + k.file;
    if (k.since) out += "  since " + to_rfc3339(*k.since);
    if (k.role == "next") {
        if (!k.published_at)
            out += "  not published yet";
        else
            out += std::string(k.scheduled ? "  becomes current at " : "  usable from ") +
                   to_rfc3339(*k.until);
        if (!k.published_at && k.scheduled) out += ", becomes current after its lead";
    }
    if (k.role == "retained")
        out +=
            k.until ? "  until " + to_rfc3339(*k.until) : "  as long as mission records are kept";
    return out + "\n";
}

std::string line_of(const std::string& issuer, const key_change& c) {
    std::string out = issuer + "  " + std::string(jose::name(c.algorithm)) + "  ";
    if (c.done) return out + c.kid + " signs now, after " + c.old_kid + "\n";
    out += c.kid + " will sign ";
    if (c.at) return out + "from " + to_rfc3339(*c.at) + " on: its lead is not over\n";
    return out + "once it has been in the JWKS for its lead: no transmitter has served it yet\n";
}

result<std::string> list(const config& settings, const std::vector<std::string>& issuers) {
    std::string out;
    for (const auto& issuer : issuers) {
        const auto keys =
            list_keys(key_directory(settings, issuer), key_options(settings, nullptr));
        if (!keys) return keys.error();
        for (const auto& k : *keys)
            out += line_of(issuer, k);
    }
    return out;
}

result<std::string> rotate(const config& settings, const std::vector<std::string>& issuers,
                           const std::string& alg) {
    std::string out;
    for (const auto& issuer : issuers)
        for (const auto a : {jose::alg::es256, jose::alg::rs256}) {
            if (!alg.empty() && alg != jose::name(a)) continue;
            const auto done =
                rotate_key(key_directory(settings, issuer), a, key_options(settings, nullptr));
            if (!done) return error{done.error().code, out + done.error().detail};
            out += line_of(issuer, *done);
        }
    return out;
}

// A kid is a thumbprint: at most one issuer has it.
result<std::string> revoke(const config& settings, const std::vector<std::string>& issuers,
                           const std::string& kid) {
    for (const auto& issuer : issuers) {
        const auto directory = key_directory(settings, issuer);
        const auto options = key_options(settings, nullptr);
        // Refusals are audited where the key may have been meant, not everywhere.
        const auto keys = list_keys(directory, options);
        if (!keys && keys.error().code != errc::not_found) return keys.error();
        bool here = issuers.size() == 1;
        if (keys)
            for (const auto& k : *keys)
                here = here || k.kid == kid;
        if (!here) continue;
        const auto done = revoke_key(directory, kid, options);
        if (!done) return done.error();
        std::string out =
            issuer + "  " + std::string(jose::name(done->algorithm)) + "  " + kid + " is revoked";
        if (!done->kid.empty()) out += "; " + done->kid + " signs now";
        return out + "\n";
    }
    return error{errc::not_found, "no issuer has a key " + kid};
}

}  // namespace

result<std::string> keys_command(const config& settings, const keys_request& request) {
    std::vector<std::string> issuers;
    for (const auto& issuer : settings.issuers)
        if (request.issuer.empty() || request.issuer == issuer.url) issuers.push_back(issuer.url);
    if (issuers.empty())
        return error{errc::not_found,
                     "there is no issuer " + request.issuer + " in this configuration"};
    switch (request.what) {
        case keys_request::kind::list:
            return list(settings, issuers);
        case keys_request::kind::rotate:
            return rotate(settings, issuers, request.alg);
        case keys_request::kind::revoke:
            break;
    }
    return revoke(settings, issuers, request.kid);
}

}  // namespace mission::transmitter
