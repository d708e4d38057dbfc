#include "transmitter/auth/access_token.hpp"

#include <algorithm>

#include "base/json.hpp"
#include "jose/base64url.hpp"
#include "jose/digest.hpp"

namespace mission::transmitter {

token_sealer::token_sealer(std::string_view secrets_key, std::string_view issuer)
    : key_(jose::view(jose::hmac_sha256(secrets_key, "mission-signals access token"))),
      context_("access_token " + std::string(issuer)) {}

std::string token_sealer::seal(const token_content& content, random_source& random) const {
    json::buffer buffer;
    json::writer w(buffer);
    w.StartObject();
    json::member(w, "c", content.client_id);
    json::member(w, "s", join_scopes(content.scopes));
    json::key(w, "e");
    w.Int64(to_milliseconds(content.expires));
    if (!content.audience.empty()) json::member(w, "a", content.audience);
    if (!content.jkt.empty()) json::member(w, "j", content.jkt);
    if (!content.x5t.empty()) json::member(w, "x", content.x5t);
    w.EndObject();
    return jose::base64url_encode(jose::seal(key_, context_, json::text(buffer), random));
}

result<token_content> token_sealer::open(std::string_view token, wall_time now) const {
    if (token.size() > limits::access_token_bytes) return error{errc::malformed_token};
    const auto sealed = jose::base64url_decode(token);
    if (!sealed) return error{errc::malformed_token};
    const auto plain = jose::open_sealed(key_, context_, *sealed);
    if (!plain) return error{errc::malformed_token};
    const auto parsed = json::parse(*plain);
    if (!parsed) return error{errc::malformed_token};
    const auto client = json::find_string(*parsed, "c");
    const auto scopes = json::find_string(*parsed, "s");
    const auto expires = json::find_int(*parsed, "e");
    if (!client || !scopes || !expires) return error{errc::malformed_token};
    const auto text = [&](std::string_view name) {
        return std::string(json::find_string(*parsed, name).value_or(""));
    };
    token_content out{std::string(*client),
                      split_scopes(*scopes),
                      from_milliseconds(*expires),
                      text("a"),
                      text("j"),
                      text("x")};
    if (out.expires <= now) return error{errc::token_expired};
    return out;
}

std::vector<std::string> split_scopes(std::string_view text) {
    std::vector<std::string> out;
    for (std::size_t at = 0; at < text.size();) {
        const auto space = std::min(text.find(' ', at), text.size());
        const auto scope = text.substr(at, space - at);
        if (!scope.empty() && std::find(out.begin(), out.end(), scope) == out.end())
            out.emplace_back(scope);
        at = space + 1;
    }
    return out;
}

std::string join_scopes(const std::vector<std::string>& scopes) {
    std::string out;
    for (const auto& s : scopes)
        out += (out.empty() ? "" : " ") + s;
    return out;
}

}  // namespace mission::transmitter
