#include "base/json.hpp"
#include "tests/receiver/bench.hpp"

// Teardown reports from the end of a mission to the transmitter's endpoint (wire.md section 4).

using namespace mission;
using namespace mission::test;
namespace ms = mission_signals;
using namespace std::chrono_literals;
using ms::effect;
using ms::standing;

namespace {

// What came to the reports endpoint, and what it is answered.
struct report_bench : poll_bench {
    std::mutex m;
    std::vector<net::http_request> came;
    std::atomic<int> status{202};
    std::string body = "{}";
    std::atomic<bool> gone{false};  // of the held thing
    std::atomic<int> calls{0};

    report_bench() {
        tx.answer_with([this](const net::http_request& r) -> std::optional<net::http_response> {
            if (r.method != "POST" || !r.path.starts_with("/missions/")) return std::nullopt;
            std::lock_guard lock(m);
            came.push_back(r);
            return text_response(status, body);
        });
    }
    ~report_bench() {
        rx.reset();
        tx.answer_with(nullptr);
    }
    void run(ms::options o) {
        start(std::move(o), [this](ms::receiver& r) {
            r.on_effect({.name = "drop",
                         .on = ms::terminal_effects(),
                         .retry_first = 5ms,
                         .retry_max = 20ms},
                        [this](const ms::task& t) {
                            ++calls;
                            return gone ? ms::outcome::done(t.name + " is gone")
                                        : ms::outcome::failed("the target does not answer");
                        });
        });
        live();
    }
    std::string held_mission() {
        const auto id = new_id();
        tx.set_status(id, {"active", "e1", 1, "[]"});
        tx.send(tx.change(id, 1, "active"));
        // It may be told within the second of a heartbeat, and confirms nothing then.
        REQUIRE(rx->missions().resolve(id, 10s).permitted());
        REQUIRE(rx->hold(id, "role-7", "the data"));
        return id;
    }
    void revoke(const std::string& id) {
        tx.set_status(id, {"revoked", "e1", 2, "[]"});
        tx.send(tx.change(id, 2, "revoked"));
        REQUIRE(becomes(id, standing::revoked));
    }
    std::size_t count() {
        std::lock_guard lock(m);
        return came.size();
    }
    net::http_request report(std::size_t n) {
        std::lock_guard lock(m);
        return came.at(n);
    }
    ms::options eager() {
        auto o = options();
        o.teardown_report_after = 200ms;
        return o;
    }
};

json::document detail_of(const net::http_request& r) {
    auto body = json::parse(r.body).value();
    json::document d;
    d.CopyFrom(body["detail"], d.GetAllocator());
    return d;
}

}  // namespace

TEST_CASE("when all of an ended mission is torn down one signed report says so") {
    report_bench b;
    b.gone = true;
    b.run(b.options());
    const auto id = b.held_mission();
    b.revoke(id);
    REQUIRE(eventually([&] { return b.rx->current_status().reports_sent == 1; }));
    const auto r = b.report(0);
    CHECK(r.path == "/missions/" + id + "/reports");
    CHECK(r.fields.get("content-type") == "application/json");
    CHECK(r.fields.get("authorization").starts_with("Bearer "));
    CHECK_FALSE(r.fields.get("idempotency-key").empty());
    const auto d = detail_of(r);
    CHECK(json::find_bool(d, "complete") == true);
    CHECK(json::find_string(d, "effect") == "revoked");
    CHECK(json::find_int(d, "version") == 2);
    REQUIRE(d["tasks"].Size() == 1);
    CHECK(json::find_string(d["tasks"][0], "evidence") == "role-7 is gone");
    const auto body = json::parse(r.body).value();
    const auto token = jose::parse_compact(*json::find_string(body, "evidence")).value();
    jose::key_set keys;
    keys.add(b.tx.key.to_public());
    CHECK(jose::verify(token, keys, std::array{jose::alg::es256}, false).has_value());
    CHECK(json::find_string(*json::parse(token.payload), "aud") == b.tx.issuer);
    CHECK(b.rx->current_status().reports_pending == 0);
    // The token is one for reports: the stream's own asks for nothing more than before.
    std::vector<std::string> scopes;
    for (const auto& t : b.tx.requests("/oauth/token"))
        for (const auto& [name, value] : net::parse_form(t.body).value())
            if (name == "scope") scopes.push_back(value);
    CHECK(std::count(scopes.begin(), scopes.end(), "mission.read") == 1);
    CHECK(std::count(scopes.begin(), scopes.end(), "ssf.read ssf.manage mission_status") >= 1);
}

TEST_CASE("what is not confirmed in time is told once, and its end afterwards") {
    report_bench b;
    b.run(b.eager());
    const auto id = b.held_mission();
    b.revoke(id);
    REQUIRE(eventually([&] { return b.rx->current_status().reports_sent == 1; }));
    auto d = detail_of(b.report(0));
    CHECK(json::find_bool(d, "complete") == false);
    CHECK(json::find_int(d, "unconfirmed") == 1);
    CHECK(json::find_string(d["tasks"][0], "outcome") == "failed");
    CHECK(json::find_string(d["tasks"][0], "evidence") == "the target does not answer");
    const int before = b.calls;
    REQUIRE(eventually([&] { return b.calls > before + 10; }));
    CHECK(b.count() == 1);
    b.gone = true;
    REQUIRE(eventually([&] { return b.rx->current_status().reports_sent == 2; }));
    d = detail_of(b.report(1));
    CHECK(json::find_bool(d, "complete") == true);
    CHECK(b.report(0).fields.get("idempotency-key") != b.report(1).fields.get("idempotency-key"));
}

TEST_CASE("an interim report is not made again by a restart, the final one still is") {
    report_bench b;
    b.run(b.eager());
    const auto id = b.held_mission();
    b.revoke(id);
    REQUIRE(eventually([&] { return b.rx->current_status().reports_sent == 1; }));
    b.run(b.eager());
    const int before = b.calls;
    REQUIRE(eventually([&] { return b.calls > before + 60; }));
    CHECK(b.count() == 1);
    b.gone = true;
    REQUIRE(eventually([&] { return b.count() == 2; }));
    CHECK(json::find_bool(detail_of(b.report(1)), "complete") == true);
}

TEST_CASE("a report that is not taken survives a restart and is sent again as it was") {
    report_bench b;
    b.gone = true;
    b.status = 503;
    b.run(b.options());
    const auto id = b.held_mission();
    b.revoke(id);
    REQUIRE(eventually([&] { return b.count() >= 1; }));
    CHECK(b.rx->current_status().reports_pending == 1);
    // The teardown itself waits for no report.
    CHECK(eventually([&] { return b.rx->tasks().empty(); }));
    b.rx.reset();
    b.status = 202;
    const auto tried = b.count();
    b.run(b.options());
    REQUIRE(eventually([&] { return b.rx->current_status().reports_sent == 1; }));
    CHECK(b.count() == tried + 1);
    CHECK(b.report(tried).body == b.report(0).body);
    CHECK(b.report(tried).fields.get("idempotency-key") ==
          b.report(0).fields.get("idempotency-key"));
    b.run(b.options());
    CHECK(b.rx->current_status().reports_pending == 0);
    CHECK(b.count() == tried + 1);
}

TEST_CASE("a report that is refused for good is logged and given up") {
    report_bench b;
    b.gone = true;
    b.status = 400;
    b.run(b.options());
    b.revoke(b.held_mission());
    REQUIRE(eventually([&] { return b.rx->current_status().reports_refused == 1; }));
    CHECK(b.logged("teardown report refused"));
    CHECK(b.rx->current_status().reports_pending == 0);
    b.status = 202;
    b.revoke(b.held_mission());
    REQUIRE(eventually([&] { return b.rx->current_status().reports_sent == 1; }));
    CHECK(b.count() == 2);
}

TEST_CASE("a transmitter without the endpoint is asked once, and teardown does not mind") {
    report_bench b;
    b.gone = true;
    b.status = 405;
    b.run(b.options());
    b.revoke(b.held_mission());
    REQUIRE(eventually([&] { return b.logged("there is no reports endpoint"); }));
    const auto second = b.held_mission();
    b.revoke(second);
    REQUIRE(eventually([&] { return b.calls == 2 && b.rx->tasks().empty(); }));
    CHECK(b.count() == 1);
    CHECK(b.rx->current_status().reports_pending == 0);
}

TEST_CASE("a client that may not report is told so once, and keeps what it has to say") {
    report_bench b;
    b.gone = true;
    b.status = 403;
    b.run(b.options());
    b.revoke(b.held_mission());
    b.revoke(b.held_mission());
    REQUIRE(eventually([&] { return b.rx->current_status().reports_pending == 2; }));
    REQUIRE(eventually([&] { return b.logged("teardown reports are not allowed"); }));
    CHECK(lines_with(b, "teardown reports are not allowed") == 1);
    b.status = 202;
    b.run(b.options());  // the client was given the scope, and this was started anew
    CHECK(eventually([&] { return b.rx->current_status().reports_sent == 2; }));
}

TEST_CASE("what the host lets go of by itself closes the account of the end") {
    report_bench b;
    b.run(b.options());
    const auto id = b.held_mission();
    std::vector<ms::task_view> told;
    b.revoke(id);
    REQUIRE(eventually([&] { return b.calls > 0; }));
    b.rx->release(id, "role-7");
    REQUIRE(eventually([&] { return b.rx->current_status().reports_sent == 1; }));
    const auto d = detail_of(b.report(0));
    CHECK(json::find_bool(d, "complete") == true);
    CHECK(json::find_int(d, "released") == 1);
    CHECK(json::find_string(d["tasks"][0], "outcome") == "released");
}

TEST_CASE("no reports where they are turned off, without a key, or without a state") {
    for (int way = 0; way < 3; ++way) {
        report_bench b;
        b.gone = true;
        auto o = b.options();
        if (way == 0) o.teardown_reports = false;
        if (way == 1) {
            o.private_key_file.clear();
            o.client_secret = "secret";
        }
        if (way == 2) o.state_path.clear();
        b.run(o);
        b.revoke(b.held_mission());
        REQUIRE(eventually([&] { return b.calls == 1 && b.rx->tasks().empty(); }));
        CHECK(b.rx->current_status().reports_pending == 0);
        b.rx->stop();
        CHECK(b.count() == 0);
    }
}

TEST_CASE("reports go where the host says, within reach of its tokens") {
    report_bench b;
    b.gone = true;
    auto o = b.options();
    o.reports_url = b.tx.issuer + "/missions/of/{mission_id}";
    b.run(o);
    const auto id = b.held_mission();
    b.revoke(id);
    REQUIRE(eventually([&] { return b.count() == 1; }));
    CHECK(b.report(0).path == "/missions/of/" + id);
    auto bad = b.options();
    bad.reports_url = "https://r.example/x";
    CHECK_THROWS_AS(ms::make_receiver(bad), ms::setup_error);
}

TEST_CASE("on_task tells each outcome in order, once it is recorded, and a cancellation") {
    report_bench b;
    std::mutex m;
    std::vector<ms::task_view> told;
    b.start(b.options(), [&](ms::receiver& r) {
        r.on_effect({.name = "drop", .on = ms::terminal_effects(), .retry_first = 1ms},
                    [&](const ms::task& t) {
                        return t.attempt < 3 || t.name == "never" ? ms::outcome::failed("no")
                                                                  : ms::outcome::done("yes");
                    });
        r.on_task([&](const ms::task_view& v) {
            std::lock_guard lock(m);
            told.push_back(v);
        });
    });
    b.live();
    const auto id = b.held_mission();
    REQUIRE(b.rx->hold(id, "never", ""));
    b.revoke(id);
    const auto of = [&](const std::string& name) {
        std::lock_guard lock(m);
        std::vector<ms::task_view> out;
        for (const auto& v : told)
            if (v.what.name == name) out.push_back(v);
        return out;
    };
    REQUIRE(eventually([&] { return of("role-7").size() == 3; }));
    const auto seen = of("role-7");
    for (std::size_t n = 0; n < 3; ++n) {
        CHECK(seen[n].what.attempt == n + 1);
        CHECK(seen[n].handler == "drop");
    }
    CHECK(seen[1].last == ms::outcome_kind::failed);
    CHECK_FALSE(seen[1].finished);
    CHECK(seen[2].finished);
    CHECK(seen[2].evidence == "yes");
    b.rx->release(id, "never");
    REQUIRE(eventually([&] {
        const auto all = of("never");
        return !all.empty() && all.back().cancelled;
    }));
    const auto status = b.rx->handlers();
    REQUIRE(status.size() == 1);
    CHECK(status[0].acknowledged == 1);
    CHECK(status[0].failed >= 2);
    CHECK(status[0].open == 0);
    b.rx->stop();
}

TEST_CASE("a receiver stops though a handler hangs, and the next one ends what that did not") {
    struct latch {
        std::mutex m;
        std::condition_variable changed;
        bool inside = false, on = false, out = false;
    };
    // Outlives the receiver, as what a handler refers to has to.
    const auto gate = std::make_shared<latch>();
    report_bench b;
    std::string first, second;
    const auto with = [&](ms::handler run) {
        b.start(b.options(), [&](ms::receiver& r) {
            r.on_effect(
                {.name = "drop", .on = ms::terminal_effects(), .timeout = 50ms, .concurrency = 1},
                std::move(run));
        });
        b.live();
    };
    with([gate, &first](const ms::task& t) {
        std::unique_lock lock(gate->m);
        first = t.idempotency_key;
        gate->inside = true;
        gate->changed.wait(lock, [&] { return gate->on; });
        gate->out = true;
        gate->changed.notify_all();
        return ms::outcome::done("too late to be heard");
    });
    const auto id = b.held_mission();
    b.revoke(id);
    REQUIRE(eventually([&] {
        std::lock_guard lock(gate->m);
        return gate->inside;
    }));
    REQUIRE(eventually([&] { return b.rx->handlers().at(0).overdue == 1; }));
    CHECK(b.rx->tasks().at(0).last == ms::outcome_kind::timed_out);
    CHECK(b.rx->tasks().at(0).running);
    const auto begun = std::chrono::steady_clock::now();
    b.rx->stop();
    CHECK(std::chrono::steady_clock::now() - begun < 15s);
    CHECK(b.logged("left behind"));
    b.rx.reset();
    {
        std::unique_lock lock(gate->m);
        gate->on = true;
        gate->changed.notify_all();
        CHECK(gate->changed.wait_for(lock, 10s, [&] { return gate->out; }));
    }
    with([&second](const ms::task& t) {
        second = t.idempotency_key;
        return ms::outcome::done("gone");
    });
    REQUIRE(eventually([&] { return b.rx->current_status().reports_sent == 1; }));
    CHECK(first == second);
    CHECK(json::find_string(detail_of(b.report(0))["tasks"][0], "evidence") == "gone");
    b.rx->stop();
}
