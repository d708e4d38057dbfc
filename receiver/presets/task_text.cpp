// Templates over a task's values. A template is read once; its parts are then only put together.
#include <algorithm>
#include <array>

#include "base/json.hpp"
#include "mission_signals/presets.hpp"

namespace mission_signals {
namespace {

namespace json = mission::json;

constexpr std::array<std::string_view, 8> names{
    "mission_id", "issuer", "effect", "version", "name", "data", "idempotency_key", "attempt"};
constexpr std::string_view of_data = "data.";
// Held data is what a host has written; as deep as anybody's.
constexpr std::size_t data_bytes = 1u << 20;

std::string_view bare(std::string_view name) {
    return name.starts_with('+') ? name.substr(1) : name;
}

bool known(std::string_view name) {
    name = bare(name);
    if (!name.starts_with(of_data)) {
        return std::find(names.begin(), names.end(), name) != names.end();
    }
    const auto path = name.substr(of_data.size());
    return !path.empty() && path.front() != '.' && path.back() != '.' &&
           path.find("..") == std::string_view::npos;
}

[[noreturn]] void refuse(std::string_view text, const std::string& why) {
    throw setup_error("\"" + std::string(text) + "\" " + why);
}

// {data.a.b}: a text as it is; a number or a truth value as JSON writes it.
std::string member_of_data(const task& t, std::string_view path) {
    const auto parsed = json::parse(t.data, data_bytes);
    if (!parsed || !parsed->IsObject())
        throw unfit_value("the held data is no JSON object: no {data." + std::string(path) + "}");
    const json::value* at = &*parsed;
    for (auto rest = path; at != nullptr;) {
        const auto dot = rest.find('.');
        at = json::find(*at, rest.substr(0, dot));
        if (dot == std::string_view::npos) break;
        rest.remove_prefix(dot + 1);
    }
    if (at == nullptr || at->IsNull() || at->IsObject() || at->IsArray())
        throw unfit_value("the held data has no value {data." + std::string(path) + "}");
    return at->IsString() ? std::string(json::view(*at)) : json::write(*at);
}

std::string value_of(const task& t, std::string_view name) {
    name = bare(name);
    if (name == "mission_id") return t.mission_id;
    if (name == "issuer") return t.issuer;
    if (name == "effect") return std::string(mission_signals::name(t.why));
    if (name == "version") return std::to_string(t.version);
    if (name == "name") return t.name;
    if (name == "data") return t.data;
    if (name == "idempotency_key") return t.idempotency_key;
    if (name == "attempt") return std::to_string(t.attempt);
    return member_of_data(t, name.substr(of_data.size()));
}

}  // namespace

task_text::task_text(std::string_view text) : text_(text) {
    std::string plain;
    for (std::size_t at = 0; at < text.size(); ++at) {
        const char c = text[at];
        const bool doubled = at + 1 < text.size() && text[at + 1] == c;
        if ((c == '{' || c == '}') && doubled) {
            plain += c;
            ++at;
        } else if (c == '}') {
            refuse(text, "has a '}' without '{' (\"}}\" for the brace)");
        } else if (c == '{') {
            const auto end = text.find('}', at);
            if (end == std::string_view::npos)
                refuse(text, "has a '{' without '}' (\"{{\" for the brace)");
            const auto name = text.substr(at + 1, end - at - 1);
            if (!known(name)) {
                std::string all;
                for (const auto n : names)
                    all.append("{").append(n).append("}, ");
                refuse(text, "names {" + std::string(name) + "}, which is none of " + all +
                                 "{data.member}");
            }
            if (!plain.empty()) parts_.push_back({std::move(plain), false});
            plain.clear();
            parts_.push_back({std::string(name), true});
            at = end;
        } else {
            plain += c;
        }
    }
    if (!plain.empty()) parts_.push_back({std::move(plain), false});
}

std::string task_text::fill(const task& t, const encoder& encode) const {
    std::string out;
    for (const auto& p : parts_) {
        if (!p.is_name) {
            out += p.text;
        } else if (encode) {
            out += encode(p.text, value_of(t, p.text));
        } else {
            out += value_of(t, p.text);
        }
    }
    return out;
}

bool task_text::fixed() const noexcept {
    return std::none_of(parts_.begin(), parts_.end(), [](const part& p) { return p.is_name; });
}

std::string_view task_text::fixed_start() const noexcept {
    if (parts_.empty() || parts_.front().is_name) return {};
    return parts_.front().text;
}

}  // namespace mission_signals
