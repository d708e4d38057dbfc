// The configuration files of both programs: what operators hand in.
#include <optional>
#include <string>

#include "fuzz/targets.hpp"
#include "receiver/program/config.hpp"
#include "settings/setting.hpp"
#include "transmitter/config/read_config.hpp"

namespace mission::fuzz {
namespace {

std::optional<std::string> no_environment(const std::string&) {
    return std::nullopt;
}

}  // namespace

void configuration(std::string_view input) {
    const auto tree = settings::parse_toml(input, "fuzz.toml");
    if (tree.has_error()) {
        hold_to(tree.error().code == errc::bad_configuration, "an error of the configuration");
        return;
    }
    const auto ours = receiver::program::parse_config(input, "fuzz.toml", no_environment);
    if (ours.has_error())
        hold_to(!ours.error().detail.empty(), "what is wrong with the configuration is said");
    const auto theirs = transmitter::parse_config(input, "fuzz.toml", no_environment);
    if (theirs.has_error())
        hold_to(!theirs.error().detail.empty(), "what is wrong with the configuration is said");
}

}  // namespace mission::fuzz
