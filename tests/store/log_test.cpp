#include "tests/store/harness.hpp"

namespace mission::store::test {

TEST_CASE_TEMPLATE("an empty log has head 0, tail 1, no last commit and a random epoch", Kind,
                   ALL_BACKENDS) {
    opened<Kind> a;
    opened<Kind> b;
    const auto epoch = [](auto& t) {
        return look(*t, [](const rows& r) { return r.log_epoch(); });
    };
    CHECK(head(*a) == 0);
    CHECK(look(*a, [](const rows& r) { return r.tail(); }) == 1);
    CHECK(look(*a, [](const rows& r) { return r.last_commit(); }) == wall_time{});
    CHECK(epoch(a).size() >= 22);
    CHECK(epoch(a) != epoch(b));
}

TEST_CASE_TEMPLATE("seq is dense and in commit order, also past refusals", Kind, ALL_BACKENDS) {
    opened<Kind> t;
    for (int i = 0; i < 20; ++i) {
        REQUIRE(run(*t, approve(t.issuer, "m" + std::to_string(i))));
        CHECK(run(*t, approve(t.issuer, "m" + std::to_string(i))).error() == errc::mission_exists);
    }
    const auto log = look(*t, [](const rows& r) { return r.signals(0, 1000, 1000); });
    REQUIRE(log.size() == 20);
    for (std::size_t i = 0; i < log.size(); ++i) {
        CHECK(log[i].seq == static_cast<seq_t>(i) + 1);
        CHECK(log[i].keys.mission_id == long_id("m" + std::to_string(i)));
    }
}

TEST_CASE_TEMPLATE("signals are read in (after, until], ascending, up to the limit", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    changes c;
    for (int i = 0; i < 10; ++i)
        c.missions.push_back(approval(t.issuer, "m" + std::to_string(i)));
    REQUIRE(run(*t, c));
    const auto seqs = [&](seq_t after, seq_t until, std::size_t limit) {
        std::vector<seq_t> out;
        for (const auto& s :
             look(*t, [&](const rows& r) { return r.signals(after, until, limit); }))
            out.push_back(s.seq);
        return out;
    };
    CHECK(seqs(3, 6, 100) == std::vector<seq_t>{4, 5, 6});
    CHECK(seqs(8, 100, 100) == std::vector<seq_t>{9, 10});
    CHECK(seqs(0, 10, 2) == std::vector<seq_t>{1, 2});
    CHECK(seqs(5, 5, 100).empty());
    CHECK(seqs(10, 20, 100).empty());
    CHECK(seqs(0, 10, 0).empty());
}

TEST_CASE_TEMPLATE("one mission's signals come by version", Kind, ALL_BACKENDS) {
    opened<Kind> t;
    const auto row = run(*t, approve(t.issuer, "a")).value().missions[0];
    REQUIRE(run(*t, approve(t.issuer, "b")));
    REQUIRE(run(*t, move_to(t.issuer, "a", state::suspended)));
    REQUIRE(run(*t, move_to(t.issuer, "a", state::completed)));
    const auto own = look(*t, [&](const rows& r) { return r.mission_signals(row); });
    REQUIRE(own.size() == 3);
    for (std::size_t i = 0; i < 3; ++i)
        CHECK(own[i].version == static_cast<std::int64_t>(i) + 1);
}

TEST_CASE_TEMPLATE("the log's time never runs backwards, whatever the clock does", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    REQUIRE(run(*t, approve(t.issuer, "a")));
    t.time.jump_wall(-2h);
    wall_time seen{};
    const auto done = run(*t, [&](const rows& r, wall_time now) -> result<changes> {
        seen = now;
        CHECK(now >= r.last_commit());
        return approve(t.issuer, "b");
    });
    CHECK(done->committed_at == start_time);
    CHECK(seen == start_time);
    t.time.jump_wall(3h);
    CHECK(run(*t, approve(t.issuer, "c"))->committed_at == start_time + 1h);
    CHECK(look(*t, [](const rows& r) { return r.last_commit(); }) == start_time + 1h);
}

TEST_CASE_TEMPLATE("a nonce is found by all five of its parts, until its time has passed", Kind,
                   ALL_BACKENDS) {
    opened<Kind> t;
    changes c;
    const std::string odd("n\0'\"\xc3\xa4", 6);
    c.nonces.push_back({t.issuer, "lifecycle", "client", long_id("m"), odd, "hash", R"({"a":1})",
                        start_time + 24h});
    REQUIRE(run(*t, c));
    const auto find = [&](std::string_view scope, std::string_view client, std::string_view id,
                          std::string_view nonce) {
        return look(
            *t, [&](const rows& r) { return r.find_nonce(t.issuer, scope, client, id, nonce); });
    };
    const auto found = find("lifecycle", "client", long_id("m"), odd);
    REQUIRE(found);
    CHECK(found->request_hash == "hash");
    CHECK(found->outcome == R"({"a":1})");
    CHECK(found->expires_at == start_time + 24h);
    CHECK(!find("create", "client", long_id("m"), odd));
    CHECK(!find("lifecycle", "other", long_id("m"), odd));
    CHECK(!find("lifecycle", "client", "", odd));
    CHECK(!find("lifecycle", "client", long_id("m"), "n"));
    t.time.advance(24h);
    CHECK(!find("lifecycle", "client", long_id("m"), odd));
    // Its place is free again.
    c.nonces[0].request_hash = "second";
    c.nonces[0].expires_at = start_time + 48h;
    REQUIRE(run(*t, c));
    CHECK(find("lifecycle", "client", long_id("m"), odd)->request_hash == "second");
}

}  // namespace mission::store::test
