#include "transmitter/delivery/subject_index.hpp"

#include <set>

#include "rules_support.hpp"

using namespace mission;
using namespace mission::transmitter;
using namespace mission::transmitter::testing;
using events::subject;

namespace {

constexpr store::stream_row one{1}, two{2};
const std::string mas = "https://mas.example";

store::stream_subject row_of(const subject& s, store::stream_row stream = one,
                             store::seq_t added = 1) {
    store::stream_subject r;
    r.stream = stream;
    r.key = events::canonical_key(s);
    r.subject = events::to_json(s);
    r.added_seq = added;
    return r;
}

store::match_keys mission_keys() {
    store::match_keys k;
    k.mission_id = mission_name(1);
    k.agent_client_id = "agent-7";
    k.agent_spiffe_id = "spiffe://example.org/agent-7";
    k.user = {"https://idp.example", "alice"};
    k.tenant = "acme";
    return k;
}

stream_visibility all_seeing() {
    stream_visibility v;
    v.user = v.tenant = true;
    return v;
}

subject aliases(std::vector<subject> names) {
    subject s;
    s.format = "aliases";
    s.identifiers = std::move(names);
    return s;
}

// One filter of one row, asked about the mission of mission_keys().
bool follows(const subject& s, const stream_visibility& v = all_seeing()) {
    subject_index index("secret");
    REQUIRE(index.put(row_of(s)));
    const auto about = subjects_of(mission_keys(), mas, index.hasher());
    const bool included = index.ask(one, about, v, 5).included;
    // Whoever is included is found without being looked for.
    if (included) CHECK(index.candidates(about, 5) == std::vector<store::stream_row>{one});
    return included;
}

bool gets(const subject& filter, const subject& event) {
    subject_index index("secret");
    REQUIRE(index.put(row_of(filter)));
    const auto about = subjects_of(event, index.hasher());
    const bool included = index.ask(one, about, all_seeing(), 5).included;
    if (included) CHECK(index.candidates(about, 5).size() == 1);
    return included;
}

const subject the_mission = subject::opaque(mission_name(1));
const subject the_agent = subject::iss_sub(mas, "agent-7");
const subject the_user = subject::iss_sub("https://idp.example", "alice");
const subject the_tenant = subject::opaque("acme");
const subject somebody = subject::email("bob@example.com");

}  // namespace

TEST_CASE("a stream can follow one mission, one agent, one person, one tenant by simple subjects") {
    CHECK(follows(the_mission));
    CHECK(follows(the_agent));
    CHECK(follows(the_user));
    CHECK(follows(the_tenant));
    CHECK(follows(subject::uri("spiffe://example.org/agent-7")));
    CHECK_FALSE(follows(subject::opaque(mission_name(2))));
    CHECK_FALSE(follows(subject::iss_sub("https://other.example", "agent-7")));
    CHECK_FALSE(follows(subject::uri("spiffe://example.org/agent-8")));
    CHECK_FALSE(follows(somebody));
}

TEST_CASE("a complex subject matches member by member; what one side lacks says nothing") {
    const auto complex = [](std::map<std::string, subject> members) {
        return follows(subject::complex_of(std::move(members)));
    };
    CHECK(complex({{"mission", the_mission}}));
    CHECK(complex({{"application", the_agent}, {"tenant", the_tenant}}));
    CHECK(complex({{"application", subject::uri("spiffe://example.org/agent-7")}}));
    CHECK(complex({{"user", the_user}, {"device", subject::opaque("laptop")}}));
    CHECK_FALSE(complex({{"user", the_user}, {"tenant", subject::opaque("other")}}));
    CHECK_FALSE(complex({{"application", the_agent}, {"mission", subject::opaque("x")}}));
    // The right subject in the wrong member is another subject.
    CHECK_FALSE(complex({{"device", the_mission}}));
}

TEST_CASE("complex subjects with no member in common do not match (wire.md section 3)") {
    CHECK_FALSE(follows(subject::complex_of({{"device", subject::opaque("laptop")}})));
    CHECK_FALSE(gets(subject::complex_of({{"device", subject::opaque("laptop")}}),
                     subject::complex_of({{"user", somebody}})));
}

TEST_CASE("a member that the client may not know counts as not defined") {
    stream_visibility blind;
    CHECK_FALSE(follows(the_user, blind));
    CHECK_FALSE(follows(the_tenant, blind));
    CHECK(follows(the_mission, blind));
    CHECK_FALSE(follows(subject::complex_of({{"user", the_user}}), blind));
    // Neither the right nor the wrong person changes the answer.
    for (const auto& user : {the_user, somebody}) {
        CHECK(follows(subject::complex_of({{"application", the_agent}, {"user", user}}), blind));
    }
}

TEST_CASE("a session is a member of the mission's subject only where the CAEP bridge tells it") {
    const auto session = subject::complex_of({{"session", the_mission}});
    CHECK_FALSE(follows(session));
    auto bridged = all_seeing();
    bridged.caep_bridge = "session";
    CHECK(follows(session, bridged));
}

TEST_CASE("aliases match when any of their identifiers does") {
    CHECK(follows(aliases({somebody, the_agent})));
    CHECK_FALSE(follows(aliases({somebody, subject::opaque("nobody")})));
    CHECK(follows(subject::complex_of({{"user", aliases({somebody, the_user})}})));
    CHECK_FALSE(follows(subject::complex_of(
        {{"application", the_agent}, {"user", aliases({somebody, subject::opaque("x")})}})));
}

TEST_CASE("emitted events: identical simple subjects, complex ones member by member") {
    const auto complex = subject::complex_of({{"user", somebody}, {"device", the_tenant}});
    CHECK(gets(somebody, somebody));
    CHECK(gets(subject::email("bob@EXAMPLE.com"), somebody));
    CHECK_FALSE(gets(the_user, somebody));
    CHECK(gets(subject::complex_of({{"user", somebody}}), complex));
    CHECK(gets(complex, subject::complex_of({{"user", somebody}})));
    CHECK_FALSE(gets(subject::complex_of({{"user", somebody}, {"device", the_agent}}), complex));
    // Simple beside complex: who follows a person is told of that person's session as well.
    CHECK(gets(somebody, complex));
    CHECK(gets(complex, somebody));
    CHECK(gets(aliases({the_user, somebody}), somebody));
    CHECK(gets(somebody, aliases({the_user, somebody})));
}

TEST_CASE("a row is in force for added <= seq < removed, and asked at the seq of its signal") {
    subject_index index("secret");
    auto row = row_of(the_agent, one, 10);
    index.put(row);
    row.removed_seq = 20;
    index.put(row);
    CHECK(index.size() == 1);  // replaced, not added
    const auto about = subjects_of(mission_keys(), mas, index.hasher());
    for (const store::seq_t seq : {9, 10, 19, 20}) {
        const bool in_force = seq >= 10 && seq < 20;
        CHECK(index.ask(one, about, all_seeing(), seq).included == in_force);
        CHECK(index.candidates(about, seq).empty() == !in_force);
    }
    index.put(row_of(the_agent, one, 30));
    CHECK(index.size() == 2);
    CHECK(index.ask(one, about, all_seeing(), 30).included);
    CHECK_FALSE(index.ask(one, about, all_seeing(), 25).included);
}

TEST_CASE("excluding rows take from ALL streams, including ones win over them") {
    subject_index index("secret");
    auto excluding = row_of(the_tenant);
    excluding.excluded = true;
    index.put(excluding);
    const auto about = subjects_of(mission_keys(), mas, index.hasher());
    auto opinion = index.ask(one, about, all_seeing(), 5);
    CHECK(opinion.excluded);
    CHECK_FALSE(opinion.included);
    CHECK(index.candidates(about, 5).empty());
    CHECK_FALSE(interested(true, opinion.included, opinion.excluded));
    index.put(row_of(the_agent));
    opinion = index.ask(one, about, all_seeing(), 5);
    CHECK(interested(true, opinion.included, opinion.excluded));
    CHECK(interested(false, true, true));
    CHECK_FALSE(interested(false, false, false));
    CHECK(interested(true, false, false));
    // The row of the same place may turn from one into the other.
    excluding.excluded = false;
    index.put(excluding);
    CHECK_FALSE(index.ask(one, about, all_seeing(), 5).excluded);
}

TEST_CASE("a filter says nothing about another stream") {
    subject_index index("secret");
    index.put(row_of(the_agent, two));
    const auto about = subjects_of(mission_keys(), mas, index.hasher());
    CHECK_FALSE(index.ask(one, about, all_seeing(), 5).included);
    CHECK(index.candidates(about, 5) == std::vector<store::stream_row>{two});
}

TEST_CASE("rows that share an identifier are told apart when one of them is replaced") {
    subject_index index("secret");
    index.put(row_of(the_agent));
    auto complex =
        row_of(subject::complex_of({{"application", the_agent}, {"tenant", the_tenant}}));
    index.put(complex);
    index.put(row_of(aliases({the_agent, somebody})));
    CHECK(index.size() == 5);
    complex.removed_seq = 3;
    index.put(complex);
    CHECK(index.size() == 5);
    index.sweep([](store::stream_row) { return false; }, 3, 1);
    CHECK(index.size() == 3);
    const auto about = subjects_of(mission_keys(), mas, index.hasher());
    CHECK(index.ask(one, about, all_seeing(), 5).included);
}

TEST_CASE("a subject that cannot be read is left out, and said so") {
    subject_index index("secret");
    auto row = row_of(the_agent);
    row.subject = R"({"format":"opaque"})";
    CHECK_FALSE(index.put(row));
    CHECK(index.empty());
}

TEST_CASE("100,000 streams of few subjects and a stream of many: a signal costs what matches") {
    subject_index index("secret");
    constexpr int streams = 100'000, many = 200'000;
    for (int i = 1; i <= streams; ++i) {
        index.load(
            row_of(subject::opaque("somebody else's " + std::to_string(i)), store::stream_row{i}));
    }
    for (int i = 0; i < many; ++i)
        index.load(row_of(subject::opaque("of the big one " + std::to_string(i)), one));
    index.put(row_of(the_mission, store::stream_row{777}));
    index.put(row_of(the_tenant, store::stream_row{778}));
    CHECK(index.size() == streams + many + 2);
    const auto about = subjects_of(mission_keys(), mas, index.hasher());
    CHECK(index.candidates(about, 5) ==
          std::vector<store::stream_row>{store::stream_row{777}, store::stream_row{778}});
    // A stream goes with everything it had, some of it at a time.
    const auto gone = [](store::stream_row row) { return row == one; };
    for (int i = 0; i < 17; ++i)
        index.sweep(gone, 0, 16);
    CHECK(index.size() == streams - 1 + 2);
    index.put(row_of(the_agent, store::stream_row{779}));
    CHECK(index.candidates(about, 5).size() == 3);
}

TEST_CASE("random rows and sweeps leave an index that answers as a plain list does") {
    auto random = seeded_random(7);
    subject_index index("secret");
    std::map<std::tuple<store::stream_row, std::string, store::seq_t>, store::stream_subject> list;
    const std::vector<subject> pool{
        the_mission,
        the_agent,
        somebody,
        aliases({the_agent, somebody}),
        subject::complex_of({{"application", the_agent}, {"tenant", the_tenant}}),
        subject::complex_of({{"user", somebody}})};
    const auto about = subjects_of(mission_keys(), mas, index.hasher());
    store::seq_t tail = 0;
    for (int i = 0; i < 3000; ++i) {
        auto row = row_of(pool[random->below(pool.size())],
                          store::stream_row{1 + static_cast<int>(random->below(8))},
                          tail + 1 + static_cast<store::seq_t>(random->below(20)));
        row.excluded = random->below(4) == 0;
        if (random->below(2) == 0)
            row.removed_seq = row.added_seq + static_cast<store::seq_t>(random->below(10));
        index.put(row);
        list[{row.stream, row.key, row.added_seq}] = row;
        if (i % 100 == 99) {
            tail += 5;
            index.sweep([](store::stream_row) { return false; }, tail, 1);
        }
        const store::stream_row asked{1 + static_cast<int>(random->below(8))};
        const store::seq_t seq = tail + 1 + static_cast<store::seq_t>(random->below(20));
        bool included = false, excluded = false;
        for (const auto& [key, r] : list) {
            if (r.stream != asked || seq < r.added_seq) continue;
            if (r.removed_seq && seq >= *r.removed_seq) continue;
            const bool names_it = r.subject.find("agent-7") != std::string::npos ||
                                  r.subject.find(mission_name(1)) != std::string::npos;
            if (!names_it) continue;
            (r.excluded ? excluded : included) = true;
        }
        const auto opinion = index.ask(asked, about, all_seeing(), seq);
        REQUIRE(opinion.included == included);
        REQUIRE(opinion.excluded == excluded);
    }
}
