// Text of protocols: letters are those of ASCII, whatever the locale.
#pragma once

#include <string>
#include <string_view>

namespace mission {

// With a-z for A-Z; every other octet as it is.
inline std::string ascii_lower(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return out;
}

}  // namespace mission
