// A configuration file as a plain tree that remembers lines: the one file that knows toml++ makes
// it, and everything else reads it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace mission::settings {

struct setting {
    enum class kind { boolean, integer, decimal, text, list, table } what = kind::table;
    bool boolean = false;
    std::int64_t integer = 0;
    double decimal = 0;
    std::string text;
    std::vector<setting> items;
    std::map<std::string, setting, std::less<>> members;
    unsigned line = 0;  // 0: not from a file
    bool used = false;  // set by who reads it; what stays unused is an unknown key
};

// bad_configuration: "config.toml:12: what is wrong".
result<setting> parse_toml(std::string_view text, const std::string& name);

// JSON text of a tree, for `jwks = { keys = [..] }`.
std::string to_json(const setting& s);

}  // namespace mission::settings
