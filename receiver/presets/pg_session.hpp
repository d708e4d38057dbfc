// One connection to PostgreSQL with a deadline on everything: libpq's own blocking calls have none.
#pragma once

#include <libpq-fe.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "receiver/presets/patience.hpp"

namespace mission::receiver::presets {

// What the server, or the connection to it, says. `lost`: the connection died or the time was over
// after something was sent; whether it was done is not known.
struct pg_error : std::runtime_error {
    pg_error(const std::string& what, std::string state_, bool lost_ = false)
        : std::runtime_error(what), state(std::move(state_)), lost(lost_) {}
    std::string state;  // SQLSTATE, or empty
    bool lost;
};
struct pg_too_late : pg_error {
    using pg_error::pg_error;
};

using pg_rows = std::vector<std::vector<std::string>>;

class pg_session {
  public:
    // `connection` is a connection string or URI; `password` goes beside it. pg_error.
    pg_session(const std::string& connection, const std::string& password, const patience& time);

    // One statement; parameters are sent apart from it. NULL is read as "". pg_error, pg_too_late.
    pg_rows query(const std::string& sql, const std::vector<std::string>& parameters = {});
    // As an identifier, in quotes.
    std::string quoted(const std::string& identifier);

  private:
    struct finish {
        void operator()(PGconn* c) const noexcept { PQfinish(c); }
    };
    void await(bool to_read, bool to_write, bool sent);
    [[noreturn]] void fail(bool sent);

    const patience& time_;
    std::unique_ptr<PGconn, finish> c_;
};

}  // namespace mission::receiver::presets
