// Arguments of configured commands: fixed text with {names}. Pure.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace mission::receiver::program {

// "--mission={mission_id}". "{{" and "}}" stand for braces. One template makes exactly one
// argument, whatever the values hold: nothing splits, globs or expands it.
class argument_template {
  public:
    // bad_configuration: an unknown name, a brace without its partner.
    static result<argument_template> parse(std::string_view text,
                                           std::span<const std::string_view> known);

    using values = std::map<std::string, std::string, std::less<>>;
    // invalid_argument when a value holds a NUL, which no argument can.
    result<std::string> fill(const values& v) const;

  private:
    struct part {
        std::string text;
        bool is_name = false;
    };
    std::vector<part> parts_;
};

// What may be named, for teardown tasks and for events.
std::span<const std::string_view> task_names() noexcept;
std::span<const std::string_view> event_names() noexcept;

}  // namespace mission::receiver::program
