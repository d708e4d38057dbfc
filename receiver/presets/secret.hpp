// Secrets as they are at this moment. Standard library alone.
#pragma once

#include <fstream>
#include <string>

#include "mission_signals/presets.hpp"
#include "receiver/presets/limits.hpp"

namespace mission::receiver::presets {

// unfit_value: its file cannot be read now.
inline std::string read_secret(const mission_signals::secret& s) {
    if (s.file.empty()) return s.text;
    std::ifstream in(s.file, std::ios::binary);
    std::string out(limits::secret_bytes + 1, '\0');
    in.read(out.data(), static_cast<std::streamsize>(out.size()));
    if (!in.is_open() || in.bad())
        throw mission_signals::unfit_value("the secret in " + s.file + " cannot be read");
    out.resize(static_cast<std::size_t>(in.gcount()));
    if (out.size() > limits::secret_bytes)
        throw mission_signals::unfit_value(s.file + " is too large for a secret");
    while (!out.empty() && (out.back() == '\n' || out.back() == '\r'))
        out.pop_back();
    if (out.empty()) throw mission_signals::unfit_value("the secret in " + s.file + " is empty");
    return out;
}

}  // namespace mission::receiver::presets
