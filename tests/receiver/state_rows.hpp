// What goes into a state's file and what is in it.
#pragma once

#include <doctest/doctest.h>
#include <sqlite3.h>

#include <cstddef>
#include <future>
#include <string>
#include <utility>
#include <vector>

#include "receiver/state/state.hpp"

namespace mission::receiver::testing {

// One with something in each of its members.
inline record full_record() {
    record r;
    r.key = {"https://mas.example", "m1"};
    r.state = "suspended";
    r.version = 7;
    r.log_epoch = "e";
    r.expires_at = from_milliseconds(5);
    r.suspend_until = from_milliseconds(6);
    r.successor = "s";
    r.reason = "r";
    r.gap = true;
    r.not_found = true;
    r.denied_as = "revoked";
    r.authority_needed = 8;
    r.authority = "[]";
    r.authority_version = 6;
    r.fresh_until = from_milliseconds(9);
    r.confirmed_epoch = 3;
    r.committed_at = from_milliseconds(4);
    r.heard_at = 11;
    return r;
}

// True once it is on disk.
inline bool write(state& s, state_write w) {
    std::promise<bool> p;
    s.submit(std::move(w), [&](const result<void>& r) { p.set_value(r.has_value()); });
    return p.get_future().get();
}

// All of them, without their authority, so many in one step of the walk.
inline std::vector<record> missions_of(state& s, std::size_t at_once = 100'000) {
    std::vector<record> out;
    row_place after;
    for (;;) {
        const auto n = s.each(after, at_once, false, [&](const record& r) { out.push_back(r); });
        REQUIRE(n.has_value());
        if (*n < at_once) return out;
    }
}

// On a file that no state has open.
inline void execute(const std::string& path, const std::string& sql) {
    sqlite3* db = nullptr;
    REQUIRE(sqlite3_open(path.c_str(), &db) == SQLITE_OK);
    const int code = sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr);
    REQUIRE_MESSAGE(code == SQLITE_OK, std::string(sqlite3_errmsg(db)));
    sqlite3_close(db);
}

}  // namespace mission::receiver::testing
