#include "receiver/presets/pg_session.hpp"

#include <poll.h>

#include <cerrno>
#include <cstring>

namespace mission::receiver::presets {
namespace {

struct clear_result {
    void operator()(PGresult* r) const noexcept { PQclear(r); }
};
using pg_result = std::unique_ptr<PGresult, clear_result>;

// libpq ends its messages with a line end, and may say several lines.
std::string one_line(const char* message) {
    std::string out = message == nullptr ? "" : message;
    while (!out.empty() && (out.back() == '\n' || out.back() == ' '))
        out.pop_back();
    for (auto& c : out)
        if (c == '\n' || c == '\r' || c == '\t') c = ' ';
    return out;
}

}  // namespace

pg_session::pg_session(const std::string& connection, const std::string& password,
                       const patience& time)
    : time_(time) {
    // `dbname` is expanded first; what follows goes beside it, and over it.
    std::vector<const char*> keys{"dbname", "application_name"};
    std::vector<const char*> values{connection.c_str(), "mission-signals teardown"};
    if (!password.empty()) {
        keys.push_back("password");
        values.push_back(password.c_str());
    }
    keys.push_back(nullptr);
    values.push_back(nullptr);
    c_.reset(PQconnectStartParams(keys.data(), values.data(), 1));
    if (!c_) throw pg_error("out of memory", "");
    if (PQstatus(c_.get()) == CONNECTION_BAD) fail(false);
    for (auto state = PGRES_POLLING_WRITING; state != PGRES_POLLING_OK;) {
        if (state == PGRES_POLLING_FAILED) fail(false);
        await(state == PGRES_POLLING_READING, state == PGRES_POLLING_WRITING, false);
        state = PQconnectPoll(c_.get());
    }
}

pg_rows pg_session::query(const std::string& sql, const std::vector<std::string>& parameters) {
    std::vector<const char*> values;
    for (const auto& p : parameters)
        values.push_back(p.c_str());
    if (PQsendQueryParams(c_.get(), sql.c_str(), static_cast<int>(values.size()), nullptr,
                          values.data(), nullptr, nullptr, 0) != 1)
        fail(true);
    while (PQflush(c_.get()) == 1)
        await(true, true, true);
    pg_rows rows;
    while (true) {
        while (PQisBusy(c_.get()) != 0) {
            await(true, false, true);
            if (PQconsumeInput(c_.get()) != 1) fail(true);
        }
        const pg_result r(PQgetResult(c_.get()));
        if (!r) break;
        const auto status = PQresultStatus(r.get());
        if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
            const char* state = PQresultErrorField(r.get(), PG_DIAG_SQLSTATE);
            const char* message = PQresultErrorField(r.get(), PG_DIAG_MESSAGE_PRIMARY);
            const char* detail = PQresultErrorField(r.get(), PG_DIAG_MESSAGE_DETAIL);
            auto text = one_line(message != nullptr ? message : PQresultErrorMessage(r.get()));
            if (detail != nullptr) text += " (" + one_line(detail) + ")";
            // 57P01 and its like: the server ends our own session.
            const bool lost = state == nullptr || std::strncmp(state, "57P", 3) == 0;
            throw pg_error(text, state == nullptr ? "" : state, lost);
        }
        for (int row = 0; row < PQntuples(r.get()); ++row) {
            auto& out = rows.emplace_back();
            for (int column = 0; column < PQnfields(r.get()); ++column)
                out.emplace_back(PQgetvalue(r.get(), row, column));
        }
    }
    if (PQstatus(c_.get()) != CONNECTION_OK) fail(true);
    return rows;
}

std::string pg_session::quoted(const std::string& identifier) {
    char* text = PQescapeIdentifier(c_.get(), identifier.data(), identifier.size());
    if (text == nullptr) throw pg_error(one_line(PQerrorMessage(c_.get())), "");
    std::string out = text;
    PQfreemem(text);
    return out;
}

void pg_session::await(bool to_read, bool to_write, bool sent) {
    constexpr int stop_heard_within = 100;
    while (true) {
        if (time_.ended())
            throw pg_too_late(sent ? "no answer in time" : "no connection in time", "", sent);
        pollfd fd{PQsocket(c_.get()),
                  static_cast<short>((to_read ? POLLIN : 0) | (to_write ? POLLOUT : 0)), 0};
        const auto rest = std::min<std::int64_t>(time_.left().count() + 1, stop_heard_within);
        const int n = ::poll(&fd, 1, static_cast<int>(rest));
        if (n > 0) return;
        if (n < 0 && errno != EINTR) throw pg_error(std::strerror(errno), "", sent);
    }
}

void pg_session::fail(bool sent) {
    throw pg_error(one_line(PQerrorMessage(c_.get())), "", sent);
}

}  // namespace mission::receiver::presets
