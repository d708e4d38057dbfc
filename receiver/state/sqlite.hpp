// A thin, owning layer over sqlite3: statements prepared once, errors as values.
#pragma once

#include <sqlite3.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace mission::receiver::sqlite {

struct closer {
    void operator()(sqlite3* db) const noexcept { sqlite3_close_v2(db); }
    void operator()(sqlite3_stmt* s) const noexcept { sqlite3_finalize(s); }
};
using database = std::unique_ptr<sqlite3, closer>;

// SQLite's result code in our words; never carries row contents.
error to_error(sqlite3* db, int code);

result<void> execute(sqlite3* db, const char* sql);

class statement {
  public:
    statement() = default;
    static result<statement> prepare(sqlite3* db, std::string_view sql);

    statement& bind(std::string_view text);
    // Not copied: it has to be there until run() is over, or step() has come to the end.
    statement& lend(std::string_view text);
    statement& bind(std::int64_t number);
    statement& bind_null();
    // Runs a statement that gives no rows; resets it for the next use.
    result<void> run();
    // True while there is a row; resets at the end.
    result<bool> step();
    // Before its end: what was bound is bound anew from the first on.
    void reset() noexcept;
    std::string text(int column) const;
    std::string_view view(int column) const;  // until the next step or reset
    std::int64_t number(int column) const;
    bool is_null(int column) const;

  private:
    std::unique_ptr<sqlite3_stmt, closer> s_;
    int next_ = 1;
};

}  // namespace mission::receiver::sqlite
