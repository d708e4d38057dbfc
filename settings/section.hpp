// One table of the configuration while it is read: typed access, overrides, lines in messages.
// Errors are thrown as `error` (bad_configuration) and caught by who reads a whole file: this is
// start-up.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "settings/setting.hpp"

namespace mission::settings {

// The environment, as a parameter for tests.
using environment = std::function<std::optional<std::string>(const std::string& name)>;
environment process_environment();

class section {
  public:
    // `table` null: the section is absent, but may still be overridden. `name` is "" at the top.
    // Entries of arrays of tables are not `overridable`: there are several of one name. An override
    // is the variable PREFIX + SECTION_KEY; `file`, `env` and `prefix` outlive the section.
    section(setting* table, std::string name, const std::string& file, const environment& env,
            bool overridable = true, std::string_view prefix = "MISSION_");

    std::optional<std::string> text(std::string_view key);
    std::string required_text(std::string_view key);
    std::optional<std::string> one_of(std::string_view key,
                                      std::initializer_list<std::string_view> allowed);
    std::optional<bool> boolean(std::string_view key);
    std::optional<std::int64_t> integer(std::string_view key, std::int64_t low, std::int64_t high);
    std::optional<double> number(std::string_view key, double low, double high);
    std::vector<std::string> list(std::string_view key);
    std::vector<std::string> list_of(std::string_view key,
                                     std::initializer_list<std::string_view> allowed);
    // A string, { file = ".." } or { env = ".." }.
    std::optional<std::string> secret(std::string_view key);
    // The tree itself, marked as used; null when absent. Knows nothing of overrides:
    setting* raw(std::string_view key);
    std::optional<std::string> override_of(std::string_view key) const;
    // Refuses the key when it is there: it belongs to a later version and would be ignored
    // silently.
    void not_yet(std::string_view key);

    // An unknown key is an error that names its line.
    void finish() const;
    [[noreturn]] void fail(std::string_view key, const std::string& what) const;

  private:
    setting* find(std::string_view key);
    std::string label(std::string_view key) const;
    std::string variable_of(std::string_view key) const;

    setting* table_;
    std::string name_;
    const std::string& file_;
    const environment& env_;
    bool overridable_;
    std::string_view prefix_;
};

// The content of a file named by the configuration; `what` stands in the message.
std::string read_text_file(const std::string& path, const std::string& what);

}  // namespace mission::settings
