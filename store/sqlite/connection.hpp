// One SQLite connection with its prepared statements. Used by one thread at a time; everything that
// fails throws store_error with the file's name in it.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <vector>

#include "store/store.hpp"

namespace mission::store::sqlite {

// How every connection to one file is opened.
struct settings {
    std::string path;
    std::string vfs;          // empty: the default one
    std::string synchronous;  // checked by open_backend
    int busy_timeout_ms = 2000;
};

struct blob {
    std::string_view bytes;
};

class list_memo;

class connection {
  public:
    explicit connection(const settings& s);
    ~connection();
    connection(const connection&) = delete;
    connection& operator=(const connection&) = delete;

    sqlite3* handle() const noexcept { return db_; }
    void exec(const char* sql);
    // Cached by the text's address: pass literals only.
    sqlite3_stmt* prepare(const char* sql);
    [[noreturn]] void fail(int code) const;
    // A stored value that no version of this program writes.
    [[noreturn]] void corrupt(const char* what) const;
    list_memo& resources() noexcept { return *resources_; }

  private:
    std::string path_;
    sqlite3* db_ = nullptr;
    std::unordered_map<const char*, sqlite3_stmt*> statements_;
    std::unique_ptr<list_memo> resources_;
};

// Runs one cached statement: binds in order, steps, and resets when it goes out of scope.
class query {
  public:
    template <class... Args>
    query(connection& c, const char* sql, const Args&... args) : c_(c), s_(c.prepare(sql)) {
        (bind(args), ...);
    }
    ~query() {
        sqlite3_reset(s_);
        sqlite3_clear_bindings(s_);
    }
    query(const query&) = delete;
    query& operator=(const query&) = delete;

    bool step();  // true: a row is there
    void run() {
        while (step()) {
        }
    }

    // Columns, from 0. Text may hold any octet.
    std::int64_t integer(int column) const { return sqlite3_column_int64(s_, column); }
    std::string text(int column) const { return std::string(view(column)); }
    std::string_view view(int column) const;  // until the next step
    std::string bytes(int column) const;
    wall_time time(int column) const { return from_milliseconds(integer(column)); }
    bool is_null(int column) const { return sqlite3_column_type(s_, column) == SQLITE_NULL; }
    std::optional<std::string> maybe_text(int column) const;
    std::optional<wall_time> maybe_time(int column) const;
    template <class Enum>
    Enum id(int column) const {
        return static_cast<Enum>(integer(column));
    }

  private:
    void bind_int(std::int64_t v);
    void bind_text(std::string_view v);
    void bind_blob(std::string_view v);
    void bind_null();

    void bind(std::string_view v) { bind_text(v); }
    void bind(const std::string& v) { bind_text(v); }
    void bind(blob v) { bind_blob(v.bytes); }
    void bind(wall_time v) { bind_int(to_milliseconds(v)); }
    template <class T>
    requires std::is_integral_v<T> || std::is_enum_v<T>
    void bind(T v) { bind_int(static_cast<std::int64_t>(v)); }
    template <class T>
    void bind(const std::optional<T>& v) {
        if (v)
            bind(*v);
        else
            bind_null();
    }

    connection& c_;
    sqlite3_stmt* s_;
    int next_ = 1;
};

// Lists of strings are kept as JSON arrays.
std::string to_list(const std::vector<std::string>& items);
std::vector<std::string> from_list(const connection& c, std::string_view text);

// The list that was read or written last: those of a family, or of one kind of work, are alike.
class list_memo {
  public:
    const std::string& to_text(const std::vector<std::string>& items);
    const std::vector<std::string>& from_text(const connection& c, std::string_view text);

  private:
    std::vector<std::string> items_;
    std::string text_ = "[]";
};

}  // namespace mission::store::sqlite
