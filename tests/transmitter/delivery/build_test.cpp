#include "transmitter/delivery/build.hpp"

#include "rules_support.hpp"

using namespace mission;
using namespace mission::transmitter;
using namespace mission::transmitter::testing;

namespace {

events::mission_change whole_change() {
    auto c = narrowing_of(1, 4);
    c.tenant = "tenant-1";
    c.reason = "the auditor asked";
    c.reason_admin = {{"en", "for admins"}};
    c.reason_user = {{"en", "for users"}};
    c.user_iss = "https://idp.example";
    c.user_sub = "alice";
    c.parent = mission_name(8);
    c.successor = mission_name(9);
    return c;
}

bool mentions(const events::set_claims& set, std::string_view text) {
    return events::encode(set).find(text) != std::string::npos;
}

}  // namespace

TEST_CASE("the SET of a signal, a stream and a form always carries the same claims and jti (I4)") {
    const jti_maker jti("secret", "epoch-1");
    const auto terms = terms_for({lifecycle});
    const auto signal = routed(5, 1, 2);
    const auto once = build_set(*signal, terms, events::form::lifecycle_change, lifecycle,
                                jti("stream-1", 5, lifecycle));
    // As after a restart: row and epoch are read again, everything else is new.
    auto row = std::make_shared<store::signal>(*signal->row);
    const auto again = read_signal(row);
    REQUIRE(again);
    const jti_maker jti_after("secret", "epoch-1");
    const auto twice = build_set(**again, terms, events::form::lifecycle_change, lifecycle,
                                 jti_after("stream-1", 5, lifecycle));
    CHECK(events::encode(once) == events::encode(twice));
}

TEST_CASE("a jti depends on secret, log epoch, stream, seq and event type") {
    const jti_maker jti("secret", "epoch-1");
    const std::string one = jti("stream-1", 5, lifecycle);
    CHECK(jti("stream-1", 5, lifecycle) == one);
    CHECK(jti("stream-2", 5, lifecycle) != one);
    CHECK(jti("stream-1", 6, lifecycle) != one);
    CHECK(jti("stream-1", 5, ours("mission-revoked")) != one);
    CHECK(jti_maker("secret", "epoch-2")("stream-1", 5, lifecycle) != one);
    CHECK(jti_maker("other", "epoch-1")("stream-1", 5, lifecycle) != one);
}

TEST_CASE("a jti has at least 128 bits and tells nothing of stream and seq") {
    const std::string one = jti_maker("secret", "epoch-1")("stream-1", 12345, lifecycle);
    CHECK(one.size() >= 22);
    CHECK(one.find("12345") == std::string::npos);
    CHECK(one.find("stream") == std::string::npos);
}

TEST_CASE("iat is the second of the commit, iss and aud are the epoch's") {
    const auto signal = routed(5, 1, 2);
    const auto set =
        build_set(*signal, terms_for(), events::form::lifecycle_change, lifecycle, "j");
    CHECK(set.iat == to_numeric_date(signal->row->committed_at));
    CHECK(set.iss == "https://mas.example");
    CHECK(set.aud == "https://api.example");
    CHECK(set.txn == "txn-5");
    CHECK(set.type == lifecycle);
}

TEST_CASE("user, tenant and reason are told only as the client's disclose allows") {
    auto terms = terms_for({ours("mission-scope-changed")});
    const auto type = ours("mission-scope-changed");
    const auto signal = routed(5, whole_change(), 1);
    const auto silent = build_set(*signal, terms, events::form::ours, type, "j");
    for (const auto* word :
         {"alice", "idp.example", "tenant-1", "auditor", "for admins", "for users"}) {
        CHECK_MESSAGE(!mentions(silent, word), word);
    }
    terms.visibility.user = terms.visibility.tenant = terms.visibility.reason = true;
    const auto open = build_set(*signal, terms, events::form::ours, type, "j");
    for (const auto* word :
         {"alice", "idp.example", "tenant-1", "auditor", "for admins", "for users"}) {
        CHECK_MESSAGE(mentions(open, word), word);
    }
}

TEST_CASE("parent and successor are told only to who may know every mission") {
    auto terms = terms_for({ours("mission-scope-changed")});
    const auto type = ours("mission-scope-changed");
    const auto signal = routed(5, whole_change(), 1);
    const auto cut = build_set(*signal, terms, events::form::ours, type, "j");
    CHECK(!mentions(cut, mission_name(8)));
    CHECK(!mentions(cut, mission_name(9)));
    terms.visibility.missions.what = mission_visibility::kind::all;
    const auto all = build_set(*signal, terms, events::form::ours, type, "j");
    CHECK(mentions(all, mission_name(8)));
}

TEST_CASE("authorization_details are cut to the entries that name the stream's audience") {
    const auto signal = routed(5, whole_change(), 1);
    const auto type = ours("mission-scope-changed");
    const auto set = build_set(*signal, terms_for({type}), events::form::ours, type, "j");
    CHECK(mentions(set, R"("resource":"https://api.example")"));
    CHECK(!mentions(set, "other.example"));
}

TEST_CASE("only our mission-scope-changed carries authorization_details") {
    auto c = whole_change();
    const auto lifecycle_form =
        build_set(*routed(5, c, 1), terms_for(), events::form::lifecycle_change, lifecycle, "j");
    CHECK(!mentions(lifecycle_form, "authorization_details"));
    c.state = "revoked";
    const auto type = ours("mission-revoked");
    const auto revoked =
        build_set(*routed(6, c, 1), terms_for({type}), events::form::ours, type, "j");
    CHECK(!mentions(revoked, "authorization_details"));
}

TEST_CASE("a resource given as a list names each of its audiences") {
    CHECK(entries_naming(R"([{"resource":["x","y"]},{"resource":"z"},{"a":1}])", "y") ==
          R"([{"resource":["x","y"]}])");
    CHECK(entries_naming("no json", "y") == "[]");
}

TEST_CASE("the terms in force at a seq are those of the last epoch that began by then") {
    std::vector<terms_ptr> all;
    for (const store::seq_t from : {3, 10}) {
        auto t = terms_for();
        t.epoch.from_seq = from;
        all.push_back(std::make_shared<const stream_terms>(std::move(t)));
    }
    CHECK(terms_at(all, 2) == nullptr);
    CHECK(terms_at(all, 3) == all[0]);
    CHECK(terms_at(all, 9) == all[0]);
    CHECK(terms_at(all, 10) == all[1]);
}

TEST_CASE("visibility in an epoch reads back as it was written") {
    stream_visibility v;
    v.missions.what = mission_visibility::kind::listed;
    v.missions.tenants = {"t1"};
    v.missions.agents = {"a1"};
    v.user = v.authority_changed = true;
    const auto back = stream_visibility::from_json(v.to_json());
    REQUIRE(back);
    CHECK(back->missions.what == mission_visibility::kind::listed);
    CHECK(back->missions.tenants == v.missions.tenants);
    CHECK(back->missions.agents == v.missions.agents);
    CHECK(back->user);
    CHECK_FALSE(back->tenant);
    CHECK_FALSE(back->reason);
    CHECK(back->authority_changed);
    CHECK_FALSE(stream_visibility::from_json("{}"));
    CHECK_FALSE(stream_visibility::from_json("nonsense"));
}

TEST_CASE("a signal whose body is no record is an error, not a crash") {
    auto row = std::make_shared<store::signal>();
    row->body = "{";
    const auto read = read_signal(row);
    REQUIRE_FALSE(read);
    CHECK(read.error() == errc::store_corrupt);
}
TEST_CASE("what is signed is the text of what was built, in both vocabularies") {
    const auto change = whole_change();
    const auto signal = routed(5, change, 1);
    const auto type = ours(std::string(events::event_name(change)));
    CHECK(encode_set(*signal, terms_for({type}), events::form::ours, type, "j") ==
          events::encode(build_set(*signal, terms_for({type}), events::form::ours, type, "j")));
    CHECK(encode_set(*signal, terms_for(), events::form::lifecycle_change, lifecycle, "j") ==
          events::encode(
              build_set(*signal, terms_for(), events::form::lifecycle_change, lifecycle, "j")));
}

TEST_CASE("a signal that waits does not keep what was read from the log with it (I6)") {
    auto page = std::make_shared<std::vector<store::signal>>();
    page->push_back(*routed(1, 1, 1)->row);
    page->push_back(*routed(2, 2, 1)->row);
    const std::weak_ptr<std::vector<store::signal>> seen = page;
    const auto waits = read_signal(std::shared_ptr<const store::signal>(page, &page->front()));
    REQUIRE(waits);
    page.reset();
    CHECK(seen.expired());
    CHECK((*waits)->row->seq == 1);
}
