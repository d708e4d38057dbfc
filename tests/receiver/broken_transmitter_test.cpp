// Transmitters that do not follow the specifications, or are broken: one clear word, a denial, and
// everything in its place again once they heal.
#include <algorithm>
#include <future>

#include "base/limits.hpp"
#include "receiver/subscribe/key_store.hpp"
#include "tests/receiver/bench.hpp"

using namespace mission;
using namespace mission::test;
using namespace mission_signals;
using namespace std::chrono_literals;

namespace {

// Each way an answer can be no answer.
struct fault {
    const char* name;
    std::function<net::http_response(const std::string& issuer)> answer;
};

const std::vector<fault>& faults() {
    static const std::vector<fault> all = {
        {"a redirect",
         [](const std::string& issuer) {
             auto r = text_response(302, "");
             r.fields.add("location", issuer + "/elsewhere");
             return r;
         }},
        {"HTML",
         [](const std::string&) { return text_response(200, "<html>It works!", "text/html"); }},
        {"half of it", [](const std::string&) { return text_response(200, R"({"issuer":"htt)"); }},
        {"nothing", [](const std::string&) { return text_response(200, ""); }},
        {"an array", [](const std::string&) { return text_response(200, R"([[1]])"); }},
        {"wrong types",
         [](const std::string&) {
             return text_response(200,
                                  R"({"issuer":1,"sets":[],"access_token":{},"stream_id":[]})");
         }},
        {"nesting", [](const std::string&) { return text_response(200, std::string(5000, '[')); }},
        {"a server error", [](const std::string&) { return text_response(500, "\x1b[31mpanic"); }},
        {"too much",
         [](const std::string&) {
             return text_response(200, '"' + std::string(limits::http_response_bytes, 'a') + '"');
         }},
    };
    return all;
}

net::http_response keys_response(const std::vector<jose::public_key>& keys) {
    jose::key_set set;
    for (const auto& k : keys)
        set.add(k);
    return text_response(200, set.to_json());
}

// A key store whose clock the test turns.
struct key_bench {
    fake_transmitter tx;
    std::unique_ptr<net::runtime> rt = net::make_runtime(1, 1);
    std::shared_ptr<net::http_client> http;
    std::atomic<std::int64_t> at{1'000'000};
    std::shared_ptr<mission::receiver::key_store> keys;

    key_bench() {
        net::client_options c;
        c.ca_pem = tx.certificate.ca_pem;
        http = std::move(*net::make_http_client(*rt, std::move(c)));
        keys = std::make_shared<mission::receiver::key_store>(http, [this] {
            return mission::receiver::instant{at.load(), at.load()};
        });
        keys->set_url(tx.issuer + "/jwks.json");
    }
    ~key_bench() {
        http->stop();
        rt->stop();
    }
    bool fetch() {
        std::promise<bool> p;
        keys->refetch([&](const result<void>& r) {
            if (r.has_error()) CHECK(r.error().code == errc::keys_unavailable);
            p.set_value(r.has_value());
        });
        return p.get_future().get();
    }
};

}  // namespace

TEST_CASE("every fault at every step is told, denies, and is over when it is over") {
    const char* where[] = {"/.well-known/ssf-configuration", "/oauth/token", "/ssf/streams",
                           "/ssf/poll/s1"};
    for (const std::string path : where) {
        for (const auto& f : faults()) {
            CAPTURE(path);
            CAPTURE(f.name);
            poll_bench b;
            std::atomic<bool> broken{true};
            const last_word end(b);
            b.tx.answer_with([&](const net::http_request& r) -> std::optional<net::http_response> {
                if (r.path != path || !broken) return std::nullopt;
                return f.answer(b.tx.issuer);
            });
            b.start(b.options());
            REQUIRE(eventually([&] { return !b.rx->last_setup_problem().empty(); }));
            const auto told = b.rx->last_setup_problem();
            CHECK(told.size() < 600);
            CHECK(std::none_of(told.begin(), told.end(), [](char c) { return c < 0x20; }));
            CHECK_FALSE(b.rx->current_status().streaming);
            CHECK_FALSE(b.rx->missions().resolve(new_id(), 0ms).permitted());
            CHECK(b.tx.redirected == 0);
            broken = false;
            REQUIRE(eventually([&] { return !b.rx->current_status().aud.empty(); }));
            b.tx.heartbeat();
            CHECK(b.rx->wait_live(20s));
            CHECK(b.tx.streams_created == 1);
        }
    }
}

TEST_CASE("what is known stays known while the transmitter talks nonsense") {
    poll_bench b;
    const last_word end(b);
    b.start(b.options());
    b.live();
    const auto running = new_id(), ended = new_id();
    b.tx.send(b.tx.change(running, 1, "active"));
    b.tx.send(b.tx.change(ended, 1, "active"));
    REQUIRE(b.becomes(running, standing::active));
    REQUIRE(b.becomes(ended, standing::active));
    b.tx.send(b.tx.change(ended, 2, "revoked"));
    REQUIRE(b.becomes(ended, standing::revoked));
    for (const auto& f : faults()) {
        CAPTURE(f.name);
        std::atomic<int> answered{0};
        b.tx.answer_with([&](const net::http_request& r) -> std::optional<net::http_response> {
            if (r.path.starts_with("/.well-known/")) return std::nullopt;
            ++answered;
            return f.answer(b.tx.issuer);
        });
        b.tx.heartbeat();
        REQUIRE(eventually([&] { return answered >= 1; }));
        std::atomic<bool> done{false};
        b.rx->missions().resolve(
            running, [&](const answer&) { done = true; }, true);
        REQUIRE(eventually([&] { return done.load(); }));
        CHECK(b.rx->missions().check(running).permitted());
        CHECK(b.rx->missions().check(ended).what == standing::revoked);
        b.tx.answer_with(nullptr);
        const auto jti = b.tx.heartbeat();
        REQUIRE(eventually([&] { return b.tx.acknowledged(jti); }));
    }
    CHECK(b.tx.streams_created == 1);
    CHECK(b.tx.streams_deleted == 0);
}

TEST_CASE("a Status that answers nonsense confirms nothing, and is believed once it makes sense") {
    poll_bench b;
    const last_word end(b);
    b.start(b.options());
    b.live();
    const auto stranger = *jose::private_key::generate(jose::alg::es256);
    auto all = faults();
    all.push_back({"another's 404", [](const std::string&) {
                       return text_response(404, "<h1>Not Found</h1>", "text/html");
                   }});
    all.push_back({"another's signature", [&](const std::string&) {
                       return text_response(
                           200, *jose::sign_compact(stranger, "mission-status-response+jwt", "{}"),
                           "application/mission-status-response+jwt");
                   }});
    for (const auto& f : all) {
        CAPTURE(f.name);
        const auto id = new_id();
        b.tx.set_status(id, {"active", "e1", 4, "[]"});
        std::atomic<int> asked{0};
        b.tx.answer_with([&](const net::http_request& r) -> std::optional<net::http_response> {
            if (r.path != "/mission/status") return std::nullopt;
            ++asked;
            return f.answer(b.tx.issuer);
        });
        // Version 2 of a mission not heard of before: in doubt.
        b.tx.send_raw(id, b.tx.set_of(b.tx.change(id, 2, "active"), id));
        REQUIRE(eventually([&] { return asked >= 1 && b.tx.acknowledged(id); }));
        CHECK(b.rx->missions().check(id).what == standing::gap);
        b.tx.answer_with(nullptr);
        CHECK(b.becomes(id, standing::active));
        CHECK(b.rx->missions().check(id).version == 4);
    }
}

TEST_CASE("a SET waits while there are no keys: neither acknowledged nor refused") {
    poll_bench b;
    std::function<net::http_response()> bad;
    SUBCASE("none of them usable") {
        bad = [] { return text_response(200, R"({"keys":[{"kty":"oct","k":"AAAA"},7]})"); };
    }
    SUBCASE("a huge one") {
        bad = [] {
            return text_response(
                200, R"({"keys":[],"x":")" + std::string(limits::jwks_bytes, 'x') + R"("})");
        };
    }
    SUBCASE("no set") {
        bad = [] { return text_response(200, "<html>", "text/html"); };
    }
    std::atomic<bool> broken{true};
    const last_word end(b);
    b.tx.answer_with([&](const net::http_request& r) -> std::optional<net::http_response> {
        if (r.path != "/jwks.json" || !broken) return std::nullopt;
        return bad();
    });
    b.start(b.options());
    REQUIRE(eventually([&] { return !b.rx->current_status().aud.empty(); }));
    const auto id = new_id();
    const auto jti = b.tx.send(b.tx.change(id, 1, "active"));
    const auto polls = b.tx.polls.load();
    REQUIRE(eventually([&] { return b.tx.polls > polls + 2; }));
    CHECK_FALSE(b.tx.acknowledged(jti));
    CHECK(b.tx.error_of(jti).empty());
    CHECK_FALSE(b.rx->missions().check(id).permitted());
    CHECK(b.logged("has to come again"));
    broken = false;
    b.live();
    // Before the first heartbeat nobody knows what was dropped: it is known, and to be confirmed.
    CHECK(eventually([&] { return b.rx->missions().check(id).version == 1; }));
    CHECK(b.rx->missions().resolve(id).permitted());
}

TEST_CASE("keys that come late hold up nothing but the SETs that need them") {
    poll_bench b;
    b.start(b.options());
    b.live();
    const auto id = new_id();
    b.tx.send(b.tx.change(id, 1, "active"));
    REQUIRE(b.becomes(id, standing::active));
    // A new run has to fetch them, and waits for the answer.
    b.tx.hold("/jwks.json");
    b.start(b.options());
    REQUIRE(eventually([&] { return b.tx.requests("/jwks.json").size() == 2; }));
    // What was known is denied as stale at worst, and the host is not kept waiting.
    CHECK(b.rx->missions().view(id).has_value());
    CHECK_FALSE(b.rx->current_status().streaming);
    b.tx.release_held();
    b.live();
    CHECK(b.rx->missions().resolve(id).permitted());
}

TEST_CASE("a key that changes under its kid is noticed when keys may be fetched again") {
    key_bench b;
    auto other = *jose::private_key::generate(jose::alg::es256);
    other.set_kid(b.tx.key.kid());
    REQUIRE(b.fetch());
    const auto old = b.keys->keys();
    const auto token = *jose::sign_compact(other, "secevent+jwt", "{}");
    const auto parsed = *jose::parse_compact(token);
    constexpr jose::alg allowed[] = {jose::alg::es256};
    CHECK(jose::verify(parsed, *old, allowed, true).error().code == errc::bad_signature);
    b.tx.answer_with([&](const net::http_request& r) -> std::optional<net::http_response> {
        if (r.path != "/jwks.json") return std::nullopt;
        return keys_response({other.to_public()});
    });
    // Not more often than every 30 seconds.
    b.at += 29'999;
    CHECK_FALSE(b.fetch());
    CHECK(b.keys->keys() == old);
    b.at += 1;
    REQUIRE(b.fetch());
    CHECK(jose::verify(parsed, *b.keys->keys(), allowed, true).has_value());
    // Without any failure they grow old, and are fetched anew behind the SETs.
    CHECK_FALSE(b.keys->aged());
    b.at += std::chrono::milliseconds(limits::jwks_fresh).count() + 1;
    CHECK(b.keys->aged());
}

TEST_CASE(
    "keys that fail stay in use, are tried again after a second, given up after ten minutes") {
    key_bench b;
    REQUIRE(b.fetch());
    const auto good = b.keys->keys();
    b.tx.answer_with([&](const net::http_request&) -> std::optional<net::http_response> {
        return text_response(200, R"({"keys":[]})");
    });
    b.at += 30'000;
    CHECK_FALSE(b.fetch());
    CHECK(b.keys->keys() == good);
    const auto asked = b.tx.requests("/jwks.json").size();
    b.at += 999;
    CHECK_FALSE(b.fetch());
    CHECK(b.tx.requests("/jwks.json").size() == asked);
    b.at += 1;
    CHECK_FALSE(b.fetch());
    CHECK(b.tx.requests("/jwks.json").size() == asked + 1);
    CHECK_FALSE(b.keys->given_up());
    b.at += std::chrono::milliseconds(limits::jwks_unavailable_max).count();
    CHECK(b.keys->given_up());
    b.tx.answer_with(nullptr);
    CHECK(b.fetch());
    CHECK_FALSE(b.keys->given_up());
}

TEST_CASE("a token endpoint that refuses us is told of, and tried again") {
    poll_bench b;
    b.tx.refuse_tokens = true;
    b.start(b.options());
    CHECK(b.problem("invalid_client"));
    CHECK(b.tx.streams_created == 0);
    b.tx.refuse_tokens = false;
    b.live();
}

TEST_CASE("tokens that are refused at once lead to one new token, not to a storm of them") {
    poll_bench b;
    std::atomic<int> calls{0};
    std::atomic<bool> broken{true};
    const last_word end(b);
    b.tx.answer_with([&](const net::http_request& r) -> std::optional<net::http_response> {
        if (!broken || !r.path.starts_with("/ssf/")) return std::nullopt;
        ++calls;
        return text_response(401, R"({"error":"invalid_token","error_description":"expired"})");
    });
    b.start(b.options());
    CHECK(b.problem("the access token is refused"));
    CHECK(b.tx.tokens <= calls + 1);
    broken = false;
    b.live();
}

TEST_CASE("a SET without typ is refused, or tolerated where that is on, and told once") {
    poll_bench b;
    auto o = b.options();
    SUBCASE("on") {
        o.quirks.typ_missing = true;
    }
    SUBCASE("off") {}
    b.start(o);
    b.live();
    const auto c = b.tx.change(new_id(), 1, "active");
    for (const std::string jti : {"a", "b"}) {
        const auto token = b.tx.set_of(c, jti);
        const auto payload = jose::parse_compact(token)->payload;
        b.tx.send_raw(jti, *jose::sign_compact(b.tx.key, "", payload));
        REQUIRE(eventually([&] { return b.tx.acknowledged(jti) || !b.tx.error_of(jti).empty(); }));
        CHECK(b.tx.acknowledged(jti) == o.quirks.typ_missing);
    }
    CHECK(b.rx->missions().check(c.mission_id).permitted() == o.quirks.typ_missing);
    CHECK(lines_with(b, "quirk=typ_missing") == (o.quirks.typ_missing ? 1 : 0));
}

TEST_CASE("an issuer that differs by its slash is another one, unless that is tolerated") {
    poll_bench b;
    auto o = b.options();
    o.issuer += "/";
    SUBCASE("on") {
        o.quirks.issuer_slash = true;
        b.start(o);
        b.live();
        const auto id = new_id();
        b.tx.send(b.tx.change(id, 1, "active"));
        CHECK(b.becomes(id, standing::active));
        CHECK(lines_with(b, "quirk=issuer_slash") == 1);
    }
    SUBCASE("off") {
        b.start(o);
        CHECK(b.problem("names another issuer"));
        CHECK(b.tx.tokens == 0);
        CHECK(lines_with(b, "quirk=") == 0);
    }
}

TEST_CASE("a creation answered 200 is refused, unless that is tolerated") {
    poll_bench b;
    auto o = b.options();
    std::atomic<bool> odd{true};
    const last_word end(b);
    b.tx.answer_with([&](const net::http_request& r) -> std::optional<net::http_response> {
        if (r.path != "/ssf/streams" || r.method != "POST" || !odd) return std::nullopt;
        const auto doc = *json::parse(r.body);
        const auto types = json::write(*json::find(doc, "events_requested"));
        return text_response(200, R"({"stream_id":"o","iss":")" + b.tx.issuer +
                                      R"(","aud":"https://rs.example","events_requested":)" +
                                      types + R"(,"events_delivered":)" + types +
                                      R"(,"delivery":{"method":"urn:ietf:rfc:8936",)" +
                                      R"("endpoint_url":")" + b.tx.issuer + R"(/ssf/poll/o"}})");
    });
    SUBCASE("on") {
        o.quirks.created_with_200 = true;
        b.start(o);
        CHECK(eventually([&] { return b.rx->current_status().stream_id == "o"; }));
        CHECK(lines_with(b, "quirk=created_with_200") == 1);
    }
    SUBCASE("off") {
        b.start(o);
        CHECK(b.problem("the creation of the stream answered 200"));
        CHECK(b.rx->current_status().stream_id.empty());
    }
}

TEST_CASE("a SET with several events is refused, or each has its effect where that is tolerated") {
    poll_bench b;
    auto o = b.options();
    SUBCASE("on") {
        o.quirks.several_events = true;
    }
    SUBCASE("off") {}
    std::atomic<int> sessions{0}, credentials{0};
    const std::string base(events::caep_base);
    const last_word end(b);
    b.start(o, [&](mission_signals::receiver& rx) {
        rx.on_event("s", {base + "session-revoked"}, [&](const security_event&) {
            ++sessions;
            return outcome::done();
        });
        rx.on_event("c", {base + "credential-change"}, [&](const security_event&) {
            ++credentials;
            return outcome::done();
        });
    });
    b.live();
    const auto token = [&](const std::string& jti) {
        return *jose::sign_compact(b.tx.key, "secevent+jwt",
                                   R"({"iss":")" + b.tx.issuer + R"(","aud":")" + b.tx.audience +
                                       R"(","iat":1700000000,)" + R"("jti":")" + jti +
                                       R"(","sub_id":{"format":"opaque","id":"s"},"events":{")" +
                                       base + R"(session-revoked":{},")" + base +
                                       R"(credential-change":{}}})");
    };
    const bool on = o.quirks.several_events;
    for (const std::string jti : {"j1", "j1", "j2"}) {
        b.tx.send_raw(jti, token(jti));
        // Whatever comes next comes after it.
        const auto mark = b.tx.heartbeat();
        REQUIRE(eventually([&] { return b.tx.acknowledged(mark); }));
        REQUIRE(eventually([&] { return b.tx.acknowledged(jti) || !on; }));
        CHECK(b.tx.error_of(jti).empty() == on);
    }
    CHECK(eventually([&] { return sessions == (on ? 2 : 0) && credentials == (on ? 2 : 0); }));
    CHECK(lines_with(b, "quirk=several_events") == (on ? 1 : 0));
}

TEST_CASE(
    "of the SETs that one poll brings and none is good, few are logged and all are answered") {
    poll_bench b;
    std::atomic<int> polled{0};
    const last_word end(b);
    b.tx.answer_with([&](const net::http_request& r) -> std::optional<net::http_response> {
        if (!r.path.starts_with("/ssf/poll/") || polled++ > 0) return std::nullopt;
        std::string sets;
        for (int n = 0; n < 500; ++n)
            sets += (n == 0 ? "\"" : ",\"") + std::to_string(n) + "\":\"no SET\"";
        return text_response(200, R"({"sets":{)" + sets + "}}");
    });
    b.start(b.options());
    b.live();
    CHECK(b.tx.error_of("0") == "invalid_request");
    CHECK(b.tx.error_of("499") == "invalid_request");
    CHECK(b.logged("more SETs of the same poll are not taken count=492"));
    std::lock_guard lock(b.log_mutex);
    CHECK(std::count_if(b.log.begin(), b.log.end(), [](const std::string& line) {
              return line.starts_with("a SET is rejected");
          }) == 8);
}
