// One table of the configuration while it is read: typed access, overrides, lines in messages.
// Errors are thrown as `error` and caught in parse_config: this is start-up.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "transmitter/config/read_config.hpp"
#include "transmitter/config/setting.hpp"

namespace mission::transmitter {

class section {
  public:
    // `table` null: the section is absent, but may still be overridden. `name` is "" at the top.
    // Entries of arrays of tables are not `overridable`: there are several of one name.
    section(setting* table, std::string name, const std::string& file, const environment& env,
            bool overridable = true);

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
    // The tree itself, marked as used; null when absent.
    setting* raw(std::string_view key);
    // Refuses the key when it is there: it belongs to a later version and would be ignored
    // silently.
    void not_yet(std::string_view key);

    // An unknown key is an error that names its line.
    void finish() const;
    [[noreturn]] void fail(std::string_view key, const std::string& what) const;

  private:
    setting* find(std::string_view key);
    std::optional<std::string> override_of(std::string_view key) const;
    std::string label(std::string_view key) const;

    setting* table_;
    std::string name_;
    const std::string& file_;
    const environment& env_;
    bool overridable_;
};

// The content of a file named by the configuration; `what` stands in the message.
std::string read_text_file(const std::string& path, const std::string& what);

void read_clients(setting* list, const std::string& file, const environment& env, config& c);

}  // namespace mission::transmitter
