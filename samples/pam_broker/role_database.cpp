#include "samples/pam_broker/role_database.hpp"

#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <mission_signals/presets.hpp>
#include <stdexcept>

#include "samples/common/jwt.hpp"
#include "samples/common/service.hpp"
#include "samples/common/times.hpp"

namespace sample {

namespace ms = mission_signals;

namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds patience{3};  // of all statements of one connection

// libpq's own calls wait for ever for a server that has stopped: here each has a deadline.
class pg_connection {
  public:
    pg_connection(const std::string& connection, const std::string& password)
        : until_(steady_clock::now() + patience) {
        const std::array keys{"dbname", "connect_timeout", "application_name", "password",
                              static_cast<const char*>(nullptr)};
        // An empty password is none.
        const std::array values{connection.c_str(), "2", "pam_broker", password.c_str(),
                                static_cast<const char*>(nullptr)};
        c_.reset(PQconnectdbParams(keys.data(), values.data(), 1));
        if (!c_ || PQstatus(c_.get()) != CONNECTION_OK) fail();
    }

    // Several statements are one transaction.
    void run(const std::string& sql) {
        if (PQsendQuery(c_.get(), sql.c_str()) != 1) fail();
        std::string refused;
        while (true) {
            while (PQisBusy(c_.get()) == 1)
                await();
            const std::unique_ptr<PGresult, clear> r(PQgetResult(c_.get()));
            if (!r) break;
            const auto status = PQresultStatus(r.get());
            if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && refused.empty())
                refused = one_line(PQresultErrorMessage(r.get()));
        }
        if (!refused.empty()) throw std::runtime_error(refused);
    }

    std::string name(const std::string& text) {
        return taken(PQescapeIdentifier(c_.get(), text.data(), text.size()));
    }
    std::string literal(const std::string& text) {
        return taken(PQescapeLiteral(c_.get(), text.data(), text.size()));
    }
    // What the server keeps of a password: the password itself is in no statement, and in no log.
    std::string verifier(const std::string& password, const std::string& role) {
        return taken(
            PQencryptPasswordConn(c_.get(), password.c_str(), role.c_str(), "scram-sha-256"));
    }
    role_access access() const {
        return {.role = {},
                .password = {},
                .host = PQhost(c_.get()),
                .port = PQport(c_.get()),
                .database = PQdb(c_.get())};
    }

  private:
    struct finish {
        void operator()(PGconn* c) const noexcept { PQfinish(c); }
    };
    struct clear {
        void operator()(PGresult* r) const noexcept { PQclear(r); }
    };

    static std::string one_line(std::string text) {
        std::replace(text.begin(), text.end(), '\n', ' ');
        while (!text.empty() && text.back() == ' ')
            text.pop_back();
        return text.empty() ? "PostgreSQL does not say why" : text;
    }
    [[noreturn]] void fail() const {
        throw std::runtime_error(one_line(c_ ? PQerrorMessage(c_.get()) : ""));
    }
    std::string taken(char* text) const {
        if (!text) fail();
        std::string copy(text);
        PQfreemem(text);
        return copy;
    }
    void await() {
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(until_ - steady_clock::now());
        if (left.count() <= 0) throw std::runtime_error("PostgreSQL does not answer in time");
        pollfd p{.fd = PQsocket(c_.get()), .events = POLLIN, .revents = 0};
        if (::poll(&p, 1, static_cast<int>(left.count())) < 0 && errno != EINTR)
            throw std::runtime_error("poll");
        if (PQconsumeInput(c_.get()) != 1) fail();
    }

    const steady_clock::time_point until_;
    std::unique_ptr<PGconn, finish> c_;
};

class postgres_roles : public role_database {
  public:
    explicit postgres_roles(settings s)
        : settings_(std::move(s)),
          handler_(ms::postgres_role_handler(
              {.connection = settings_.connection,
               .password = ms::secret{.text = {}, .file = settings_.password_file},
               .role = "{name}",
               .prefix = role_prefix,
               .drop = true,
               .settle = std::chrono::milliseconds(100),
               .timeout = std::chrono::seconds(3)})) {}

    std::optional<role_access> create(const std::string& role, std::string& why) override {
        std::optional<role_access> made;
        with(
            [&](pg_connection& db) {
                auto access = db.access();
                access.role = role;
                access.password = random_text(24);
                const auto name = db.name(role);
                std::string sql = "CREATE ROLE " + name + " NOLOGIN CONNECTION LIMIT 8 PASSWORD " +
                                  db.literal(db.verifier(access.password, role)) + valid_until(db) +
                                  "; GRANT " + name + " TO CURRENT_USER";
                if (!settings_.group.empty())
                    sql += "; GRANT " + db.name(settings_.group) + " TO " + name;
                db.run(sql);
                made = std::move(access);
            },
            why);
        return made;
    }

    bool let_in(const std::string& role, std::string& why) override {
        return with([&](pg_connection& db) { db.run("ALTER ROLE " + db.name(role) + " LOGIN"); },
                    why);
    }

    bool renew(const std::string& role, std::string& why) override {
        return with(
            [&](pg_connection& db) { db.run("ALTER ROLE " + db.name(role) + valid_until(db)); },
            why);
    }

    ms::outcome act(const ms::task& t) override { return handler_(t); }

  private:
    static std::string valid_until(pg_connection& db) {
        return " VALID UNTIL " + db.literal(utc_text(std::chrono::system_clock::now() + lifetime));
    }

    template <class F>
    bool with(F&& work, std::string& why) const {
        try {
            pg_connection db(settings_.connection, settings_.password_file.empty()
                                                       ? std::string()
                                                       : read_token(settings_.password_file));
            work(db);
            return true;
        } catch (const std::runtime_error& e) {
            why = e.what();
            return false;
        }
    }

    const settings settings_;
    const ms::handler handler_;
};

}  // namespace

std::unique_ptr<role_database> make_role_database(role_database::settings s) {
    return std::make_unique<postgres_roles>(std::move(s));
}

}  // namespace sample
