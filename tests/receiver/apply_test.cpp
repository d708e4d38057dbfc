#include "receiver/cache/apply.hpp"

#include <doctest/doctest.h>

using namespace mission;
using namespace mission::receiver;
using ms::effect;
using ms::standing;

namespace {

const mission_key key{"https://mas.example", "msn_8RfX2Lqv9TqMv4z7sA2bN1k0YpEdHc9-"};

events::mission_change change(std::int64_t version, const char* state) {
    events::mission_change c;
    c.mission_id = key.id;
    c.issuer = key.issuer;
    c.log_epoch = "e1";
    c.state = state;
    c.version = version;
    c.expires_at = from_milliseconds(2'000'000'000'000);
    return c;
}

status_word status(std::int64_t version, const char* state, const char* log_epoch = "e1") {
    status_word s;
    s.id = key.id;
    s.issuer = key.issuer;
    s.state = state;
    s.version = version;
    s.log_epoch = log_epoch;
    s.authority = "[]";
    return s;
}

record nothing() {
    record r;
    r.key = key;
    return r;
}

record after(const record& before, const events::mission_change& c) {
    return apply_event(before, c).next;
}

}  // namespace

TEST_CASE("version 1 anchors a mission and needs no Status") {
    const auto a = apply_event(nothing(), change(1, "active"));
    CHECK(a.changed);
    CHECK(a.confirms);
    CHECK_FALSE(a.ask_status);
    CHECK(told(a.next) == standing::active);
}

TEST_CASE("first contact above version 1 is in doubt until Status has spoken") {
    const auto a = apply_event(nothing(), change(4, "active"));
    CHECK(a.ask_status);
    CHECK_FALSE(a.confirms);
    CHECK(told(a.next) == standing::gap);
    const auto s = apply_status(a.next, status(4, "active"));
    CHECK(told(s.next) == standing::active);
}

TEST_CASE("a version at or below the last applied changes nothing") {
    auto r = after(after(nothing(), change(1, "active")), change(2, "suspended"));
    for (const std::int64_t v : {1, 2}) {
        const auto a = apply_event(r, change(v, "active"));
        CHECK_FALSE(a.changed);
        CHECK(a.next == r);
    }
}

TEST_CASE("a missed version denies and asks, and the missed one does not undo it") {
    const auto r = after(nothing(), change(1, "active"));
    const auto a = apply_event(r, change(3, "active"));
    CHECK(told(a.next) == standing::gap);
    CHECK(a.ask_status);
    CHECK_FALSE(apply_event(a.next, change(2, "active")).changed);
    CHECK(told(after(a.next, change(4, "active"))) == standing::gap);
}

TEST_CASE("a denial in a gapped SET applies at once") {
    const auto r = after(nothing(), change(1, "active"));
    const auto a = apply_event(r, change(3, "revoked"));
    CHECK(told(a.next) == standing::revoked);
    CHECK(a.effect == effect::revoked);
    CHECK(told(after(r, change(4, "suspended"))) == standing::suspended);
}

TEST_CASE("nothing revives a mission that has ended") {
    const auto r = after(after(nothing(), change(1, "active")), change(2, "revoked"));
    CHECK(told(after(r, change(3, "active"))) == standing::revoked);
    CHECK(told(apply_status(r, status(9, "active")).next) == standing::revoked);
}

TEST_CASE("a state we do not know the name of is not active") {
    const auto r = after(after(nothing(), change(1, "active")), change(2, "paused-by-moon"));
    CHECK(told(r) == standing::ended);
    // And what was torn down for it is not resumed.
    CHECK_FALSE(apply_event(r, change(3, "active")).effect.has_value());
}

TEST_CASE("under another log_epoch a denial holds at once and Status decides the version") {
    const auto r = after(after(nothing(), change(1, "active")), change(2, "active"));
    auto c = change(1, "revoked");
    c.log_epoch = "e2";
    const auto a = apply_event(r, c);
    CHECK(a.ask_status);
    CHECK(told(a.next) == standing::revoked);
    CHECK(a.next.version == 2);
    CHECK_FALSE(a.effect.has_value());

    const auto revoked = apply_status(a.next, status(1, "revoked", "e2"));
    CHECK(revoked.next.version == 1);
    CHECK(revoked.effect == effect::revoked);
    const auto active = apply_status(a.next, status(1, "active", "e2"));
    CHECK(told(active.next) == standing::active);
}

TEST_CASE("a permission under another log_epoch permits nothing before Status") {
    const auto r = after(after(nothing(), change(1, "active")), change(2, "suspended"));
    auto c = change(9, "active");
    c.log_epoch = "e2";
    CHECK(told(after(r, c)) == standing::suspended);
}

TEST_CASE("only another log_epoch lets Status lower a version") {
    const auto r = after(after(nothing(), change(1, "active")), change(2, "suspended"));
    const auto same = apply_status(r, status(1, "active"));
    CHECK_FALSE(same.changed);
    CHECK(same.ask_status);
    CHECK(told(same.next) == standing::suspended);
    CHECK(told(apply_status(r, status(1, "active", "e2")).next) == standing::active);
}

TEST_CASE("authority that changed is in doubt until a status at that version has come") {
    const auto r = after(nothing(), change(1, "active"));
    auto c = change(2, "active");
    c.authority_changed = true;
    const auto a = apply_event(r, c);
    CHECK(told(a.next) == standing::gap);
    CHECK(a.ask_status);
    CHECK(told(after(a.next, change(3, "active"))) == standing::gap);
    CHECK(told(apply_status(a.next, status(2, "active")).next) == standing::active);
}

TEST_CASE("a full set in an in-order event is used without asking, in a gapped one it is not") {
    const auto r = after(nothing(), change(1, "active"));
    auto c = change(2, "active");
    c.authority_changed = true;
    c.change = "narrowed";
    c.authorization_details = R"([{"type":"t"}])";
    const auto a = apply_event(r, c);
    CHECK(told(a.next) == standing::active);
    CHECK(a.narrows);
    CHECK(a.effect == effect::scope_changed);
    CHECK(a.next.authority == c.authorization_details);
    c.version = 5;
    CHECK(told(after(r, c)) == standing::gap);
    CHECK_FALSE(after(r, c).authority.has_value());
}

TEST_CASE("a status that no longer knows the mission denies, and a later event is asked about") {
    const auto r = after(nothing(), change(1, "active"));
    const auto a = apply_not_found(r);
    CHECK(told(a.next) == standing::unknown);
    CHECK_FALSE(a.effect.has_value());
    CHECK(told(after(a.next, change(2, "active"))) == standing::gap);
}

TEST_CASE("of two states told for one version the one that denies is believed") {
    const auto suspended = after(after(nothing(), change(1, "active")), change(2, "suspended"));
    const auto a = apply_status(suspended, status(2, "active"));
    CHECK_FALSE(a.changed);
    CHECK_FALSE(a.confirms);
    CHECK(a.ask_status);
    CHECK(told(a.next) == standing::suspended);
    const auto active = after(after(nothing(), change(1, "active")), change(2, "active"));
    CHECK(told(apply_status(active, status(2, "suspended")).next) == standing::suspended);
    // An event of a version that is known says nothing, whatever its state.
    CHECK_FALSE(apply_event(suspended, change(2, "active")).changed);
    // Another history's version is another one.
    CHECK(told(apply_status(suspended, status(2, "active", "e2")).next) == standing::active);
}

TEST_CASE("of two answers about one version each stands by its word, in whatever order they come") {
    auto first = status(2, "active"), second = status(2, "active");
    first.fresh_until = from_milliseconds(90'000);
    second.fresh_until = from_milliseconds(60'000);
    const auto r = apply_status(nothing(), first).next;
    CHECK(apply_status(r, second).next.fresh_until == first.fresh_until);
    const auto other = apply_status(nothing(), second).next;
    CHECK(apply_status(other, first).next.fresh_until == first.fresh_until);
    // About a later version, or of another history, the last word counts alone.
    auto later = status(3, "active");
    later.fresh_until = second.fresh_until;
    CHECK(apply_status(r, later).next.fresh_until == second.fresh_until);
    auto foreign = status(2, "active", "e2");
    foreign.fresh_until = second.fresh_until;
    CHECK(apply_status(r, foreign).next.fresh_until == second.fresh_until);
    CHECK_FALSE(apply_status(r, status(3, "active")).next.fresh_until.has_value());
}

TEST_CASE("how long Status may be relied on is about the state it told of") {
    auto word = status(1, "active");
    word.fresh_until = from_milliseconds(90'000);
    const auto r = apply_status(nothing(), word).next;
    CHECK(after(r, change(2, "active")).fresh_until == word.fresh_until);
    CHECK_FALSE(after(r, change(2, "suspended")).fresh_until.has_value());
    CHECK_FALSE(apply_not_found(r).next.fresh_until.has_value());
}

TEST_CASE("suspension and its end are effects, and a repeated state is none") {
    const auto r = after(nothing(), change(1, "active"));
    const auto s = apply_event(r, change(2, "suspended"));
    CHECK(s.effect == effect::suspended);
    CHECK_FALSE(apply_event(s.next, change(3, "suspended")).effect.has_value());
    CHECK(apply_event(s.next, change(3, "active")).effect == effect::resumed);
}
