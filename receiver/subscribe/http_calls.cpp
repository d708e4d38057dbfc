#include "receiver/subscribe/http_calls.hpp"

#include <algorithm>

#include "base/json.hpp"
#include "base/limits.hpp"

namespace mission::receiver {
namespace {

void append_escaped(std::string_view text, std::string& out) {
    constexpr char hex[] = "0123456789abcdef";
    for (const char c : text) {
        if (out.size() >= limits::peer_words_bytes) {
            out += "...";
            return;
        }
        const auto octet = static_cast<unsigned char>(c);
        if (octet >= 0x20 && octet < 0x7f) {
            out += c;
        } else if (c == '\n' || c == '\r' || c == '\t') {
            out += ' ';
        } else {
            out += "\\x";
            out += hex[octet >> 4];
            out += hex[octet & 15];
        }
    }
}

std::string blanked(std::string text, std::string_view secret) {
    if (secret.empty()) return text;
    for (auto at = text.find(secret); at != std::string::npos; at = text.find(secret, at)) {
        text.replace(at, secret.size(), "[token]");
    }
    return text;
}

// The members of RFC 6749 section 5.2, RFC 8935 section 2.3 and RFC 9457.
std::string error_members(const std::string& body) {
    const auto doc = json::parse(body, limits::json_bytes);
    if (doc.has_error() || !doc->IsObject()) return {};
    std::string out;
    for (const auto name : {"error", "err", "title"}) {
        if (const auto text = json::find_string(*doc, name); text && out.empty()) out = *text;
    }
    for (const auto name : {"error_description", "description", "detail"}) {
        if (const auto text = json::find_string(*doc, name)) {
            out += (out.empty() ? "" : ", ") + std::string(*text);
            break;
        }
    }
    return out;
}

}  // namespace

void exchange(net::http_client& http, net::client_request request, http_done done) {
    auto handle = std::make_shared<std::shared_ptr<net::pending_request>>();
    *handle = http.send(
        std::move(request),
        [handle, done = std::move(done)](result<net::http_response> r) { done(std::move(r)); });
}

std::string words_of(const net::http_response& r, std::string_view secret) {
    auto text = error_members(r.body);
    if (text.empty()) text = r.body.substr(0, 4 * limits::peer_words_bytes);
    std::string out;
    append_escaped(blanked(std::move(text), secret), out);
    return out;
}

error unexpected(const net::http_response& r, std::string_view what, std::string_view secret) {
    std::string text = std::string(what) + " answered " + std::to_string(r.status);
    if (r.status >= 300 && r.status < 400) {
        return {errc::redirect_refused, text + ": redirects are not followed"};
    }
    if (const auto words = words_of(r, secret); !words.empty()) text += ": " + words;
    return {errc::http_status, std::move(text)};
}

std::chrono::milliseconds retry_after_of(const net::http_response& r) {
    const auto text = std::string(r.fields.get("retry-after"));
    if (text.empty() || text.size() > 6 ||
        !std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; })) {
        return std::chrono::milliseconds(0);
    }
    return std::min(std::chrono::milliseconds(std::stol(text) * 1000),
                    std::chrono::milliseconds(limits::retry_after_max));
}

}  // namespace mission::receiver
