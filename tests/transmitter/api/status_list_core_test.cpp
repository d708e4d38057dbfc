#include <doctest/doctest.h>

#include "tests/transmitter/missions/family_support.hpp"

#include <zlib.h>

#include <future>

#include "jose/base64url.hpp"
#include "jose/jws.hpp"
#include "tests/transmitter/fixture.hpp"
#include "transmitter/api/status_lists.hpp"

using namespace mission;
using namespace mission::transmitter;
using namespace mission::transmitter::test;
using testing::temporary_folder;

namespace {

struct list_answer {
    int status = 0;
    std::int64_t iat = 0;
    std::string octets;
};

// The lists of a registry that no app runs on: nothing is drained, no deadline is acted on and no
// listener tells of commits, unless the test does it.
struct listed : registry<> {
    listed() {
        common.settings.secrets_key = std::string(32, 'k');
        common.settings.missions.status_list_ttl = 30s;
        common.time = &this->time;
        common.random = &system_random();
        common.db = this->db.get();
        common.runtime = runtime.get();
        issuer_of_lists.common = &common;
        issuer_of_lists.settings.url = "https://mas.example";
        issuer_of_lists.id = this->issuer;
        key_ring_options options;
        options.time = &this->time;
        auto keys = open_key_ring(folder.path() + "/keys", options);
        REQUIRE(keys);
        issuer_of_lists.keys = std::move(*keys);
        lists = make_status_lists(issuer_of_lists);
        REQUIRE(lists);
    }
    ~listed() { runtime->stop(); }

    list_answer ask(std::int64_t number = 0) {
        struct promised final : net::responder::state {
            std::promise<net::http_response> done;
            void respond(net::http_response r) override { done.set_value(std::move(r)); }
            bool gone() const noexcept override { return false; }
        };
        auto state = std::make_shared<promised>();
        auto future = state->done.get_future();
        lists->answer(number, net::responder(state));
        REQUIRE(future.wait_for(10s) == std::future_status::ready);
        const auto got = future.get();
        list_answer out;
        out.status = got.status;
        if (got.status != 200) return out;
        const auto token = jose::parse_compact(got.body);
        REQUIRE(token);
        const auto claims = json::parse(token->payload);
        out.iat = *json::find_int(*claims, "iat");
        const auto packed =
            jose::base64url_decode(*json::find_string((*claims)["status_list"], "lst"));
        out.octets.resize(1u << 16);
        auto size = static_cast<uLongf>(out.octets.size());
        REQUIRE(uncompress(reinterpret_cast<Bytef*>(out.octets.data()), &size,
                           reinterpret_cast<const Bytef*>(packed->data()),
                           static_cast<uLong>(packed->size())) == Z_OK);
        return out;
    }
    // Past the second for which a list stands.
    list_answer ask_later() {
        this->time.advance(1s);
        return ask();
    }
    int of(const list_answer& a, std::string_view name) {
        const auto index = lists->of(this->row(name).row).idx;
        return static_cast<unsigned char>(a.octets[index / 4]) >> (index % 4 * 2) & 3;
    }
    std::int64_t seconds() const { return to_numeric_date(this->time.now()); }

    temporary_folder folder;
    std::unique_ptr<net::runtime> runtime = net::make_runtime(1, 1);
    service common;
    issuer_service issuer_of_lists;
    std::shared_ptr<status_lists> lists;
};

}  // namespace

TEST_CASE("a list speaks of no moment after a family's effect that has not reached every child") {
    listed l;
    REQUIRE(l.approve("root"));
    REQUIRE(l.approve("child", "root"));
    CHECK(l.of(l.ask(), "child") == 0);
    const auto ended = l.seconds() + 1;
    l.time.advance(1s);
    REQUIRE(l.operate("root", operation::revoke));
    for (int i = 0; i < 3; ++i) {
        const auto list = l.ask_later();
        CHECK(list.iat == ended);
        CHECK(l.of(list, "root") == 1);
        CHECK(l.of(list, "child") == 0);  // true of that moment, and no later one is claimed
    }
    l.drain();
    const auto after = l.ask_later();
    CHECK(after.iat == l.seconds());
    CHECK(l.of(after, "child") == 1);

    // A drain that is stuck makes lists run out, never lie.
    REQUIRE(l.approve("another"));
    REQUIRE(l.approve("below", "another"));
    REQUIRE(l.operate("another", operation::suspend));
    l.time.advance(29s);
    CHECK(l.ask().status == 200);
    l.time.advance(1s);
    CHECK(l.ask().status == 503);
    l.drain();
    CHECK(l.of(l.ask_later(), "below") == 2);
}

TEST_CASE("a parent that ended by the clock binds lists from its deadline on") {
    listed l;
    REQUIRE(l.approve("root", {}, start_time + 60s));
    REQUIRE(l.approve("child", "root", start_time + 60s));
    l.time.advance(70s);  // nobody has acted on the deadline yet
    CHECK(l.ask().iat == to_numeric_date(start_time + 60s));
    CHECK(l.read("root").state == state::expired);
    const auto list = l.ask_later();
    CHECK(l.of(list, "root") == 1);
    CHECK(list.iat == to_numeric_date(start_time + 60s));
}

TEST_CASE("what the listener has not told is found in the log, or by reading everything") {
    listed l;
    REQUIRE(l.approve("one"));
    REQUIRE(l.approve("two"));
    CHECK(l.of(l.ask(), "one") == 0);
    // A few: from the log.
    REQUIRE(l.operate("one", operation::revoke));
    CHECK(l.of(l.ask_later(), "one") == 1);
    // More than is worth reading there.
    for (int i = 0; i < 1100; ++i) {
        REQUIRE(l.operate("two", operation::suspend));
        REQUIRE(l.operate("two", operation::resume));
    }
    REQUIRE(l.operate("two", operation::suspend));
    CHECK(l.of(l.ask_later(), "two") == 2);
    // The log no longer goes back so far.
    REQUIRE(l.operate("two", operation::complete));
    store::seq_t head = 0;
    REQUIRE(l.db->read_now([&](const store::rows& rows) { head = rows.head(); }));
    std::promise<result<void>> trimmed;
    l.db->trim(head, [&](const result<void>& r) { trimmed.set_value(r); });
    REQUIRE(trimmed.get_future().get());
    CHECK(l.of(l.ask_later(), "two") == 1);
}

TEST_CASE("a change that the listener tells before the rows are read is in the list") {
    listed l;
    REQUIRE(l.approve("one"));
    CHECK(l.of(l.ask(), "one") == 0);
    REQUIRE(l.operate("one", operation::suspend));
    std::vector<store::signal> told;
    REQUIRE(l.db->read_now(
        [&](const store::rows& rows) { told = rows.signals(rows.head() - 1, rows.head(), 10); }));
    l.lists->committed(told);
    CHECK(l.of(l.ask_later(), "one") == 2);
    // Told once more, and late: it is what the rows say that counts.
    REQUIRE(l.operate("one", operation::revoke));
    l.lists->committed(told);
    CHECK(l.of(l.ask_later(), "one") == 1);
}

TEST_CASE("many who ask at once are answered by one signature") {
    listed l;
    REQUIRE(l.approve("one"));
    const auto first = l.ask();
    l.time.advance(999ms);
    CHECK(l.ask().iat == first.iat);
    l.time.advance(2s);
    CHECK(l.ask().iat == first.iat + 2);
    CHECK(l.ask(1).status == 404);
    CHECK(l.ask(1'000'000).status == 404);
}
