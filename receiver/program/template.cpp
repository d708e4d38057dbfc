#include "receiver/program/template.hpp"

#include <algorithm>
#include <array>

namespace mission::receiver::program {
namespace {

constexpr std::array<std::string_view, 8> of_tasks{
    "mission_id", "issuer", "effect", "version", "name", "data", "idempotency_key", "attempt"};
constexpr std::array<std::string_view, 9> of_events{
    "type", "iss", "jti", "txn", "issued_at", "subject", "event", "idempotency_key", "attempt"};

}  // namespace

std::span<const std::string_view> task_names() noexcept {
    return of_tasks;
}

std::span<const std::string_view> event_names() noexcept {
    return of_events;
}

result<argument_template> argument_template::parse(std::string_view text,
                                                   std::span<const std::string_view> known) {
    argument_template out;
    std::string fixed;
    for (std::size_t at = 0; at < text.size(); ++at) {
        const char c = text[at];
        const bool doubled = at + 1 < text.size() && text[at + 1] == c;
        if ((c == '{' || c == '}') && doubled) {
            fixed += c;
            ++at;
        } else if (c == '}') {
            return error{errc::bad_configuration, "has a '}' without '{' (\"}}\" for the brace)"};
        } else if (c == '{') {
            const auto end = text.find('}', at);
            if (end == std::string_view::npos)
                return error{errc::bad_configuration,
                             "has a '{' without '}' (\"{{\" for the brace)"};
            const auto name = text.substr(at + 1, end - at - 1);
            if (std::find(known.begin(), known.end(), name) == known.end()) {
                std::string names;
                for (const auto k : known)
                    names += (names.empty() ? "{" : ", {") + std::string(k) + "}";
                return error{errc::bad_configuration,
                             "names {" + std::string(name) + "}, which is none of " + names};
            }
            if (!fixed.empty()) out.parts_.push_back({std::move(fixed), false});
            fixed.clear();
            out.parts_.push_back({std::string(name), true});
            at = end;
        } else {
            fixed += c;
        }
    }
    if (!fixed.empty()) out.parts_.push_back({std::move(fixed), false});
    return out;
}

result<std::string> argument_template::fill(const values& v) const {
    std::string out;
    for (const auto& p : parts_) {
        if (!p.is_name) {
            out += p.text;
            continue;
        }
        const auto it = v.find(p.text);
        if (it == v.end()) continue;  // known, but this task has none: empty
        if (it->second.find('\0') != std::string::npos)
            return error{errc::invalid_argument, "{" + p.text + "} holds a NUL"};
        out += it->second;
    }
    return out;
}

}  // namespace mission::receiver::program
