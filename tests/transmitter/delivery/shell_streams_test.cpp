// Streams that change, pause and are replayed: the shell over its rules.
#include "shell_streams.hpp"
#include "transmitter/streams/extra.hpp"

using namespace mission;
using namespace mission::transmitter;
using namespace mission::transmitter::testing;
using namespace std::chrono_literals;

TEST_CASE("a paused stream gets nothing and loses nothing; its acknowledgements still count") {
    transmitter_fixture f([](config& c) { c.ssf.redelivery = 50ms; });
    const auto stream = make_poll_stream(f, "erp");
    commit(f, 1, 1);
    sets first;
    CHECK(transmitter_fixture::eventually([&] {
        first = missions(poll(f, "erp", stream, at_once));
        return !first.empty();
    }));
    set_status(f, stream, store::stream_status::paused);
    CHECK(out(f).find_stream(stream)->status == store::stream_status::paused);
    commit(f, 2, 1);
    CHECK(transmitter_fixture::eventually([&] { return report_of(f, stream).lag_signals == 2; }));
    CHECK(poll(f, "erp", stream, ack_of(first, R"("returnImmediately":true)")).empty());
    CHECK(transmitter_fixture::eventually([&] { return report_of(f, stream).lag_signals == 1; }));
    set_status(f, stream, store::stream_status::enabled);
    const auto rest = missions(drain(f, "erp", stream, at_least(1)));
    REQUIRE(rest.size() == 1);
    CHECK(rest[0].mission_id == committed_mission(2));
}

TEST_CASE("a long poll that waits on a paused stream is answered when it is enabled again") {
    transmitter_fixture f;
    const auto stream = make_poll_stream(f, "erp");
    drain(f, "erp", stream, [](const sets& all) { return !all.empty(); });
    set_status(f, stream, store::stream_status::paused);
    commit(f, 1, 1);
    auto waiting = std::async(std::launch::async, [&] { return poll(f, "erp", stream, "{}"); });
    CHECK(waiting.wait_for(100ms) == std::future_status::timeout);
    set_status(f, stream, store::stream_status::enabled);
    CHECK_FALSE(waiting.get().empty());
}

TEST_CASE("a disabled stream holds nothing: what it misses is gone, and continuity says so") {
    transmitter_fixture f([](config& c) { c.ssf.heartbeat = 100ms; });
    const auto stream = make_poll_stream(f, "erp");
    commit(f, 1, 1);
    CHECK(transmitter_fixture::eventually([&] { return report_of(f, stream).lag_signals == 1; }));
    set_status(f, stream, store::stream_status::disabled);
    commit(f, 2, 1);
    CHECK(transmitter_fixture::eventually(
        [&] { return row_of(f, stream).continuity == 1; }));  // mission 1 was dropped
    CHECK(poll(f, "erp", stream, at_once).empty());
    set_status(f, stream, store::stream_status::enabled);
    commit(f, 3, 1);
    bool beat = false;
    const auto all = drain(f, "erp", stream, [&](const sets& some) {
        beat = std::any_of(some.begin(), some.end(), [](const auto& s) { return s.heartbeat(); });
        return beat && !missions(some).empty();
    });
    CHECK(missions(all).size() == 1);
    CHECK(missions(all)[0].mission_id == committed_mission(3));
    // wire.md section 1: before the first heartbeat goes a stream-updated that tells of it.
    const auto told = std::find_if(all.begin(), all.end(), [](const auto& s) {
        return s.type == events::stream_updated_type;
    });
    const auto heartbeat =
        std::find_if(all.begin(), all.end(), [](const auto& s) { return s.heartbeat(); });
    REQUIRE(told != all.end());
    CHECK(told < heartbeat);
    CHECK(told->claims.find("events were dropped") != std::string::npos);
    CHECK(heartbeat->continuity == 1);
}

TEST_CASE("what a stream had not taken when it was disabled raises continuity, a crash between") {
    temporary_folder folder;
    transmitter_fixture f([&](config& c) { c.store_url = "sqlite:" + folder.path() + "/t.db"; });
    const auto stream = make_poll_stream(f, "erp");
    const auto settled = make_poll_stream(f, "crm");
    commit(f, 1, 1);
    drain(f, "crm", settled, at_least(1));
    // The decision alone: delivery has died before it was told.
    const auto id = issuer_of(f);
    for (const auto& one : {stream, settled}) {
        decide(f, [=](const store::rows& rows, wall_time) -> result<store::changes> {
            auto s = rows.find_stream(id, one).value();
            s.status = store::stream_status::disabled;
            s.extra = with_extra_number(s.extra, "disabled_at", rows.head());
            store::changes c;
            c.updated_streams.push_back(s);
            return c;
        });
    }
    f.restart();
    CHECK(transmitter_fixture::eventually([&] { return row_of(f, stream).continuity == 1; }));
    CHECK(row_of(f, settled).continuity == 0);
    f.restart();
    f.restart();
    CHECK(row_of(f, stream).continuity == 1);  // once
}

TEST_CASE("what was committed just before a disabling, and not yet looked at, raises continuity") {
    transmitter_fixture f([](config& c) { offer_caep(c); });
    const auto stream = make_caep_stream(f, "erp");
    const auto id = issuer_of(f);
    store::store& db = f.running().db();
    // The writer is held, so that the two decisions are of one transaction: the completion of the
    // second comes before the signal of the first.
    std::promise<void> held, go;
    db.submit(
        [&, release = go.get_future().share()](const store::rows&, wall_time) {
            held.set_value();
            release.wait();
            return result<store::changes>(store::changes{});
        },
        [](const result<store::receipt>&) {});
    held.get_future().wait();
    db.submit(
        [id, body = to_record(revoked_for({"erp"}))](const store::rows&, wall_time) {
            store::changes c;
            c.events.push_back({id, "txn", body, "signal-before-a-disabling"});
            return result<store::changes>(std::move(c));
        },
        [](const result<store::receipt>&) {});
    std::promise<void> told;
    auto now = std::make_shared<delivery::stream_change>();
    db.submit(
        [=](const store::rows& rows, wall_time) {
            *now = {};
            now->stream = rows.find_stream(id, stream).value();
            now->stream.status = store::stream_status::disabled;
            now->stream.extra = with_extra_number("", "disabled_at", rows.head());
            now->epochs = rows.epochs(now->stream.row);
            store::changes c;
            c.updated_streams.push_back(now->stream);
            return result<store::changes>(std::move(c));
        },
        [&, now](const result<store::receipt>& receipt) {
            CHECK(receipt.has_value());
            out(f).stream_changed(*now);
            told.set_value();
        });
    go.set_value();
    told.get_future().wait();
    CHECK(transmitter_fixture::eventually([&] { return row_of(f, stream).continuity == 1; }));
}

TEST_CASE("another endpoint is used at once, for what the old one has not taken as well") {
    push_receiver first, second;
    temporary_folder folder;
    transmitter_fixture f([&](config& c) {
        first.trusted_by(c, folder.path());
        second.trusted_by(c, folder.path());
        c.push.timeout = 20s;
    });
    first.answer_with([](const read_set&) { return std::nullopt; });  // hangs
    const auto stream = make_push_stream(f, "erp", first);
    commit(f, 1, 1);
    REQUIRE(first.wait([](const sets& all) { return !missions(all).empty(); }));
    change(f, stream, [&](store::stream& s, delivery::stream_change&, const store::rows&) {
        s.endpoint_url = second.url();
    });
    REQUIRE(second.wait([](const sets& all) { return !missions(all).empty(); }));
    CHECK(transmitter_fixture::eventually([&] { return report_of(f, stream).lag_signals == 0; }));
    CHECK(missions(second.received())[0].claims == missions(first.received())[0].claims);
}

TEST_CASE("a new epoch holds from its seq on: what is delivered again keeps its claims (I4)") {
    transmitter_fixture f([](config& c) { c.ssf.redelivery = 50ms; });
    const auto stream = make_poll_stream(f, "erp");
    commit(f, 1, 1);
    sets before;
    CHECK(transmitter_fixture::eventually([&] {
        before = missions(poll(f, "erp", stream, at_once));
        return !before.empty();
    }));
    change(f, stream, [](store::stream&, delivery::stream_change& c, const store::rows& rows) {
        auto epoch = c.epochs.back();
        epoch.from_seq = rows.head() + 1;
        epoch.events_delivered = {std::string(events::lifecycle_change_type)};
        c.epochs.push_back(std::move(epoch));
    });
    commit(f, 2, 1);
    const auto all = drain(f, "erp", stream, at_least(2));
    CHECK(contains(all, before[0].claims));
    for (const auto& set : missions(all)) {
        const bool second = set.mission_id == committed_mission(2);
        CHECK((set.type == events::lifecycle_change_type) == second);
    }
}

TEST_CASE("idle streams write nothing, and a restart does not tell them again") {
    temporary_folder folder;
    transmitter_fixture f([&](config& c) {
        c.ssf.heartbeat = 100ms;
        c.store_url = "sqlite:" + folder.path() + "/t.db";
    });
    const auto stream = make_poll_stream(f, "erp");
    const auto stranger = make_poll_stream(f, "stranger");
    for (int n = 1; n <= 20; ++n)
        commit(f, n, 1);
    CHECK(missions(drain(f, "erp", stream, at_least(20))).size() == 20);
    CHECK(transmitter_fixture::eventually([&] {
        const auto p = on_disk(f, stream);
        return p.routed == p.head && !p.cursor.open;
    }));
    const auto aside = on_disk(f, stranger);
    CHECK_FALSE(aside.cursor.open);
    CHECK(aside.cursor.acked_seq == 0);  // never written again
    f.restart();
    commit(f, 21, 1);
    const auto got = missions(drain(f, "erp", stream, at_least(1)));
    REQUIRE(got.size() == 1);
    CHECK(got[0].mission_id == committed_mission(21));
}

TEST_CASE(
    "a stream that does not take its signals gets a cursor and no longer holds the log back") {
    transmitter_fixture f([](config& c) { c.ssf.heartbeat = 100ms; });
    const auto slow = make_poll_stream(f, "erp");
    const auto quick = make_poll_stream(f, "crm");
    for (int n = 1; n <= 5; ++n)
        commit(f, n, 1);
    drain(f, "crm", quick, at_least(5));
    CHECK(transmitter_fixture::eventually([&] {
        const auto p = on_disk(f, slow);
        return p.cursor.open && p.cursor.acked_seq == 0 && p.routed == p.head;
    }));
    CHECK_FALSE(on_disk(f, quick).cursor.open);
    CHECK(missions(drain(f, "erp", slow, at_least(5))).size() == 5);
}

TEST_CASE("a relation that stays bad is paused, told when it mends, and goes on where it stopped") {
    push_receiver receiver;
    temporary_folder folder;
    transmitter_fixture f([&](config& c) {
        receiver.trusted_by(c, folder.path());
        c.push.pause_after = 300ms;
    });
    auto broken = std::make_shared<std::atomic<bool>>(true);
    receiver.answer_with([=](const read_set&) -> std::optional<net::http_response> {
        return *broken ? push_receiver::reply(503, "out of order") : push_receiver::reply(202);
    });
    const auto stream = make_push_stream(f, "erp", receiver);
    commit(f, 1, 1);
    CHECK(transmitter_fixture::eventually(
        [&] { return out(f).find_stream(stream)->status == store::stream_status::paused; }));
    const auto row = row_of(f, stream);
    CHECK(row.status == store::stream_status::paused);
    CHECK(row.status_reason.find("503") != std::string::npos);
    CHECK(row.extra.find(R"("paused_by":"transmitter")") != std::string::npos);
    CHECK(out(f).find_stream(stream)->status_reason == row.status_reason);
    CHECK(out(f).counters().paused == 1);
    *broken = false;
    // Only what says so goes.
    REQUIRE(receiver.wait([](const sets& all) {
        return std::any_of(all.begin(), all.end(), [](const auto& s) {
            return s.type == events::stream_updated_type &&
                   s.claims.find(R"("paused")") != std::string::npos;
        });
    }));
    CHECK(transmitter_fixture::eventually([&] { return !report_of(f, stream).held; }));
    CHECK(report_of(f, stream).lag_signals == 1);
    const auto before = missions(receiver.received()).size();
    set_status(f, stream, store::stream_status::enabled);
    REQUIRE(receiver.wait([&](const sets& all) { return missions(all).size() > before; }));
    CHECK(transmitter_fixture::eventually([&] { return report_of(f, stream).lag_signals == 0; }));
    CHECK(row_of(f, stream).continuity == 0);
}

TEST_CASE("a stream whose receiver is silent is paused; the next poll is told why") {
    transmitter_fixture f([](config& c) {
        c.ssf.heartbeat = 100ms;
        c.ssf.inactivity_timeout = 1s;
    });
    const auto stream = make_poll_stream(f, "erp");
    const auto active = make_poll_stream(f, "crm");
    CHECK(transmitter_fixture::eventually([&] {
        out(f).touched(row_of(f, active).row);
        return out(f).find_stream(stream)->status == store::stream_status::paused;
    }));
    CHECK(out(f).find_stream(active)->status == store::stream_status::enabled);
    CHECK(row_of(f, stream).status_reason == "inactivity");
    commit(f, 1, 1);
    const auto got = poll(f, "erp", stream, "{}");
    REQUIRE(got.size() == 1);
    CHECK(got[0].type == events::stream_updated_type);
    CHECK(got[0].claims.find("inactivity") != std::string::npos);
    poll(f, "erp", stream, ack_of(got, R"("maxEvents":0)"));
    CHECK(poll(f, "erp", stream, at_once).empty());
}

TEST_CASE("a client's changed entry begins an epoch at the start, with continuity raised") {
    temporary_folder folder;
    transmitter_fixture f([&](config& c) {
        c.ssf.heartbeat = 100ms;
        c.ssf.redelivery = 50ms;
        c.store_url = "sqlite:" + folder.path() + "/t.db";
    });
    const auto stream = make_poll_stream(f, "erp");
    const auto same = make_poll_stream(f, "crm");
    commit(f, 1, 1);
    sets before;
    CHECK(transmitter_fixture::eventually([&] {
        before = missions(poll(f, "erp", stream, at_once));
        return !before.empty();
    }));
    f.restart([](config& c) {
        for (auto& client : c.clients)
            if (client.id == "erp") client.missions.what = mission_visibility::kind::all;
    });
    CHECK(row_of(f, stream).continuity == 1);
    CHECK(row_of(f, same).continuity == 0);
    commit(f, 2, 1);
    const auto all = drain(f, "erp", stream, [](const sets& some) {
        return missions(some).size() >= 2 && contains(some, "configuration has changed");
    });
    CHECK(missions(all)[0].claims == before[0].claims);
    f.restart();
    CHECK(row_of(f, stream).continuity == 1);  // nothing has changed since
}

TEST_CASE("a stream whose client is gone is kept and not delivered; it goes on when it is back") {
    push_receiver receiver;
    temporary_folder folder;
    transmitter_fixture f([&](config& c) {
        receiver.trusted_by(c, folder.path());
        c.store_url = "sqlite:" + folder.path() + "/t.db";
        c.ssf.heartbeat = 100ms;
    });
    const auto stream = make_push_stream(f, "erp", receiver);
    client_config kept;
    f.restart([&](config& c) {
        const auto erp = std::find_if(c.clients.begin(), c.clients.end(),
                                      [](const auto& one) { return one.id == "erp"; });
        kept = *erp;
        c.clients.erase(erp);
    });
    commit(f, 1, 1);
    CHECK(transmitter_fixture::eventually([&] { return report_of(f, stream).lag_signals == 1; }));
    CHECK(missions(receiver.received()).empty());
    f.restart([&](config& c) { c.clients.push_back(kept); });
    REQUIRE(receiver.wait([](const sets& all) { return missions(all).size() == 1; }));
}

TEST_CASE("replay sends again what was settled, the same, and counts it") {
    temporary_folder folder;
    transmitter_fixture f([&](config& c) { c.store_url = "sqlite:" + folder.path() + "/t.db"; });
    const auto stream = make_poll_stream(f, "erp");
    for (int n = 1; n <= 6; ++n)
        commit(f, n, 1);
    const auto before = missions(drain(f, "erp", stream, at_least(6)));
    const auto row = row_of(f, stream).row;
    const auto replay = [&](delivery::replay_request what) {
        auto done = std::make_shared<std::promise<result<std::size_t>>>();
        auto future = done->get_future();
        out(f).replay(row, what, [done](result<std::size_t> r) { done->set_value(r); });
        return future.get();
    };
    CHECK(replay({3, {}}).value() == 4);
    const auto again = missions(drain(f, "erp", stream, at_least(4)));
    REQUIRE(again.size() == 4);
    for (std::size_t i = 0; i < 4; ++i)
        CHECK(again[i].claims == before[i + 2].claims);

    CHECK(replay({0, {2, 5, 99}}).value() == 2);
    // Durable: a crash now does not take it back.
    f.restart();
    const auto single = missions(drain(f, "erp", stream, at_least(2)));
    REQUIRE(single.size() == 2);
    CHECK(single[0].claims == before[1].claims);
    CHECK(single[1].claims == before[4].claims);
    CHECK(replay({99, {}}).value() == 0);
    CHECK(out(f).counters().replayed == 0);  // of this run
    set_status(f, stream, store::stream_status::disabled);
    CHECK(replay({1, {}}).error() == errc::stream_not_enabled);
}

TEST_CASE("an idle poll stream that becomes a push stream goes on getting heartbeats") {
    push_receiver receiver;
    temporary_folder folder;
    transmitter_fixture f([&](config& c) {
        receiver.trusted_by(c, folder.path());
        c.ssf.heartbeat = 100ms;
    });
    const auto beats = [](const sets& all) {
        return std::any_of(all.begin(), all.end(), [](const auto& s) { return s.heartbeat(); });
    };
    const auto stream = make_poll_stream(f, "erp");
    // Once a later stream has had its own, that of the first is due and waits for a poll.
    drain(f, "crm", make_poll_stream(f, "crm"), beats);
    change(f, stream, [&](store::stream& s, delivery::stream_change&, const store::rows&) {
        s.method = store::delivery_method::push;
        s.endpoint_url = receiver.url();
    });
    CHECK(receiver.wait(beats));
}

TEST_CASE("a notice of a pause that hung while the stream was enabled again is not repeated") {
    push_receiver receiver;
    temporary_folder folder;
    transmitter_fixture f([&](config& c) {
        receiver.trusted_by(c, folder.path());
        c.push.pause_after = 1500ms;
        c.push.timeout = 1s;
    });
    auto broken = std::make_shared<std::atomic<bool>>(true);
    receiver.answer_with([=](const read_set& set) -> std::optional<net::http_response> {
        if (!*broken) return push_receiver::reply(202);
        if (set.type == events::stream_updated_type) return std::nullopt;  // hangs
        return push_receiver::reply(503);
    });
    const auto notices = [](const sets& all) {
        return std::count_if(all.begin(), all.end(), [](const auto& s) {
            return s.type == events::stream_updated_type &&
                   s.claims.find(R"("paused")") != std::string::npos;
        });
    };
    const auto stream = make_push_stream(f, "erp", receiver);
    commit(f, 1, 1);
    REQUIRE(receiver.wait([&](const sets& all) { return notices(all) == 1; }));
    const auto before = missions(receiver.received()).size();
    set_status(f, stream, store::stream_status::enabled);
    *broken = false;
    REQUIRE(receiver.wait([&](const sets& all) { return missions(all).size() > before; }));
    CHECK(notices(receiver.received()) == 1);
}
