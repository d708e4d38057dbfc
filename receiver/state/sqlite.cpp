#include "receiver/state/sqlite.hpp"

namespace mission::receiver::sqlite {

error to_error(sqlite3* db, int code) {
    const std::string text = db != nullptr ? sqlite3_errmsg(db) : sqlite3_errstr(code);
    switch (code & 0xff) {
        case SQLITE_FULL:
            return {errc::store_full, text};
        case SQLITE_READONLY:
        case SQLITE_PERM:
            return {errc::store_read_only, text};
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
            return {errc::store_locked, text};
        case SQLITE_NOTADB:
            return {errc::not_a_database, text};
        case SQLITE_CORRUPT:
        // What we write is what the tables ask for: what is there already is not as it was written.
        case SQLITE_CONSTRAINT:
            return {errc::store_corrupt, text};
        default:
            return {errc::store_unavailable, text};
    }
}

result<void> execute(sqlite3* db, const char* sql) {
    const int rc = sqlite3_exec(db, sql, nullptr, nullptr, nullptr);
    if (rc != SQLITE_OK) return to_error(db, rc);
    return {};
}

result<statement> statement::prepare(sqlite3* db, std::string_view sql) {
    sqlite3_stmt* raw = nullptr;
    const int rc = sqlite3_prepare_v3(db, sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &raw, nullptr);
    // What is asked for is there in every schema of ours: a file where it is not is damaged.
    if (rc == SQLITE_ERROR) return error{errc::store_corrupt, sqlite3_errmsg(db)};
    if (rc != SQLITE_OK) return to_error(db, rc);
    statement s;
    s.s_.reset(raw);
    return s;
}

// Texts are copied by SQLite: rows outlive the strings of the unit they come from.
statement& statement::bind(std::string_view text) {
    sqlite3_bind_text64(s_.get(), next_++, text.data() == nullptr ? "" : text.data(), text.size(),
                        SQLITE_TRANSIENT, SQLITE_UTF8);
    return *this;
}

statement& statement::lend(std::string_view text) {
    sqlite3_bind_text64(s_.get(), next_++, text.data() == nullptr ? "" : text.data(), text.size(),
                        SQLITE_STATIC, SQLITE_UTF8);
    return *this;
}

statement& statement::bind(std::int64_t number) {
    sqlite3_bind_int64(s_.get(), next_++, number);
    return *this;
}

statement& statement::bind_null() {
    sqlite3_bind_null(s_.get(), next_++);
    return *this;
}

result<void> statement::run() {
    auto row = step();
    if (row.has_error()) return row.error();
    sqlite3_reset(s_.get());
    next_ = 1;
    return {};
}

result<bool> statement::step() {
    const int rc = sqlite3_step(s_.get());
    if (rc == SQLITE_ROW) return true;
    next_ = 1;
    if (rc == SQLITE_DONE) {
        sqlite3_reset(s_.get());
        return false;
    }
    auto e = to_error(sqlite3_db_handle(s_.get()), rc);
    sqlite3_reset(s_.get());
    return e;
}

void statement::reset() noexcept {
    sqlite3_reset(s_.get());
    next_ = 1;
}

std::string_view statement::view(int column) const {
    const auto* p = reinterpret_cast<const char*>(sqlite3_column_text(s_.get(), column));
    return p == nullptr ? std::string_view()
                        : std::string_view(
                              p, static_cast<std::size_t>(sqlite3_column_bytes(s_.get(), column)));
}

std::string statement::text(int column) const {
    return std::string(view(column));
}

std::int64_t statement::number(int column) const {
    return sqlite3_column_int64(s_.get(), column);
}

bool statement::is_null(int column) const {
    return sqlite3_column_type(s_.get(), column) == SQLITE_NULL;
}

}  // namespace mission::receiver::sqlite
