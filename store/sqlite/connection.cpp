#include "store/sqlite/connection.hpp"

#include <cerrno>

#include "base/json.hpp"

namespace mission::store::sqlite {
namespace {

constexpr int lookaside_octets = 2048, lookaside_slots = 64;

bool is_no_space(int e) {
    return e == ENOSPC || e == EDQUOT || e == EFBIG;
}
bool is_no_permission(int e) {
    return e == EROFS || e == EACCES || e == EPERM;
}

errc to_errc(int code, int system_errno) {
    // What a failed sync has left on the disk nobody knows, also when its cause was a lack of
    // space.
    if (code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC) return errc::io_error;
    switch (code & 0xff) {
        case SQLITE_FULL:
            return errc::store_full;
        case SQLITE_READONLY:
            return errc::store_read_only;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
            return errc::store_locked;
        case SQLITE_NOTADB:
            return errc::not_a_database;
        case SQLITE_CORRUPT:
            return errc::store_corrupt;
        default:
            // SQLITE_FULL stands for ENOSPC alone; a quota or a file-size limit is an I/O error.
            if (is_no_space(system_errno)) return errc::store_full;
            if (is_no_permission(system_errno)) return errc::store_read_only;
            return errc::io_error;
    }
}

int last_errno(sqlite3* db, int which) {
    sqlite3_file* file = nullptr;
    int system = 0;
    if (sqlite3_file_control(db, "main", which, &file) == SQLITE_OK && file && file->pMethods)
        file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &system);
    return system;
}

// SQLite hands the cause of a failed COMMIT on to nobody; the WAL or the database file remembers.
int cause_of(sqlite3* db, int code) {
    if (code == SQLITE_IOERR_WRITE)
        for (const int which : {SQLITE_FCNTL_JOURNAL_POINTER, SQLITE_FCNTL_FILE_POINTER})
            if (const int system = last_errno(db, which); system != 0) return system;
    return sqlite3_system_errno(db);
}

}  // namespace

connection::connection(const settings& s)
    : path_(s.path), resources_(std::make_unique<list_memo>()) {
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
    const int code =
        sqlite3_open_v2(path_.c_str(), &db_, flags, s.vfs.empty() ? nullptr : s.vfs.c_str());
    try {
        if (code != SQLITE_OK) fail(code);
        sqlite3_extended_result_codes(db_, 1);
        sqlite3_busy_timeout(db_, s.busy_timeout_ms);
        // Rows are about this large: less is asked of the heap while a statement runs.
        sqlite3_db_config(db_, SQLITE_DBCONFIG_LOOKASIDE, nullptr, lookaside_octets,
                          lookaside_slots);
        // What a file says about itself is data, not code (sqlite.org/security.html).
        sqlite3_db_config(db_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
        sqlite3_db_config(db_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
        exec(("PRAGMA synchronous=" + s.synchronous).c_str());
        exec("PRAGMA wal_autocheckpoint=0");
        exec("PRAGMA foreign_keys=OFF");
        exec("PRAGMA temp_store=MEMORY");
        exec("PRAGMA cache_size=-32768");
        exec("PRAGMA journal_size_limit=67108864");
    } catch (...) {
        sqlite3_close_v2(db_);
        throw;
    }
}

connection::~connection() {
    for (const auto& [sql, statement] : statements_)
        sqlite3_finalize(statement);
    sqlite3_close_v2(db_);
}

void connection::exec(const char* sql) {
    const int code = sqlite3_exec(db_, sql, nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) fail(code);
}

sqlite3_stmt* connection::prepare(const char* sql) {
    const auto found = statements_.find(sql);
    if (found != statements_.end()) return found->second;
    sqlite3_stmt* statement = nullptr;
    const int code =
        sqlite3_prepare_v3(db_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    if (code != SQLITE_OK) fail(code);
    statements_.emplace(sql, statement);
    return statement;
}

void connection::fail(int code) const {
    const int system = db_ ? cause_of(db_, code) : 0;
    const char* text = db_ ? sqlite3_errmsg(db_) : sqlite3_errstr(code);
    throw store_error{{to_errc(code, system), path_ + ": " + text}};
}

void connection::corrupt(const char* what) const {
    throw store_error{{errc::store_corrupt, path_ + ": " + what}};
}

bool query::step() {
    const int code = sqlite3_step(s_);
    if (code == SQLITE_ROW) return true;
    if (code != SQLITE_DONE) c_.fail(code);
    return false;
}

std::string_view query::view(int column) const {
    // The text first: asking for it may convert, and with it change the length.
    const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(s_, column));
    const auto size = static_cast<std::size_t>(sqlite3_column_bytes(s_, column));
    return data ? std::string_view(data, size) : std::string_view();
}

std::string query::bytes(int column) const {
    const auto* data = static_cast<const char*>(sqlite3_column_blob(s_, column));
    const auto size = static_cast<std::size_t>(sqlite3_column_bytes(s_, column));
    return data ? std::string(data, size) : std::string();
}

std::optional<std::string> query::maybe_text(int column) const {
    if (is_null(column)) return std::nullopt;
    return text(column);
}

std::optional<wall_time> query::maybe_time(int column) const {
    if (is_null(column)) return std::nullopt;
    return time(column);
}

// The bound octets belong to the caller's arguments, which outlive the query: no copy.
void query::bind_text(std::string_view v) {
    const int code = sqlite3_bind_text64(s_, next_++, v.data() ? v.data() : "", v.size(),
                                         SQLITE_STATIC, SQLITE_UTF8);
    if (code != SQLITE_OK) c_.fail(code);
}

void query::bind_blob(std::string_view v) {
    const int code =
        sqlite3_bind_blob64(s_, next_++, v.data() ? v.data() : "", v.size(), SQLITE_STATIC);
    if (code != SQLITE_OK) c_.fail(code);
}

void query::bind_int(std::int64_t v) {
    if (const int code = sqlite3_bind_int64(s_, next_++, v); code != SQLITE_OK) c_.fail(code);
}

void query::bind_null() {
    if (const int code = sqlite3_bind_null(s_, next_++); code != SQLITE_OK) c_.fail(code);
}

std::string to_list(const std::vector<std::string>& items) {
    if (items.empty()) return "[]";
    json::buffer out;
    json::writer w(out);
    w.StartArray();
    for (const auto& item : items)
        json::string(w, item);
    w.EndArray();
    return json::text(out);
}

const std::string& list_memo::to_text(const std::vector<std::string>& items) {
    if (items != items_) {
        text_ = to_list(items);
        items_ = items;
    }
    return text_;
}

const std::vector<std::string>& list_memo::from_text(const connection& c, std::string_view text) {
    if (text != text_) {
        items_ = from_list(c, text);
        text_ = text;
    }
    return items_;
}

std::vector<std::string> from_list(const connection& c, std::string_view text) {
    std::vector<std::string> out;
    if (text == "[]") return out;
    const auto parsed = json::parse(text);
    if (!parsed || !parsed->IsArray()) c.corrupt("a list is no JSON array");
    for (const auto& item : parsed->GetArray()) {
        if (!item.IsString()) c.corrupt("a list holds something else than strings");
        out.emplace_back(json::view(item));
    }
    return out;
}

}  // namespace mission::store::sqlite
