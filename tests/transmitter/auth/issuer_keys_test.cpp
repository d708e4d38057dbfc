#include "tests/transmitter/auth/auth_bench.hpp"

#include "transmitter/auth/issuer_keys.hpp"

// When the keys of a token issuer are fetched, used and given up; one rule per test.

using namespace mission;
using namespace mission::transmitter;
using namespace std::chrono_literals;
using testing::signing_key;
using advice = issuer_keys::advice;

namespace {

const steady_time start{1h};

result<jose::key_set> set_of(std::initializer_list<const signing_key*> keys) {
    jose::key_set out;
    for (const auto* k : keys)
        out.add(k->key.to_public());
    return out;
}

const result<jose::key_set> failure = error{errc::timed_out};

}  // namespace

TEST_CASE("the first look fetches, the next ones wait for it, then all use it") {
    const signing_key k;
    issuer_keys keys;
    CHECK(keys.look(k.key.kid(), start).what == advice::fetch);
    CHECK(keys.look(k.key.kid(), start).what == advice::wait);
    keys.fetched(set_of({&k}), start);
    const auto known = keys.look(k.key.kid(), start);
    CHECK(known.what == advice::use);
    CHECK(known.keys->has(k.key.kid()));
    CHECK(keys.look("", start).what == advice::use);
}

TEST_CASE("an unknown kid leads to a fetch at most every 30 seconds") {
    const signing_key k;
    issuer_keys keys;
    keys.look("a", start);
    keys.fetched(set_of({&k}), start);
    CHECK(keys.look("unknown", start + 29s).what == advice::use);
    CHECK(keys.look("unknown", start + 30s).what == advice::fetch);
    // Who comes with a known kid meanwhile does not wait.
    CHECK(keys.look(k.key.kid(), start + 30s).what == advice::use);
    CHECK(keys.look("unknown", start + 30s).what == advice::wait);
    keys.fetched(set_of({&k}), start + 31s);
    CHECK(keys.look("unknown", start + 32s).what == advice::use);
}

TEST_CASE("keys are renewed in the background after five minutes") {
    const signing_key k;
    issuer_keys keys;
    keys.look("", start);
    keys.fetched(set_of({&k}), start);
    CHECK(keys.look(k.key.kid(), start + 299s).what == advice::use);
    CHECK(keys.look(k.key.kid(), start + 300s).what == advice::refresh);
    CHECK(keys.look(k.key.kid(), start + 300s).what == advice::use);
}

TEST_CASE("an issuer that cannot be reached is asked again after five seconds, not at each token") {
    issuer_keys keys;
    keys.look("a", start);
    keys.fetched(failure, start);
    CHECK(keys.look("a", start + 4s).what == advice::unavailable);
    CHECK(keys.look("a", start + 5s).what == advice::fetch);
}

TEST_CASE("a failed renewal keeps the old keys for an hour, and no longer") {
    const signing_key k;
    issuer_keys keys;
    keys.look("", start);
    keys.fetched(set_of({&k}), start);
    CHECK(keys.look(k.key.kid(), start + 6min).what == advice::refresh);
    keys.fetched(failure, start + 6min);
    CHECK(keys.look(k.key.kid(), start + 6min + 1s).what == advice::use);
    // Whether there is such a key cannot be known now: that is no refusal of the token.
    CHECK(keys.look("unknown", start + 6min + 1s).what == advice::unavailable);
    CHECK(keys.look(k.key.kid(), start + 59min).keys != nullptr);
    keys.fetched(failure, start + 59min);
    CHECK(keys.look(k.key.kid(), start + 60min).what == advice::fetch);
    CHECK(keys.at_hand(start + 60min) == nullptr);
}

TEST_CASE("a key set without a key is a failure, and does not replace the old one") {
    const signing_key k;
    issuer_keys keys;
    keys.look("", start);
    keys.fetched(set_of({&k}), start);
    keys.look("unknown", start + 30s);
    keys.fetched(set_of({}), start + 30s);
    CHECK(keys.failed());
    CHECK(keys.at_hand(start + 30s)->has(k.key.kid()));
}

TEST_CASE("another key under the same kid is told, and is the one that counts") {
    const signing_key k, other;
    auto renamed = other;
    renamed.key.set_kid(k.key.kid());
    issuer_keys keys;
    keys.look("", start);
    CHECK_FALSE(keys.fetched(set_of({&k}), start));
    CHECK_FALSE(keys.fetched(set_of({&k, &other}), start + 30s));
    CHECK(keys.fetched(set_of({&renamed}), start + 60s) == k.key.kid());
    const auto now = keys.at_hand(start + 60s);
    REQUIRE(now->keys().size() == 1);
    CHECK(now->keys()[0].thumbprint() == other.key.to_public().thumbprint());
}
