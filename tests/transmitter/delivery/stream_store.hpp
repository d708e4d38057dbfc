// Streams in a store in memory, for rules that are decisions: no delivery, no network.
#pragma once

#include <future>

#include "rules_support.hpp"
#include "transmitter/streams/status.hpp"
#include "transmitter/streams/subjects.hpp"
#include "transmitter/streams/update.hpp"

namespace mission::transmitter::testing {

class stream_store {
  public:
    explicit stream_store(bool default_all = true) {
        common.settings.event_type_base = base;
        common.settings.ssf.default_subjects_all = default_all;
        issuer.common = &common;
        issuer.settings.url = "https://mas.example";
        client.id = "client";
        client.audience = "https://api.example";
        auto opened = store::open_store("memory:");
        REQUIRE(opened);
        db = std::move(*opened);
        issuer.id = db->add_issuer(issuer.settings.url).value();
    }

    result<store::receipt> commit(store::decision d) {
        std::promise<result<store::receipt>> done;
        auto future = done.get_future();
        db->submit(std::move(d), [&](result<store::receipt> r) { done.set_value(std::move(r)); });
        return future.get();
    }

    // A row of the log that no stream of these tests cares for.
    void append_event() {
        REQUIRE(commit([&](const store::rows& rows, wall_time) -> result<store::changes> {
            store::changes c;
            c.events.push_back({issuer.id, "txn", "{}", "signal" + std::to_string(rows.head())});
            return c;
        }));
    }

    std::string create(std::vector<std::string> events) {
        const std::string id = "stream" + std::to_string(++made_);
        create_request wanted;
        wanted.events_requested = std::move(events);
        const auto s = make_stream(wanted, client, issuer, id, "", wall(0));
        REQUIRE(commit(
            [&](const store::rows& rows, wall_time) { return create_decision(s, 16, rows); }));
        return id;
    }

    store::stream row(const std::string& id) {
        store::stream out;
        REQUIRE(db->read_now([&](const store::rows& rows) {
            out = rows.find_stream(issuer.id, id).value_or(store::stream{});
        }));
        return out;
    }

    errc try_update(const json::value& body, stream_outcome* found = nullptr) {
        const auto wanted = parse_update(body, false, net::egress_policy::parse({}).value());
        REQUIRE(wanted);
        stream_outcome out;
        const auto at = row(wanted->stream_id).row;
        const auto done = commit([&](const store::rows& rows, wall_time) {
            return update_decision({*wanted, body, "", client, issuer}, at, rows, out);
        });
        if (found != nullptr) *found = out;
        return done ? errc{} : done.error().code;
    }
    stream_outcome update(const std::string& body) {
        const auto doc = json::parse(body);
        REQUIRE(doc);
        stream_outcome found;
        REQUIRE(try_update(*doc, &found) == errc{});
        return found;
    }

    result<stream_outcome> set_status(const std::string& id, store::stream_status status,
                                      status_actor actor = status_actor::receiver,
                                      std::string reason = "") {
        stream_outcome out;
        const status_request wanted{id, status, std::move(reason)};
        const auto at = row(id).row;
        const auto done = commit([&](const store::rows& rows, wall_time now) {
            return status_decision({wanted, actor, "jti" + std::to_string(++made_)}, issuer.id, at,
                                   rows, now, out);
        });
        if (!done) return done.error();
        return out;
    }

    service common;
    issuer_service issuer;
    client_config client;
    std::unique_ptr<store::store> db;

  private:
    int made_ = 0;
};

}  // namespace mission::transmitter::testing
