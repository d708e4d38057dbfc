// Reads the configuration file of wire.md section 6. Every key is known or an error that names its
// line; environment variables override; secrets may live in files or in the environment.
#pragma once

#include <string>
#include <string_view>

#include "settings/section.hpp"
#include "transmitter/config.hpp"

namespace mission::transmitter {

using settings::environment;
using settings::process_environment;

// `name` stands in error messages ("state/config.toml:12: ..."). bad_configuration.
result<config> parse_config(std::string_view toml_text, const std::string& name,
                            const environment& env);
result<config> load_config(const std::string& file, const environment& env);

// What must be there at all. Part of parse_config.
result<void> check_config(const config& c);

// "127.0.0.1:8443", "[::1]:0", "unix:/run/x.sock" (port 0).
result<std::pair<std::string, std::uint16_t>> parse_listen(std::string_view text);
// Checks an issuer's URL and splits off its path.
result<issuer_config> parse_issuer_url(std::string_view text);

}  // namespace mission::transmitter
