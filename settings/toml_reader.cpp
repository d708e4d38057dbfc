#include "base/toml_assertions.hpp"
// Behind the assertions' header.
#include <toml++/toml.h>

#include <algorithm>
#include <sstream>

#include "base/json.hpp"
#include "settings/setting.hpp"

namespace mission::settings {
namespace {

setting convert(const toml::node& node, const std::string& name) {
    setting out;
    out.line = static_cast<unsigned>(node.source().begin.line);
    if (const auto* table = node.as_table()) {
        out.what = setting::kind::table;
        for (const auto& [key, value] : *table) {
            auto child = convert(value, name);
            // The line of `key = ...`, not of what an array of tables spans.
            if (const auto at = key.source().begin.line) child.line = static_cast<unsigned>(at);
            out.members.emplace(std::string(key.str()), std::move(child));
        }
    } else if (const auto* array = node.as_array()) {
        out.what = setting::kind::list;
        for (const auto& item : *array)
            out.items.push_back(convert(item, name));
    } else if (const auto text = node.value_exact<std::string>()) {
        out.what = setting::kind::text;
        out.text = *text;
    } else if (const auto number = node.value_exact<std::int64_t>()) {
        out.what = setting::kind::integer;
        out.integer = *number;
    } else if (const auto decimal = node.value_exact<double>()) {
        out.what = setting::kind::decimal;
        out.decimal = *decimal;
    } else if (const auto yes = node.value_exact<bool>()) {
        out.what = setting::kind::boolean;
        out.boolean = *yes;
    } else if (const auto time = node.value_exact<toml::date_time>()) {
        // Whoever reads it as RFC 3339 decides whether it says enough (an offset).
        std::ostringstream written;
        written << *time;
        out.what = setting::kind::text;
        out.text = written.str();
    } else {
        throw error{errc::bad_configuration,
                    name + ":" + std::to_string(out.line) + ": dates and times are not used here"};
    }
    return out;
}

// The line of the first octet beyond ASCII outside of strings and comments, where TOML 1.0 has
// none; 0 when there is none. toml++ (3.3) looks such code points up in a table that does not have
// them all, and goes on with what is undefined. Ends at the first string without an end: so does
// toml++.
unsigned foreign_line(std::string_view text) {
    if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
    unsigned line = 1;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '\n') ++line;
        if (static_cast<unsigned char>(c) >= 0x80) return line;
        if (c == '#') {
            i = std::min(text.find('\n', i), text.size()) - 1;
        } else if (c == '"' || c == '\'') {
            const std::string three(3, c);
            const bool lines = text.substr(i).starts_with(three);
            for (i += lines ? 3 : 1;; ++i) {
                if (i >= text.size() || (text[i] == '\n' && !lines)) return 0;
                if (text[i] == '\n') ++line;
                if (text[i] == '\\' && c == '"') {
                    ++i;
                    if (i < text.size() && text[i] == '\n') ++line;
                } else if (lines ? text.substr(i).starts_with(three) : text[i] == c) {
                    break;
                }
            }
            // Up to two quotes may stand before the three that end a string of lines.
            if (lines) i = std::min(text.find_first_not_of(c, i), std::min(i + 5, text.size())) - 1;
        }
    }
    return 0;
}

void write_setting(json::writer& w, const setting& s) {
    switch (s.what) {
        case setting::kind::boolean:
            w.Bool(s.boolean);
            break;
        case setting::kind::integer:
            w.Int64(s.integer);
            break;
        case setting::kind::decimal:
            w.Double(s.decimal);
            break;
        case setting::kind::text:
            json::string(w, s.text);
            break;
        case setting::kind::list:
            w.StartArray();
            for (const auto& item : s.items)
                write_setting(w, item);
            w.EndArray();
            break;
        case setting::kind::table:
            w.StartObject();
            for (const auto& [key, value] : s.members) {
                json::key(w, key);
                write_setting(w, value);
            }
            w.EndObject();
            break;
    }
}

}  // namespace

result<setting> parse_toml(std::string_view text, const std::string& name) {
    if (const auto line = foreign_line(text); line != 0) {
        return error{errc::bad_configuration, name + ":" + std::to_string(line) +
                                                  ": outside of strings only ASCII may stand"};
    }
    try {
        return convert(toml::parse(text, name), name);
    } catch (const toml::parse_error& e) {
        return error{errc::bad_configuration, name + ":" + std::to_string(e.source().begin.line) +
                                                  ": " + std::string(e.description())};
    } catch (const error& e) {
        return e;
    } catch (const std::runtime_error& e) {
        return error{errc::bad_configuration, name + ": " + e.what()};
    }
}

std::string to_json(const setting& s) {
    json::buffer buffer;
    json::writer w(buffer);
    write_setting(w, s);
    return json::text(buffer);
}

}  // namespace mission::settings
