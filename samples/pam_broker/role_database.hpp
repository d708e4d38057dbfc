// Login roles of PostgreSQL, made over the broker's maintenance connection.
#pragma once

#include <chrono>
#include <memory>
#include <mission_signals/receiver.hpp>
#include <optional>
#include <string>

namespace sample {

// What somebody needs to log in.
struct role_access {
    std::string role, password, host, port, database;
};

// Every name that is given begins with role_prefix: no other role is ever touched.
inline constexpr const char* role_prefix = "mission_";
inline bool is_role_name(std::string_view name) {
    return name.starts_with(role_prefix);
}

// THREAD: every method from any thread; each connects for itself and ends within seconds.
class role_database {
  public:
    struct settings {
        std::string connection;     // libpq connection string or URI, of a role with CREATEROLE
        std::string password_file;  // where the string has no password
        std::string group;          // a role whose rights the new ones have; empty: none
    };
    // How long a password is good for a login that nobody renews.
    static constexpr std::chrono::seconds lifetime{900};

    virtual ~role_database() = default;
    // Makes the role, with a password of its own; it may not log in yet. `why` when not: it may be
    // there nevertheless.
    virtual std::optional<role_access> create(const std::string& role, std::string& why) = 0;
    virtual bool let_in(const std::string& role, std::string& why) = 0;  // LOGIN
    virtual bool renew(const std::string& role, std::string& why) = 0;
    // Suspends, continues and drops the role that the held thing is called.
    virtual mission_signals::outcome act(const mission_signals::task& t) = 0;
};

// runtime_error when the settings can never work, or the broker was built without libpq.
std::unique_ptr<role_database> make_role_database(role_database::settings s);

}  // namespace sample
