#include "receiver/subscribe/http_calls.hpp"

#include <algorithm>

#include "base/json.hpp"
#include "base/limits.hpp"

namespace mission::receiver {
namespace {

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

std::string words_of(const net::http_response& r, const secrets& known) {
    const auto text = error_members(r.body);
    return peer_words(text.empty() ? std::string_view(r.body) : text, known);
}

error unexpected(const net::http_response& r, std::string_view what, const secrets& known) {
    std::string text = std::string(what) + " answered " + std::to_string(r.status);
    if (r.status >= 300 && r.status < 400) {
        return {errc::redirect_refused, text + ": redirects are not followed"};
    }
    // A success of another kind than expected carries what was asked for: a token, perhaps.
    const auto words =
        r.status < 300 ? peer_words(error_members(r.body), known) : words_of(r, known);
    if (!words.empty()) text += ": " + words;
    return {errc::http_status, std::move(text)};
}

std::chrono::milliseconds retry_after_of(const net::http_response& r) {
    const auto text = std::string(r.fields.get("retry-after"));
    if (text.empty() ||
        !std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; })) {
        return std::chrono::milliseconds(0);
    }
    constexpr auto longest = std::chrono::milliseconds(limits::retry_after_max);
    if (text.size() > 6) return longest;
    return std::min(std::chrono::milliseconds(std::stol(text) * 1000), longest);
}

void peer_pause::begin(instant now, std::chrono::milliseconds wait, error why) {
    std::lock_guard lock(m_);
    until_ = now.mono + wait.count();
    why_ = std::move(why);
}

std::chrono::milliseconds peer_pause::left(instant now) const {
    std::lock_guard lock(m_);
    return std::chrono::milliseconds(std::max<std::int64_t>(until_ - now.mono, 0));
}

std::optional<error> peer_pause::still(instant now) const {
    std::lock_guard lock(m_);
    if (now.mono >= until_) return std::nullopt;
    return why_;
}

}  // namespace mission::receiver
