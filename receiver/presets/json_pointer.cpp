#include "receiver/presets/json_pointer.hpp"

#include <charconv>
#include <string>

namespace mission::receiver::presets {
namespace {

// RFC 6901 section 4: ~1 is a slash, ~0 a tilde.
std::string unescaped(std::string_view token) {
    std::string out;
    for (std::size_t i = 0; i < token.size(); ++i) {
        if (token[i] == '~' && i + 1 < token.size()) {
            out += token[++i] == '1' ? '/' : '~';
        } else {
            out += token[i];
        }
    }
    return out;
}

const json::value* child(const json::value& of, const std::string& token) {
    if (of.IsObject()) return json::find(of, token);
    if (!of.IsArray() || token.empty() || (token.size() > 1 && token[0] == '0')) return nullptr;
    unsigned index = 0;
    const auto* end = token.data() + token.size();
    const auto [stopped, failed] = std::from_chars(token.data(), end, index);
    if (failed != std::errc{} || stopped != end || index >= of.Size()) return nullptr;
    return &of[index];
}

}  // namespace

bool valid_pointer(std::string_view pointer) noexcept {
    if (pointer.empty()) return true;
    if (pointer.front() != '/') return false;
    for (std::size_t i = 0; i < pointer.size(); ++i) {
        if (pointer[i] != '~') continue;
        if (i + 1 >= pointer.size() || (pointer[i + 1] != '0' && pointer[i + 1] != '1'))
            return false;
    }
    return true;
}

const json::value* at_pointer(const json::value& whole, std::string_view pointer) {
    const auto* at = &whole;
    while (at != nullptr && !pointer.empty()) {
        pointer.remove_prefix(1);
        const auto end = std::min(pointer.find('/'), pointer.size());
        at = child(*at, unescaped(pointer.substr(0, end)));
        pointer.remove_prefix(end);
    }
    return at;
}

}  // namespace mission::receiver::presets
