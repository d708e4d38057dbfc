// What tests of changing streams share: draining polls, decisions straight on the running store,
// subjects and emitted events.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <future>

#include "events/subject.hpp"
#include "shell_support.hpp"
#include "transmitter/delivery/bridge.hpp"
#include "transmitter/delivery/emitted.hpp"

namespace mission::transmitter::testing {

using sets = std::vector<read_set>;

inline constexpr auto at_once = R"({"returnImmediately":true})";
inline const std::string caep_revoked{session_revoked_type};

inline sets missions(sets all) {
    std::erase_if(all, [](const auto& s) { return s.version == 0; });
    return all;
}

inline delivery& out(transmitter_fixture& f) {
    return f.running().delivery_of(0);
}

// Polls and acknowledges until `enough` holds of all that came.
inline sets drain(transmitter_fixture& f, const std::string& client, const std::string& stream,
                  const std::function<bool(const sets&)>& enough) {
    sets all;
    CHECK(transmitter_fixture::eventually([&] {
        const auto some = poll(f, client, stream, at_once);
        poll(f, client, stream, ack_of(some, R"("maxEvents":0)"));
        all.insert(all.end(), some.begin(), some.end());
        return enough(all);
    }));
    return all;
}

inline std::function<bool(const sets&)> at_least(std::size_t n) {
    return [n](const sets& all) { return missions(all).size() >= n; };
}

// One decision on the running store.
inline store::receipt decide(transmitter_fixture& f, store::decision d) {
    auto done = std::make_shared<std::promise<result<store::receipt>>>();
    auto future = done->get_future();
    f.running().db().submit(std::move(d),
                            [done](result<store::receipt> r) { done->set_value(std::move(r)); });
    auto receipt = future.get();
    if (!receipt) MESSAGE(receipt.error().message());
    REQUIRE(receipt.has_value());
    return *receipt;
}

inline store::issuer_id issuer_of(transmitter_fixture& f) {
    return f.running().db().add_issuer(f.issuer()).value();
}

inline store::stream row_of(transmitter_fixture& f, const std::string& stream) {
    std::optional<store::stream> s;
    const auto id = issuer_of(f);
    REQUIRE(f.running()
                .db()
                .read_now([&](const store::rows& r) { s = r.find_stream(id, stream); })
                .has_value());
    REQUIRE(s);
    return *s;
}

// What stream management would do: writes the change and tells of it.
inline void change(
    transmitter_fixture& f, const std::string& stream,
    std::function<void(store::stream&, delivery::stream_change&, const store::rows&)> fn) {
    const auto id = issuer_of(f);
    auto told = std::make_shared<delivery::stream_change>();
    decide(f, [=](const store::rows& rows, wall_time) -> result<store::changes> {
        *told = {};
        told->stream = rows.find_stream(id, stream).value();
        told->epochs = rows.epochs(told->stream.row);
        const auto before = told->epochs.size();
        fn(told->stream, *told, rows);
        store::changes c;
        c.updated_streams.push_back(told->stream);
        for (auto i = before; i < told->epochs.size(); ++i)
            c.epochs.push_back(told->epochs[i]);
        if (told->cursor) c.cursors.push_back(*told->cursor);
        c.stream_events = told->events;
        return c;
    });
    out(f).stream_changed(*told);
}

inline void set_status(transmitter_fixture& f, const std::string& stream,
                       store::stream_status status) {
    change(f, stream, [=](store::stream& s, delivery::stream_change& c, const store::rows& rows) {
        if (s.status == store::stream_status::disabled) {
            c.cursor.emplace();
            c.cursor->stream = s.row;
            c.cursor->acked_seq = rows.head();
            c.cursor->open = false;
        }
        s.status = status;
    });
}

inline void follow(transmitter_fixture& f, const std::string& stream,
                   const events::subject& subject, std::optional<wall_time> remove_at = {},
                   bool excluded = false) {
    auto row = std::make_shared<store::stream_subject>();
    row->stream = row_of(f, stream).row;
    row->key = events::canonical_key(subject);
    row->subject = events::to_json(subject);
    row->excluded = excluded;
    row->remove_at = remove_at;
    decide(f, [row](const store::rows& rows, wall_time) -> result<store::changes> {
        row->added_seq = rows.head() + 1;
        store::changes c;
        c.subjects.push_back(*row);
        return c;
    });
    out(f).subjects_changed(row->stream, {*row});
}

inline void emit(transmitter_fixture& f, emitted_event e, bool readable = true) {
    store::event_commit commit;
    commit.issuer = issuer_of(f);
    commit.txn = "txn";
    static int emitted = 0;
    commit.signal_id = e.signal_id = "signal-of-the-tests-" + std::to_string(++emitted);
    commit.body = readable ? to_record(e) : "no record at all";
    decide(f, [commit](const store::rows&, wall_time) -> result<store::changes> {
        store::changes c;
        c.events.push_back(commit);
        return c;
    });
}

inline emitted_event revoked_for(std::vector<std::string> audience, std::string who = "bob") {
    emitted_event e;
    e.type = caep_revoked;
    e.subject = R"({"format":"email","email":")" + who + R"(@example.com"})";
    e.event = R"({"event_timestamp":1790000000,"reason_admin":{"en":"gone"}})";
    e.audience = std::move(audience);
    return e;
}

inline void offer_caep(config& c) {
    for (auto& client : c.clients) {
        for (const auto name : events::mission_event_names)
            client.events.push_back(std::string(events::event_type_base).append(name));
        client.events.push_back(caep_revoked);
    }
}

inline std::string make_caep_stream(transmitter_fixture& f, const std::string& client) {
    const auto a = f.post_json(
        "/ssf/streams", R"({"events_requested":[")" + caep_revoked + R"("]})", f.token(client));
    REQUIRE(a.status == 201);
    return a.text("stream_id");
}

inline stream_report report_of(transmitter_fixture& f, const std::string& stream) {
    for (const auto& r : out(f).reports())
        if (r.config.stream_id == stream) return r;
    FAIL("no report");
    return {};
}

struct position {
    store::cursor cursor;
    store::seq_t routed = 0, head = 0;
};
inline position on_disk(transmitter_fixture& f, const std::string& stream) {
    position p;
    const auto row = row_of(f, stream).row;
    const auto id = issuer_of(f);
    REQUIRE(f.running()
                .db()
                .read_now([&](const store::rows& r) {
                    p.cursor = r.find_cursor(row).value_or(store::cursor{});
                    p.routed = r.routed_seq(id);
                    p.head = r.head();
                })
                .has_value());
    return p;
}

inline bool contains(const sets& all, std::string_view text) {
    return std::any_of(all.begin(), all.end(),
                       [&](const auto& s) { return s.claims.find(text) != std::string::npos; });
}

}  // namespace mission::transmitter::testing
