#include "settings/section.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <iterator>

namespace mission::settings {
namespace {

std::string upper(std::string_view text) {
    std::string out;
    for (const char c : text)
        out += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : (c == '.' ? '_' : c);
    return out;
}

std::string strip(std::string_view text) {
    const auto first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    return std::string(text.substr(first, text.find_last_not_of(" \t") - first + 1));
}

}  // namespace

environment process_environment() {
    return [](const std::string& name) -> std::optional<std::string> {
        const char* value = std::getenv(name.c_str());
        if (!value) return std::nullopt;
        return std::string(value);
    };
}

std::string read_text_file(const std::string& path, const std::string& what) {
    std::ifstream in(path, std::ios::binary);
    std::string content((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    if (!in.is_open() || in.bad())
        throw error{errc::bad_configuration, what + ": cannot read " + path};
    return content;
}

section::section(setting* table, std::string name, const std::string& file, const environment& env,
                 bool overridable, std::string_view prefix)
    : table_(table),
      name_(std::move(name)),
      file_(file),
      env_(env),
      overridable_(overridable),
      prefix_(prefix) {
    if (!table_) return;
    table_->used = true;
    if (table_->what != setting::kind::table)
        throw error{errc::bad_configuration,
                    file_ + ":" + std::to_string(table_->line) + ": " + name_ + " must be a table"};
}

std::string section::label(std::string_view key) const {
    return name_.empty() ? std::string(key) : name_ + "." + std::string(key);
}

std::string section::variable_of(std::string_view key) const {
    return std::string(prefix_) + upper(label(key));
}

std::optional<std::string> section::override_of(std::string_view key) const {
    if (!overridable_ || !env_) return std::nullopt;
    return env_(variable_of(key));
}

setting* section::find(std::string_view key) {
    if (!table_) return nullptr;
    const auto it = table_->members.find(key);
    if (it == table_->members.end()) return nullptr;
    it->second.used = true;
    return &it->second;
}

void section::fail(std::string_view key, const std::string& what) const {
    std::string where;
    if (override_of(key)) {
        where = variable_of(key) + ": ";
    } else {
        unsigned line = table_ ? table_->line : 0;
        if (table_)
            if (const auto it = table_->members.find(key); it != table_->members.end())
                line = it->second.line;
        where = file_ + ":" + (line ? std::to_string(line) + ": " : std::string(" "));
    }
    throw error{errc::bad_configuration, where + label(key) + " " + what};
}

std::optional<std::string> section::text(std::string_view key) {
    const auto* s = find(key);
    if (auto v = override_of(key)) return v;
    if (!s) return std::nullopt;
    if (s->what != setting::kind::text) fail(key, "must be a string");
    return s->text;
}

std::string section::required_text(std::string_view key) {
    auto v = text(key);
    if (!v || v->empty()) fail(key, "is missing");
    return *v;
}

std::optional<std::string> section::one_of(std::string_view key,
                                           std::initializer_list<std::string_view> allowed) {
    auto v = text(key);
    if (v && std::find(allowed.begin(), allowed.end(), *v) == allowed.end()) {
        std::string names;
        for (const auto a : allowed)
            names += (names.empty() ? "\"" : ", \"") + std::string(a) + "\"";
        fail(key, "must be one of " + names);
    }
    return v;
}

std::optional<bool> section::boolean(std::string_view key) {
    const auto* s = find(key);
    if (const auto v = override_of(key)) {
        if (*v == "true" || *v == "1") return true;
        if (*v == "false" || *v == "0") return false;
        fail(key, "must be true or false");
    }
    if (!s) return std::nullopt;
    if (s->what != setting::kind::boolean) fail(key, "must be true or false");
    return s->boolean;
}

std::optional<std::int64_t> section::integer(std::string_view key, std::int64_t low,
                                             std::int64_t high) {
    const auto v = number(key, static_cast<double>(low), static_cast<double>(high));
    if (!v) return std::nullopt;
    const auto whole = static_cast<std::int64_t>(*v);
    if (static_cast<double>(whole) != *v) fail(key, "must be a whole number");
    return whole;
}

std::optional<double> section::number(std::string_view key, double low, double high) {
    const auto* s = find(key);
    double value = 0;
    if (const auto v = override_of(key)) {
        const auto [end, failed] = std::from_chars(v->data(), v->data() + v->size(), value);
        if (failed != std::errc{} || end != v->data() + v->size()) fail(key, "must be a number");
    } else if (!s) {
        return std::nullopt;
    } else if (s->what == setting::kind::integer) {
        value = static_cast<double>(s->integer);
    } else if (s->what == setting::kind::decimal) {
        value = s->decimal;
    } else {
        fail(key, "must be a number");
    }
    // Written so that NaN is outside, too.
    if (!(value >= low && value <= high)) {
        const auto plain = [](double d) { return std::to_string(static_cast<std::int64_t>(d)); };
        fail(key, "must be between " + (low > 0 && low < 1 ? std::string("0") : plain(low)) +
                      " and " + plain(high));
    }
    return value;
}

std::vector<std::string> section::list(std::string_view key) {
    const auto* s = find(key);
    std::vector<std::string> out;
    if (const auto v = override_of(key)) {
        for (std::size_t at = 0; at <= v->size();) {
            const auto comma = std::min(v->find(',', at), v->size());
            if (auto item = strip(std::string_view(*v).substr(at, comma - at)); !item.empty())
                out.push_back(std::move(item));
            at = comma + 1;
        }
        return out;
    }
    if (!s) return out;
    if (s->what != setting::kind::list) fail(key, "must be a list of strings");
    for (const auto& item : s->items) {
        if (item.what != setting::kind::text || item.text.empty())
            fail(key, "must be a list of strings");
        out.push_back(item.text);
    }
    return out;
}

std::vector<std::string> section::list_of(std::string_view key,
                                          std::initializer_list<std::string_view> allowed) {
    auto out = list(key);
    for (const auto& item : out)
        if (std::find(allowed.begin(), allowed.end(), item) == allowed.end())
            fail(key, "has the unknown entry \"" + item + "\"");
    return out;
}

std::optional<std::string> section::secret(std::string_view key) {
    auto* s = find(key);
    if (auto v = override_of(key)) return v;
    if (!s) return std::nullopt;
    if (s->what == setting::kind::text) return s->text;
    if (s->what == setting::kind::table && s->members.size() == 1) {
        auto& [name, value] = *s->members.begin();
        if (value.what == setting::kind::text && name == "file") {
            auto content = read_text_file(
                value.text, file_ + ":" + std::to_string(s->line) + ": " + label(key));
            while (!content.empty() && (content.back() == '\n' || content.back() == '\r'))
                content.pop_back();
            return content;
        }
        if (value.what == setting::kind::text && name == "env") {
            auto from = env_ ? env_(value.text) : std::nullopt;
            if (!from) fail(key, "names the environment variable " + value.text + ", not set");
            return from;
        }
    }
    fail(key, "must be a string, { file = \"...\" } or { env = \"...\" }");
}

setting* section::raw(std::string_view key) {
    return find(key);
}

void section::not_yet(std::string_view key) {
    if (find(key) || override_of(key)) fail(key, "is not available in this version");
}

void section::finish() const {
    if (!table_) return;
    for (const auto& [key, value] : table_->members)
        if (!value.used)
            throw error{errc::bad_configuration, file_ + ":" + std::to_string(value.line) +
                                                     ": unknown key \"" + label(key) + "\""};
}

}  // namespace mission::settings
