// The receiver as a stream client (wire.md section 5): whose stream it is, what it is like, and
// whether it lives.
#include <algorithm>
#include <fstream>
#include <future>

#include "tests/receiver/bench.hpp"

using namespace mission;
using namespace mission::test;
using namespace mission_signals;
using namespace std::chrono_literals;

namespace {

const std::string well_known = "/.well-known/ssf-configuration";

std::vector<std::string> methods_on(fake_transmitter& tx, const std::string& path) {
    std::vector<std::string> out;
    for (const auto& r : tx.requests(path))
        out.push_back(r.method);
    return out;
}

std::size_t count_of(const std::vector<std::string>& list, const std::string& what) {
    return static_cast<std::size_t>(std::count(list.begin(), list.end(), what));
}

// Which subjects were sent to the endpoint, in order.
std::vector<std::string> subjects_sent(fake_transmitter& tx, const char* what) {
    std::vector<std::string> out;
    for (const auto& r : tx.requests(std::string("/ssf/subjects/") + what)) {
        const auto doc = *json::parse(r.body);
        CHECK(json::find_string(doc, "stream_id") == tx.stream_id());
        out.push_back(json::write(*json::find(doc, "subject")));
    }
    return out;
}

std::string opaque(const std::string& id) {
    return R"({"format":"opaque","id":")" + id + R"("})";
}

struct push_stream : poll_bench {
    mission_signals::options push_options() {
        auto o = options();
        std::ofstream(dir / "cert.pem") << tx.certificate.certificate_pem;
        std::ofstream(dir / "tls.pem") << tx.certificate.private_key_pem;
        o.delivery = delivery::push;
        o.push_listen = "127.0.0.1:0";
        o.push_certificate_file = dir / "cert.pem";
        o.push_private_key_file = dir / "tls.pem";
        o.push_public_url = "https://localhost:{port}/events";
        return o;
    }
    int push(const std::string& token) {
        std::promise<int> status;
        rx->handle_push({"application/secevent+jwt", "", token},
                        [&](const push_response& r) { status.set_value(r.status); });
        return status.get_future().get();
    }
};

}  // namespace

TEST_CASE("a stream that the transmitter has made is adopted by its id, and never made") {
    poll_bench b;
    auto o = b.options();
    o.description = "made by hand";
    o.events = {std::string(events::lifecycle_change_type)};
    const last_word end(b);
    b.start(o);
    b.live();
    REQUIRE(b.tx.stream_id() == "s1");
    // Another receiver, which knows the id alone.
    b.rx.reset();
    b.tx.patch_supported = true;
    std::filesystem::remove(b.dir / "state.db");
    o = b.options();
    SUBCASE("there it is") {
        o.stream_id = "s1";
        b.start(o);
        b.live();
        CHECK(b.rx->current_status().stream_id == "s1");
        // Its events and its description are the transmitter's choice.
        CHECK(count_of(methods_on(b.tx, "/ssf/streams"), "PATCH") == 0);
    }
    SUBCASE("there is none of that id") {
        o.stream_id = "s2";
        b.tx.answer_with([](const net::http_request& r) -> std::optional<net::http_response> {
            if (r.path != "/ssf/streams" || r.query != "stream_id=s2") return std::nullopt;
            return text_response(404, R"({"error":"not_found"})");
        });
        b.start(o);
        CHECK(b.problem("no stream s2"));
        CHECK_FALSE(b.rx->current_status().streaming);
    }
    CHECK(b.tx.streams_created == 1);
    CHECK(b.tx.streams_deleted == 0);
}

TEST_CASE("metadata that the host gives is not looked for") {
    poll_bench b;
    auto o = b.options();
    o.metadata_json = R"({"issuer":")" + b.tx.issuer + R"(","jwks_uri":")" + b.tx.issuer +
                      R"(/jwks.json","configuration_endpoint":")" + b.tx.issuer +
                      R"(/ssf/streams","verification_endpoint":")" + b.tx.issuer +
                      R"(/ssf/verify","default_subjects":"ALL","mission_max_stale_seconds":60})";
    b.start(o);
    b.live();
    CHECK(b.tx.requests(well_known).empty());
    CHECK(b.tx.streams_created == 1);
}

TEST_CASE("metadata is found between host and path, behind the path, and under RISC's old name") {
    poll_bench b;
    b.tx.issuer += "/t1";
    SUBCASE("between") {
        b.tx.metadata_path = well_known + "/t1";
    }
    SUBCASE("behind") {
        b.tx.metadata_path = "/t1" + well_known;
    }
    SUBCASE("of the host") {
        b.tx.metadata_path = well_known;
    }
    SUBCASE("RISC") {
        b.tx.metadata_path = "/.well-known/risc-configuration/t1";
    }
    b.start(b.options());
    b.live();
    CHECK(b.rx->current_status().iss == b.tx.issuer);
}

TEST_CASE("a metadata URL alone is enough, if the issuer it names could have that URL") {
    poll_bench b;
    auto o = b.options();
    o.issuer.clear();
    o.metadata_url = b.tx.issuer + well_known;
    SUBCASE("it could") {
        b.start(o);
        b.live();
        CHECK(b.rx->current_status().iss == b.tx.issuer);
    }
    SUBCASE("it could not") {
        b.tx.metadata_issuer = b.tx.issuer + "/other";
        b.start(o);
        CHECK(b.problem("does not fit metadata_url"));
        CHECK(b.tx.tokens == 0);
    }
}

TEST_CASE("the metadata of another issuer is refused before any secret is sent") {
    poll_bench b;
    b.tx.metadata_issuer = "https://other.example";
    b.start(b.options());
    CHECK(b.problem("names another issuer"));
    CHECK(b.tx.tokens == 0);
    CHECK(b.tx.streams_created == 0);
}

TEST_CASE("a stream of another issuer or audience is refused") {
    poll_bench b;
    auto o = b.options();
    const last_word end(b);
    SUBCASE("issuer") {
        b.tx.answer_with([&](const net::http_request& r) -> std::optional<net::http_response> {
            if (r.path != "/ssf/streams" || r.method != "POST") return std::nullopt;
            return text_response(201, R"({"stream_id":"x","iss":"https://other.example","aud":"a",)"
                                      R"("events_supported":[],"events_delivered":[],)"
                                      R"("delivery":{"method":"urn:ietf:rfc:8936",)"
                                      R"("endpoint_url":"https://other.example/p"}})");
        });
        b.start(o);
        CHECK(b.problem("the stream names another issuer"));
    }
    SUBCASE("audience") {
        o.audience = "https://mine.example";
        b.start(o);
        CHECK(b.problem("aud is not ours"));
    }
    CHECK(b.rx->current_status().aud.empty());
    CHECK(b.tx.polls == 0);
}

TEST_CASE("a stream of ours that differs is updated, with what is ours to say alone") {
    poll_bench b;
    b.start(b.options());
    b.live();
    b.tx.patch_supported = true;
    auto o = b.options();
    o.events = {std::string(events::caep_base) + "session-revoked"};
    b.start(o);
    REQUIRE(eventually([&] { return !b.rx->current_status().aud.empty(); }));
    CHECK(b.tx.streams_created == 1);
    CHECK(b.tx.streams_deleted == 0);
    const auto all = b.tx.requests("/ssf/streams");
    const auto at =
        std::find_if(all.begin(), all.end(), [](auto& r) { return r.method == "PATCH"; });
    REQUIRE(at != all.end());
    const auto body = *json::parse(at->body);
    CHECK(json::find_string(body, "stream_id") == "s1");
    CHECK(json::write(*json::find(body, "events_requested")) == "[\"" + o.events[0] + "\"]");
    for (const auto name : {"iss", "aud", "events_supported", "events_delivered",
                            "min_verification_interval", "inactivity_timeout"})
        CHECK(json::find(body, name) == nullptr);
}

TEST_CASE("subjects are added before anything else, and those of an earlier run removed") {
    poll_bench b;
    auto o = b.options();
    o.subjects = {opaque("a"), opaque("b")};
    b.start(o);
    b.live();
    CHECK(subjects_sent(b.tx, "add") == o.subjects);
    CHECK(subjects_sent(b.tx, "remove").empty());
    o.subjects = {opaque("b"), opaque("c")};
    b.start(o);
    b.live();
    CHECK(subjects_sent(b.tx, "remove") == std::vector{opaque("a")});
    CHECK(subjects_sent(b.tx, "add") ==
          std::vector{opaque("a"), opaque("b"), opaque("b"), opaque("c")});
    // Not a word to the stream before its subjects are there.
    CHECK(b.tx.requests("/ssf/verify").size() == 2);
}

TEST_CASE("where a subject is not taken the stream is not relied on") {
    poll_bench b;
    std::atomic<bool> refuse{true};
    const last_word end(b);
    b.tx.answer_with([&](const net::http_request& r) -> std::optional<net::http_response> {
        if (r.path != "/ssf/subjects/add" || !refuse) return std::nullopt;
        return text_response(400, R"({"err":"invalid_request","description":"no such format"})");
    });
    auto o = b.options();
    o.subjects = {opaque("a")};
    b.start(o);
    CHECK(b.problem("no such format"));
    CHECK(b.tx.polls == 0);
    refuse = false;
    b.live();
}

TEST_CASE("a stream of added subjects vouches for the missions among them alone") {
    poll_bench b;
    b.tx.default_subjects = "NONE";
    b.tx.max_stale = 2s;
    const auto ours = new_id(), other = new_id();
    auto o = b.options();
    o.subjects = {opaque(ours)};
    b.start(o);
    b.live();
    b.tx.status_down = true;
    b.tx.send(b.tx.change(ours, 1, "active"));
    b.tx.send(b.tx.change(other, 1, "active"));
    CHECK(b.becomes(ours, standing::active));
    // Status is away: nobody says that it is fresh.
    CHECK(b.becomes(other, standing::stale));
    b.tx.status_down = false;
    CHECK(b.rx->missions().resolve(other).permitted());
}

TEST_CASE("the status is asked for every third of inactivity_timeout, unasked-for never") {
    poll_bench b;
    SUBCASE("with a timeout") {
        b.tx.stream_extra = R"(,"inactivity_timeout":1)";
        b.start(b.options());
        b.live();
        const auto from = std::chrono::steady_clock::now();
        const auto before = b.tx.requests("/ssf/status").size();
        REQUIRE(eventually([&] { return b.tx.requests("/ssf/status").size() >= before + 3; }));
        CHECK(std::chrono::steady_clock::now() - from > 600ms);
    }
    SUBCASE("without") {
        b.start(b.options());
        b.live();
        REQUIRE(eventually([&] { return b.tx.requests("/ssf/status").size() == 1; }));
        const auto polls = b.tx.polls.load();
        for (int i = 0; i < 5; ++i) {
            b.tx.heartbeat();
            REQUIRE(eventually([&] { return b.tx.polls > polls + i; }));
        }
        CHECK(b.tx.requests("/ssf/status").size() == 1);
    }
    for (const auto& r : b.tx.requests("/ssf/status")) {
        CHECK(r.method == "GET");
        CHECK(r.query == "stream_id=s1");
    }
}

TEST_CASE("a push stream that has vanished is noticed by its status, and made anew") {
    push_stream b;
    b.tx.stream_extra = R"(,"inactivity_timeout":1)";
    b.start(b.push_options());
    REQUIRE(eventually([&] { return !b.rx->current_status().aud.empty(); }));
    b.tx.forget_stream();
    CHECK(eventually([&] { return b.tx.streams_created == 2; }));
    CHECK(eventually([&] { return b.rx->current_status().stream_id == "s2"; }));
}

TEST_CASE("a stream-updated about another stream is refused and changes nothing") {
    poll_bench b;
    b.start(b.options());
    b.live();
    const auto jti = b.tx.stream_updated("disabled", "s99");
    REQUIRE(eventually([&] { return !b.tx.error_of(jti).empty(); }));
    CHECK(b.tx.error_of(jti) == "invalid_request");
    CHECK(b.rx->current_status().streaming);
}

TEST_CASE("a stream that its transmitter stops is not live, and is verified anew afterwards") {
    poll_bench b;
    b.start(b.options());
    b.live();
    const auto id = new_id();
    b.tx.send(b.tx.change(id, 1, "active"));
    REQUIRE(b.becomes(id, standing::active));
    b.tx.status_down = true;
    std::string status;
    SUBCASE("paused") {
        status = "paused";
    }
    SUBCASE("disabled") {
        status = "disabled";
    }
    const auto jti = b.tx.stream_updated(status);
    REQUIRE(eventually([&] { return b.tx.acknowledged(jti); }));
    CHECK(b.problem("has " + status + " the stream: because"));
    CHECK_FALSE(b.rx->current_status().streaming);
    CHECK(b.becomes(id, standing::stale));
    const auto asked = b.tx.requests("/ssf/verify").size();
    b.tx.status_down = false;
    b.tx.stream_updated("enabled");
    CHECK(eventually([&] { return b.tx.requests("/ssf/verify").size() > asked; }));
    b.live();
    CHECK(b.rx->missions().resolve(id).permitted());
    CHECK(b.rx->last_setup_problem().empty());
}

TEST_CASE("a stream that was stopped meanwhile is asked to be enabled, once in a run") {
    poll_bench b;
    b.tx.stream_extra = R"(,"inactivity_timeout":1)";
    const last_word end(b);
    b.start(b.options());
    b.live();
    b.rx.reset();
    b.tx.set_stream_status("paused");
    SUBCASE("and is") {
        b.start(b.options());
        b.live();
        CHECK(eventually([&] { return b.tx.stream_status() == "enabled"; }));
    }
    SUBCASE("and is not: the transmitter decides") {
        b.tx.answer_with([](const net::http_request& r) -> std::optional<net::http_response> {
            if (r.path != "/ssf/status" || r.method != "POST") return std::nullopt;
            return text_response(403, R"({"error":"access_denied"})");
        });
        b.tx.hold("/ssf/verify");
        b.start(b.options());
        CHECK(b.problem("has paused the stream"));
        // A verification that was under way does not make it live.
        b.tx.release_held();
        const auto mark = b.tx.heartbeat();
        REQUIRE(eventually([&] { return b.tx.acknowledged(mark); }));
        CHECK(b.problem("has paused the stream"));
        const auto before = b.tx.requests("/ssf/status").size();
        REQUIRE(eventually([&] { return b.tx.requests("/ssf/status").size() >= before + 2; }));
        CHECK_FALSE(b.rx->current_status().streaming);
        b.tx.set_stream_status("enabled");  // by an operator; what told us of it was lost
        b.live();
    }
    CHECK(count_of(methods_on(b.tx, "/ssf/status"), "POST") == 1);
}

TEST_CASE("a verification that overtakes the answer to the creation is welcome") {
    push_stream b;
    std::promise<void> arrived, go;
    auto let_go = go.get_future().share();
    const last_word end(b);
    b.tx.answer_with([&](const net::http_request& r) -> std::optional<net::http_response> {
        if (r.path != "/ssf/streams" || r.method != "POST") return std::nullopt;
        arrived.set_value();
        let_go.wait_for(10s);
        return std::nullopt;
    });
    b.start(b.push_options());
    REQUIRE(arrived.get_future().wait_for(20s) == std::future_status::ready);
    events::verification v;
    const auto type = std::string(events::verification_type);
    const auto sub = events::stream_subject("s1");
    CHECK(b.push(b.tx.sign_event("v", type, events::to_json(v), sub)) == 202);
    // Everything else is the stream's, and comes again once there is one.
    const auto id = new_id();
    const auto set = b.tx.set_of(b.tx.change(id, 1, "active"), "j");
    CHECK(b.push(set) == 503);
    go.set_value();
    REQUIRE(eventually([&] { return !b.rx->current_status().aud.empty(); }));
    CHECK(b.push(set) == 202);
    CHECK(b.rx->missions().view(id).has_value());
}

TEST_CASE("an empty 204 where JSON was due is taken for what it says") {
    poll_bench b;
    std::atomic<int> empty_polls{0};
    const last_word end(b);
    b.tx.answer_with([&](const net::http_request& r) -> std::optional<net::http_response> {
        const net::http_response nothing{204, {}, {}};
        if (r.path == "/ssf/streams" && r.method == "GET" && b.tx.streams_created == 0) {
            return nothing;
        }
        if (r.path.starts_with("/ssf/poll/") && ++empty_polls <= 3) return nothing;
        return std::nullopt;
    });
    b.start(b.options());
    b.live();
    CHECK(empty_polls > 3);
    CHECK_FALSE(b.logged("the poll endpoint answered"));
    CHECK(b.tx.streams_created == 1);
}

TEST_CASE("a creation answered with nothing is looked up, and not repeated") {
    poll_bench b;
    auto s = R"({"stream_id":"q","iss":")" + b.tx.issuer +
             R"(","aud":"https://rs.example","events_requested":)";
    std::string made;
    const last_word end(b);
    b.tx.answer_with([&](const net::http_request& r) -> std::optional<net::http_response> {
        if (r.path != "/ssf/streams") return std::nullopt;
        if (r.method == "GET") return text_response(200, "[" + made + "]");
        const auto doc = *json::parse(r.body);
        const auto types = json::write(*json::find(doc, "events_requested"));
        made = s + types + R"(,"events_delivered":)" + types +
               R"(,"delivery":{"method":"urn:ietf:rfc:8936","endpoint_url":")" + b.tx.issuer +
               R"(/ssf/poll/q"}})";
        return net::http_response{204, {}, {}};
    });
    b.start(b.options());
    REQUIRE(eventually([&] { return b.rx->current_status().stream_id == "q"; }));
    CHECK(count_of(methods_on(b.tx, "/ssf/streams"), "POST") == 1);
}

TEST_CASE("a creation answered with nothing and not listed is told, and not repeated at once") {
    poll_bench b;
    std::atomic<int> created{0};
    const last_word end(b);
    b.tx.answer_with([&](const net::http_request& r) -> std::optional<net::http_response> {
        if (r.path != "/ssf/streams") return std::nullopt;
        if (r.method == "GET") return text_response(200, "[]");
        ++created;
        return net::http_response{204, {}, {}};
    });
    b.start(b.options());
    CHECK(b.problem("the stream was created, but is not listed"));
    CHECK(created <= 2);
}

TEST_CASE("Retry-After is honoured, wherever it comes") {
    poll_bench b;
    using clock = std::chrono::steady_clock;
    std::string path;
    SUBCASE("the list") {
        path = "/ssf/streams";
    }
    SUBCASE("a subject") {
        path = "/ssf/subjects/add";
    }
    SUBCASE("the poll") {
        path = "/ssf/poll/s1";
    }
    SUBCASE("the metadata") {
        path = well_known;
    }
    SUBCASE("the token endpoint") {
        path = "/oauth/token";
    }
    SUBCASE("the authorization server's metadata") {
        path = "/.well-known/oauth-authorization-server";
    }
    SUBCASE("Mission Status") {
        path = "/mission/status";
    }
    std::atomic<int> asked{0};
    clock::time_point refused, again;
    const last_word end(b);
    b.tx.answer_with([&](const net::http_request& r) -> std::optional<net::http_response> {
        if (r.path != path) return std::nullopt;
        const int n = ++asked;
        if (n == 2) again = clock::now();
        if (n != 1) return std::nullopt;
        refused = clock::now();
        auto busy = text_response(429, R"({"error":"rate_limited"})");
        busy.fields.add("retry-after", "1");
        return busy;
    });
    auto o = b.options();
    o.subjects = {opaque("a")};
    b.start(o);
    b.live();
    if (path == "/mission/status") {
        // Two missions in doubt: neither is asked for meanwhile.
        for (const auto& id : {new_id(), new_id()}) {
            b.tx.send(b.tx.change(id, 2, "active"));
            REQUIRE(eventually([&] { return asked >= 1; }));
        }
        REQUIRE(eventually([&] { return asked >= 2; }));
        const last_word now(b);
    }
    // The receiver's clock is the coarse one: its ticks are up to 10 ms apart.
    CHECK(again - refused >= 990ms);
}

TEST_CASE("a stream that cannot be had is asked for ever less often, though the rest goes well") {
    poll_bench b;
    using clock = std::chrono::steady_clock;
    std::mutex m;
    std::vector<clock::time_point> asked;
    std::string path;
    SUBCASE("the list is refused") {
        path = "/ssf/streams";
    }
    SUBCASE("the stream is there, and its poll endpoint is not") {
        path = "/ssf/poll/s1";
    }
    const last_word end(b);
    b.tx.answer_with([&](const net::http_request& r) -> std::optional<net::http_response> {
        if (r.path != path) return std::nullopt;
        std::lock_guard lock(m);
        asked.push_back(clock::now());
        return text_response(path == "/ssf/streams" ? 403 : 404, R"({"error":"no"})");
    });
    b.start(b.options());
    REQUIRE(eventually([&] {
        std::lock_guard lock(m);
        return asked.size() >= 6;
    }));
    std::lock_guard lock(m);
    // 50, 100, 200, 400 and 800 ms, of each at least half.
    CHECK(asked[5] - asked[0] >= 700ms);
}

TEST_CASE("what is said about missions is said where missions are wanted, or carried") {
    poll_bench b;
    b.tx.default_subjects = "NONE";
    auto o = b.options();
    o.private_key_file.clear();
    o.token = "static-token";
    const last_word end(b);
    b.tx.answer_with([&](const net::http_request& r) -> std::optional<net::http_response> {
        if (r.path.starts_with("/ssf/poll/")) return text_response(200, R"({"sets":{}})");
        return std::nullopt;
    });
    b.tx.accept_token("static-token");
    bool about_missions = true;
    SUBCASE("by default") {}
    SUBCASE("by name") {
        o.events = {std::string(events::event_type_base) + "mission-revoked"};
    }
    SUBCASE("not at all") {
        o.events = {std::string(events::caep_base) + "session-revoked"};
        about_missions = false;
    }
    b.start(o);
    REQUIRE(eventually([&] { return !b.rx->current_status().stream_id.empty(); }));
    CHECK(eventually([&] { return !b.tx.requests("/ssf/poll/s1").empty(); }));
    CHECK(b.logged("Mission Status is out of reach") == about_missions);
    CHECK(b.logged("does not carry everything about all missions") == about_missions);
}

TEST_CASE("a verification with a state that nobody asked with is refused") {
    poll_bench b;
    b.start(b.options());
    b.live();
    events::verification v;
    v.state = "forged";
    b.tx.send_raw("v", b.tx.sign_event("v", std::string(events::verification_type),
                                       events::to_json(v), events::stream_subject("s1")));
    REQUIRE(eventually([&] { return !b.tx.error_of("v").empty(); }));
    CHECK(b.tx.error_of("v") == "invalid_state");
    const auto all = b.tx.requests("/ssf/verify");
    REQUIRE(!all.empty());
    CHECK(json::find_string(*json::parse(all[0].body), "state")->size() >= 22);
}
