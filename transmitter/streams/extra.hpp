// Small members of a stream that have no column of their own (store::stream::extra). Pure.
//
//   paused_by       "operator" | "transmitter": who has paused it, when it was not the receiver
//   disabled_at     seq of the log's head when it was disabled
//   verified_at     milliseconds since the epoch: the last requested verification
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mission::transmitter {

inline constexpr std::string_view paused_by_operator = "operator";

// Nothing for a member that is not there or of another type.
std::string extra_string(std::string_view extra, std::string_view name);
std::optional<std::int64_t> extra_number(std::string_view extra, std::string_view name);

// The text with one member set or, by nullopt, taken out; the others stay. Empty for no members.
std::string with_extra(std::string_view extra, std::string_view name,
                       std::optional<std::string_view> text);
std::string with_extra_number(std::string_view extra, std::string_view name, std::int64_t number);

}  // namespace mission::transmitter
