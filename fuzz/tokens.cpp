// JWS, SETs, keys, subjects, Status answers: what a transmitter sends.
#include "base/json.hpp"
#include "events/mission_event.hpp"
#include "events/set.hpp"
#include "events/subject.hpp"
#include "fuzz/targets.hpp"
#include "jose/jws.hpp"
#include "mission_signals/events.hpp"
#include "receiver/sidecar/token.hpp"
#include "receiver/subscribe/poll_answer.hpp"
#include "receiver/verify/status_answer.hpp"
#include "receiver/verify/verify.hpp"

namespace mission::fuzz {
namespace {

constexpr std::string_view issuer = "https://as.example.com";
constexpr std::string_view audience = "https://erp.example.com";
constexpr std::int64_t moment = 1'793'610'400'000;  // of the vectors

// RFC 7517 appendix A.1; nobody here has its private half.
const jose::key_set& strangers_keys() {
    static const auto keys =
        *jose::key_set::parse(R"({"keys":[{"kty":"EC","crv":"P-256","kid":"1",)"
                              R"("x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",)"
                              R"("y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]})");
    return keys;
}

}  // namespace

void jws(std::string_view input) {
    const auto token = jose::parse_compact(input);
    if (token.has_value()) {
        const auto& t = *token;
        hold_to(input.substr(0, t.signing_input.size()) == t.signing_input &&
                    input[t.signing_input.size()] == '.',
                "the signing input is the token up to its last dot");
        hold_to(!t.alg.empty() && !t.signature.empty() && !t.payload.empty(),
                "a token has an algorithm, a payload and a signature");
        hold_to(jose::verify(t, strangers_keys(), receiver::allowed_algs, false).has_error(),
                "nobody signs with a key that nobody has");
    }
    const auto as_set = receiver::parse_set(input);
    if (as_set.has_value()) {
        hold_to(as_set->typ == events::set_typ, "a SET says that it is one");
        hold_to(jose::parse_alg(as_set->alg).has_value(), "an algorithm of the allow-list");
        (void)receiver::verify_set(*as_set, strangers_keys());
    }
    const auto access = receiver::sidecar::peek_token(input);
    if (access.has_value()) {
        hold_to(!access->issuer.empty(), "a token names its issuer");
        receiver::sidecar::token_issuer by;
        by.issuer = access->issuer;
        by.audience = audience;
        by.algs = {jose::alg::es256, jose::alg::rs256};
        hold_to(receiver::sidecar::verify_token(*access, by, strangers_keys(),
                                                from_milliseconds(moment))
                    .has_error(),
                "no token of a stranger is good");
    }
    bool twice = false;
    const auto cookie = receiver::sidecar::token_in_cookie(input, "token", twice);
    hold_to(cookie.size() <= input.size(), "a cookie is part of its field");
    (void)receiver::sidecar::token_in_field("authorization", input);
}

void set(std::string_view input) {
    const auto set = events::decode(input);
    if (set.has_error()) return;
    hold_to(!set->iss.empty() && !set->jti.empty() && !set->type.empty() && set->event != nullptr,
            "a SET has iss, jti and one event");
    const auto now = receiver::instant{moment, moment};
    if (receiver::check_set(*set, issuer, audience, now).has_value()) {
        hold_to(set->iss == issuer, "the issuer is the registered one");
        hold_to(set->iat * 1000 <= moment + 5 * 60 * 1000, "issued at most five minutes ahead");
    }
    if (set->sub_id) {
        const auto change = events::parse_mission_event(set->type, *set->event, *set->sub_id);
        if (change.has_value()) hold_to(change->version > 0, "versions count from 1");
    }
    (void)events::parse_verification(*set->event);
    (void)events::parse_stream_updated(*set->event);
    // As a host reads it.
    mission_signals::security_event e;
    e.type = set->type;
    e.subject = set->sub_id ? events::to_json(*set->sub_id) : "";
    e.event = json::write(*set->event);
    (void)mission_signals::events::read(e);
}

void jwks(std::string_view input) {
    const auto keys = jose::key_set::parse(input);
    if (keys.has_error()) return;
    const auto again = jose::key_set::parse(keys->to_json());
    hold_to(again.has_value() && again->keys().size() == keys->keys().size(),
            "a set of keys is read as it was written");
    for (std::size_t i = 0; i < keys->keys().size(); ++i) {
        const auto& key = keys->keys()[i];
        hold_to(key.thumbprint() == again->keys()[i].thumbprint(), "and each key with it");
        for (const auto a : receiver::allowed_algs)
            hold_to(!key.allows(a) || !key.verify(a, "text", input.substr(0, 64)),
                    "what comes with a key is no signature of it");
    }
}

void subject(std::string_view input) {
    const auto parsed = json::parse(input);
    if (parsed.has_error()) return;
    const auto s = events::parse_subject(*parsed);
    // The reader of hosts takes what the wire's reader takes.
    const auto public_one = mission_signals::events::read_subject(input);
    hold_to(public_one.has_value() == s.has_value(), "two readers of subjects agree");
    if (s.has_error()) return;
    const auto text = events::to_json(*s);
    const auto again = json::parse(text);
    hold_to(again.has_value(), "a subject is written as JSON");
    const auto t = events::parse_subject(*again);
    hold_to(t.has_value() && *t == *s, "a subject is read as it was written");
    hold_to(events::canonical_key(*t) == events::canonical_key(*s), "and has the same key");
}

void status_answer(std::string_view input) {
    receiver::status_expectation expected;
    expected.issuer = issuer;
    expected.audience = audience;
    expected.client_id = "rs";
    expected.nonce = "n-0S6_WzA2Mj";
    expected.mission_id = "msn_8RfX2Lqv9TqMv4z7sA2bN1k0YpEdHc9-";
    expected.mission_issuer = issuer;
    expected.algs = {"ES256"};
    expected.max_stale = std::chrono::seconds(60);
    (void)receiver::parse_status(input, expected);
    jose::compact token;
    token.alg = "ES256";
    token.typ = receiver::status_typ;
    token.payload = input;
    const auto now = receiver::instant{moment, moment};
    const auto word = receiver::read_status(token, expected, now);
    if (word.has_error()) return;
    hold_to(word->version > 0, "versions count from 1");
    hold_to(!word->state.empty(), "an answer says the state");
}

void poll_answer(std::string_view input) {
    std::string body(input);
    const auto sets = receiver::parse_poll_answer(body);
    if (sets.has_error()) return;
    for (const auto& s : *sets) {
        if (s.token) (void)receiver::parse_set(*s.token);
    }
}

}  // namespace mission::fuzz
