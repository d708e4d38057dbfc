#include "receiver/state/report_rows.hpp"

#include <algorithm>

#include "base/limits.hpp"

namespace mission::receiver {
namespace {

constexpr std::size_t trim_after = 1000;

}  // namespace

result<report_rows> report_rows::prepare(sqlite3* db) {
    report_rows out;
    const std::string trim =
        "DELETE FROM tasks WHERE (finished OR cancelled) AND updated < (SELECT updated FROM tasks "
        "WHERE finished OR cancelled ORDER BY updated DESC LIMIT 1 OFFSET " +
        std::to_string(limits::finished_tasks_rows) +
        ") AND NOT EXISTS (SELECT 1 FROM tasks o WHERE o.issuer=tasks.issuer AND o.id=tasks.id AND "
        "NOT (o.finished OR o.cancelled))";
    const std::pair<sqlite::statement*, std::string_view> all[] = {
        {&out.put_,
         "REPLACE INTO reports(issuer, id, version, complete, sent, key, body, made) "
         "VALUES(?,?,?,?,?,?,?,?)"},
        {&out.settled_, "DELETE FROM reports WHERE issuer=? AND id=?"},
        {&out.trim_, trim},
    };
    for (const auto& [into, sql] : all) {
        auto s = sqlite::statement::prepare(db, sql);
        if (s.has_error()) return s.error();
        *into = std::move(*s);
    }
    return out;
}

result<void> report_rows::write(const state_write& unit) {
    for (const auto& r : unit.reports) {
        put_.bind(r.mission.issuer).bind(r.mission.id).bind(r.version);
        put_.bind(std::int64_t{r.complete}).bind(std::int64_t{r.sent}).bind(r.key).bind(r.body);
        put_.bind(to_milliseconds(r.made));
        if (auto done = put_.run(); done.has_error()) return done;
    }
    for (const auto& mission : unit.settled_reports) {
        settled_.bind(mission.issuer).bind(mission.id);
        if (auto done = settled_.run(); done.has_error()) return done;
    }
    over_ += static_cast<std::size_t>(std::count_if(unit.tasks.begin(), unit.tasks.end(),
                                                    [](const auto& t) { return !t.open(); }));
    if (over_ < trim_after) return {};
    over_ = 0;
    return trim_.run();
}

result<std::vector<report_record>> report_rows::load(sqlite3* db) {
    auto s = sqlite::statement::prepare(
        db, "SELECT issuer, id, version, complete, sent, key, body, made FROM reports ORDER BY n");
    if (s.has_error()) return s.error();
    std::vector<report_record> out;
    for (;;) {
        auto more = s->step();
        if (more.has_error()) return more.error();
        if (!*more) return out;
        report_record r;
        r.mission = {s->text(0), s->text(1)};
        r.version = s->number(2);
        r.complete = s->number(3) != 0;
        r.sent = s->number(4) != 0;
        r.key = s->text(5);
        r.body = s->text(6);
        r.made = from_milliseconds(s->number(7));
        out.push_back(std::move(r));
    }
}

}  // namespace mission::receiver
