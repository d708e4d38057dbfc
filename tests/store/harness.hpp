// Every backend passes the same tests: TEST_CASE_TEMPLATE("...", Kind, ALL_BACKENDS).
#pragma once

#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <utility>

#include "base/random.hpp"
#include "store/store.hpp"

namespace mission::store::test {

using namespace std::chrono_literals;
using state = events::mission_state;

// Gone with all that is in it when the test ends.
class temp_folder {
  public:
    temp_folder() {
        std::string pattern = (std::filesystem::temp_directory_path() / "store-XXXXXX").string();
        path_ = ::mkdtemp(pattern.data());
    }
    ~temp_folder() {
        std::error_code ec;
        std::filesystem::remove_all(path_, ec);
    }
    temp_folder(const temp_folder&) = delete;
    temp_folder& operator=(const temp_folder&) = delete;
    const std::filesystem::path& path() const { return path_; }
    std::string file(std::string_view name) const { return (path_ / name).string(); }

  private:
    std::filesystem::path path_;
};

// The mission clock of a test: 2026-11-02T09:06:40Z.
inline constexpr wall_time start_time{1793610400s};

inline result<receipt> run(store& s, decision d) {
    std::promise<result<receipt>> promise;
    auto future = promise.get_future();
    s.submit(std::move(d), [&](result<receipt> r) { promise.set_value(std::move(r)); });
    return future.get();
}

inline result<receipt> run(store& s, changes c) {
    return run(s, [c = std::move(c)](const rows&, wall_time) { return result<changes>(c); });
}

// What `fn` returns, read in one snapshot.
template <class Fn>
auto look(store& s, Fn fn) {
    decltype(fn(std::declval<const rows&>())) out{};
    const auto ok = s.read_now([&](const rows& r) { out = fn(r); });
    REQUIRE_MESSAGE(ok.has_value(), (ok ? "" : ok.error().message()));
    return out;
}

inline result<void> trim(store& s, seq_t until) {
    std::promise<result<void>> promise;
    auto future = promise.get_future();
    s.trim(until, [&](result<void> r) { promise.set_value(std::move(r)); });
    return future.get();
}

inline seq_t head(store& s) {
    return look(s, [](const rows& r) { return r.head(); });
}

// A mission id of legal length from a short name.
inline std::string long_id(std::string_view name) {
    std::string id(name);
    id.resize(std::max<std::size_t>(id.size(), 24), '_');
    return id;
}

inline mission_commit approval(issuer_id issuer, std::string_view name,
                               wall_time expires = start_time + 1h) {
    mission_commit m;
    mission_record r;
    r.issuer = issuer;
    r.mission_id = long_id(name);
    r.purpose = "Quarterly report";
    r.approver = {"https://idp.example", "alice"};
    r.subject = {"https://idp.example", "bob"};
    r.agent_client_id = "agent-7";
    r.authority_hash = "sha-256:abc";
    r.approved_at = start_time;
    r.created_by = "portal";
    m.state.version = 1;
    m.state.authority_revision = 1;
    m.state.expires_at = expires;
    m.state.changed_at = start_time;
    m.authorization_details = R"([{"type":"api","resource":"https://api.example"}])";
    m.resources = {"https://api.example"};
    m.txn = "txn-" + std::string(name);
    m.body = R"({"state":"active"})";
    m.keys.mission_id = r.mission_id;
    m.keys.agent_client_id = r.agent_client_id;
    m.keys.resources = m.resources;
    m.approval = std::move(r);
    return m;
}

// So many missions in one decision: m0, m1, ...
inline changes approve_many(issuer_id issuer, int count) {
    changes c;
    for (int i = 0; i < count; ++i)
        c.missions.push_back(approval(issuer, "m" + std::to_string(i)));
    return c;
}

inline changes approve(issuer_id issuer, std::string_view name,
                       wall_time expires = start_time + 1h) {
    changes c;
    c.missions.push_back(approval(issuer, name, expires));
    return c;
}

// The next version of a mission as it stands in `r`.
inline mission_commit next_version(const mission& m, events::mission_state to) {
    mission_commit c;
    c.state = m.state;
    c.state.state = to;
    ++c.state.version;
    c.resources = m.resources;
    c.txn = "txn";
    c.body = "{\"state\":\"" + std::string(events::name(to)) + "\"}";
    c.keys.mission_id = m.record.mission_id;
    c.keys.agent_client_id = m.record.agent_client_id;
    c.keys.resources = m.resources;
    return c;
}

inline decision move_to(issuer_id issuer, std::string_view name, events::mission_state to) {
    return [issuer, id = long_id(name), to](const rows& r, wall_time) -> result<changes> {
        const auto m = r.find_mission(issuer, id);
        if (!m) return errc::mission_not_found;
        if (events::is_terminal(m->state.state)) return errc::mission_conflict;
        changes c;
        c.missions.push_back(next_version(*m, to));
        return c;
    };
}

inline stream a_stream(issuer_id issuer, std::string_view id) {
    stream s;
    s.issuer = issuer;
    s.stream_id = id;
    s.client_id = "rs-1";
    s.created_at = start_time;
    s.events_requested = {"urn:a", "urn:b"};
    s.capabilities = {"authority_changed"};
    s.description = "first";
    s.extra = "{}";
    return s;
}

inline stream_epoch an_epoch(stream_row row, seq_t from, std::string alg = "ES256") {
    return {row, from, "https://mas.example", "https://rs.example", {"urn:a"}, std::move(alg),
            "{}"};
}

inline stream_subject a_subject(stream_row row, std::string key, seq_t added = 1,
                                std::optional<seq_t> removed = std::nullopt, bool verified = true) {
    stream_subject s;
    s.stream = row;
    s.key = std::move(key);
    s.subject = "{}";
    s.added_seq = added;
    s.removed_seq = removed;
    s.verified = verified;
    return s;
}

// A stream with its first epoch and its cursor at `acked`.
inline changes subscribe(issuer_id issuer, std::string_view id, seq_t acked = 0) {
    changes c;
    c.new_streams.push_back(a_stream(issuer, id));
    c.epochs.push_back(an_epoch(stream_row{}, acked + 1));
    c.cursors.push_back({stream_row{}, acked, true, {}});
    return c;
}

// One open store of a kind, with an issuer and a clock that stands.
struct memory_kind {
    static std::string url(const temp_folder&) { return "memory:"; }
};
struct sqlite_kind {
    static std::string url(const temp_folder& f) { return "sqlite:" + f.file("store.db"); }
};
#define ALL_BACKENDS memory_kind, sqlite_kind

template <class Kind>
struct opened {
    opened() {
        store_options options;
        options.time = &time;
        auto r = open_store(Kind::url(folder), options);
        REQUIRE_MESSAGE(r.has_value(), (r ? "" : r.error().message()));
        db = std::move(*r);
        issuer = db->add_issuer("https://mas.example").value();
    }
    store& operator*() { return *db; }
    store* operator->() { return db.get(); }

    temp_folder folder;
    manual_clock time{start_time};
    std::unique_ptr<store> db;
    issuer_id issuer{};
};

}  // namespace mission::store::test

// Printed when a check fails.
template <class T>
struct doctest::StringMaker<mission::result<T>> {
    static String convert(const mission::result<T>& r) {
        return r ? String("a value") : String(r.error().message().c_str());
    }
};

TYPE_TO_STRING_AS("memory", mission::store::test::memory_kind);
TYPE_TO_STRING_AS("sqlite", mission::store::test::sqlite_kind);
