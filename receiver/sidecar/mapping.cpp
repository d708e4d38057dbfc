#include "receiver/sidecar/mapping.hpp"

#include <algorithm>

#include "net/http.hpp"

namespace mission::receiver::sidecar {
namespace {

error unclear(const char* why) {
    return {errc::invalid_argument, why};
}

}  // namespace

result<std::string> plain_path(std::string_view target) {
    auto raw = target.substr(0, target.find('?'));
    if (raw.empty() || raw.front() != '/') return unclear("not a path");
    if (raw.find('#') != std::string_view::npos) return unclear("a fragment");
    for (std::size_t at = raw.find('%'); at != std::string_view::npos; at = raw.find('%', at + 1)) {
        const auto code = raw.substr(at, 3);
        // RFC 3986 section 2.2: an encoded delimiter is not the delimiter, but not everybody knows.
        for (const std::string_view doubtful : {"%2f", "%2F", "%5c", "%5C", "%25"})
            if (code == doubtful) return unclear("an encoded delimiter");
    }
    auto path = net::percent_decode(raw);
    if (!path) return unclear("bad percent-encoding");
    for (const char c : *path) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '\\' || c == ';')
            return unclear("a character that servers read differently");
    }
    for (std::size_t at = 0; at < path->size();) {
        const auto end = std::min(path->find('/', at + 1), path->size());
        const auto segment = std::string_view(*path).substr(at + 1, end - at - 1);
        if (segment == "." || segment == "..") return unclear("a dot segment");
        if (segment.empty() && end != path->size()) return unclear("an empty segment");
        at = end;
    }
    return std::move(*path);
}

bool path_fits(std::string_view pattern, std::string_view path) noexcept {
    // Stars keep to their segment, so only the last one met can have taken too little.
    constexpr auto none = std::string_view::npos;
    std::size_t p = 0, t = 0, star = none, taken = 0;
    for (;;) {
        if (p < pattern.size() && pattern[p] == '*') {
            if (p + 1 < pattern.size() && pattern[p + 1] == '*') return true;  // at the end alone
            star = ++p;
            taken = t;
        } else if (t == path.size() && p == pattern.size()) {
            return true;
        } else if (t < path.size() && p < pattern.size() && pattern[p] == path[t]) {
            ++p;
            ++t;
        } else if (star != none && taken < path.size() && path[taken] != '/') {
            p = star;
            t = ++taken;
        } else {
            return false;
        }
    }
}

const rule* find_rule(const std::vector<rule>& rules, std::string_view method,
                      std::string_view path) noexcept {
    const auto it = std::find_if(rules.begin(), rules.end(), [&](const rule& r) {
        return (r.methods.empty() ||
                std::find(r.methods.begin(), r.methods.end(), method) != r.methods.end()) &&
               path_fits(r.path, path);
    });
    return it == rules.end() ? nullptr : &*it;
}

}  // namespace mission::receiver::sidecar
