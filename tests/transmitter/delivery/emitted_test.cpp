#include "transmitter/delivery/emitted.hpp"

#include "rules_support.hpp"
#include "transmitter/delivery/bridge.hpp"

using namespace mission;
using namespace mission::transmitter;
using namespace mission::transmitter::testing;

namespace {

const std::string revoked{session_revoked_type};

emitted_event an_event() {
    emitted_event e;
    e.type = revoked;
    e.subject = R"({"format":"email","email":"bob@example.com"})";
    e.event = R"({"event_timestamp":1790000000,"reason_admin":{"en":"gone \"for good\""}})";
    e.signal_id = "signal-1";
    e.audience = strings{"erp", "crm"};
    e.emitted_by = "idp";
    return e;
}

routed_ptr routed_event(const emitted_event& e, store::seq_t seq = 9) {
    auto row = std::make_shared<store::signal>();
    row->seq = seq;
    row->kind = store::signal_kind::event;
    row->committed_at = wall(5);
    row->txn = "txn-9";
    row->body = to_record(e);
    auto read = read_signal(row);
    REQUIRE(read);
    return *read;
}

stream_terms terms_of(std::string client, strings delivered = {revoked}) {
    auto t = terms_for(std::move(delivered));
    t.client_id = std::move(client);
    return t;
}

match of(const routed_ptr& signal, const stream_terms& terms, bool interested = true) {
    return match_signal(*signal, terms, interested, base);
}

events::mission_change ended(std::string state = "revoked") {
    auto c = change_of(1, 3);
    c.prior_state = "active";
    c.state = std::move(state);
    c.user_iss = "https://idp.example";
    c.user_sub = "alice";
    c.initiating_entity = "admin";
    c.reason_admin = {{"en", "key leaked"}};
    return c;
}

stream_terms bridging(std::string how) {
    auto t = terms_for({revoked, lifecycle});
    t.visibility.caep_bridge = std::move(how);
    return t;
}

}  // namespace

TEST_CASE("an emitted event survives the log, and what is no such record is store_corrupt") {
    auto e = an_event();
    CHECK(from_record_event(to_record(e)).value() == e);
    e.audience.reset();
    CHECK(from_record_event(to_record(e)).value() == e);
    e.audience.emplace();
    CHECK(from_record_event(to_record(e)).value() == e);
    for (const char* bad : {"", "{}", "[]", R"({"type":"t","subject":"{}"})",
                            R"({"type":"t","subject":"{}","event":"{}","audience":"all"})",
                            R"({"type":"t","subject":"{}","event":"{}","audience":[1]})"}) {
        CAPTURE(bad);
        CHECK(from_record_event(bad).error() == errc::store_corrupt);
    }
}

TEST_CASE("an emitted event goes to whom it is addressed, is delivered the type and follows it") {
    const auto signal = routed_event(an_event());
    CHECK(of(signal, terms_of("erp")).forms.size() == 1);
    CHECK(of(signal, terms_of("other")).forms.empty());
    CHECK(of(signal, terms_of("erp", {lifecycle})).forms.empty());
    CHECK(of(signal, terms_of("erp"), false).forms.empty());
    auto to_all = an_event();
    to_all.audience.reset();
    CHECK(of(routed_event(to_all), terms_of("other")).forms.size() == 1);
    auto to_none = an_event();
    to_none.audience.emplace();
    CHECK(of(routed_event(to_none), terms_of("erp")).forms.empty());
}

TEST_CASE("its SET carries subject and event as given, and the commit's second") {
    const auto e = an_event();
    const auto signal = routed_event(e);
    const auto text = encode_set(*signal, terms_of("erp"), {}, e.type, "j-1", set_shape::emitted);
    const auto claims = events::decode(text);
    REQUIRE(claims);
    CHECK(claims->type == revoked);
    CHECK(claims->jti == "j-1");
    CHECK(claims->txn == "txn-9");
    CHECK(claims->iat == to_numeric_date(wall(5)));
    CHECK(claims->sub_id == events::subject::email("bob@example.com"));
    CHECK(json::write(*claims->event) == e.event);
    CHECK(text.find("idp") == std::string::npos);  // who emitted it is nobody's business
}

TEST_CASE("emitted events wait for nobody and supersede nobody") {
    stream_under_test t;
    for (const store::seq_t seq : {1, 2, 3}) {
        window_entry e = entry(seq, 1, 1);
        e.signal = routed_event(an_event(), seq);
        admit(t.state, std::move(e), at(0ms));
    }
    CHECK(t.push().size() == 3);  // three versions of one mission would go one after the other
    t.reject(jti_of(1));
    window_entry later = entry(4, 1, 1);
    later.signal = routed_event(an_event(), 4);
    admit(t.state, std::move(later), at(0ms));
    CHECK(t.state.unsettled.size() == 4);
}

TEST_CASE("a mission that stops being active is bridged to CAEP, whatever ended it") {
    for (const char* state :
         {"suspended", "revoked", "completed", "expired", "superseded", "cascaded", "unheard-of"}) {
        CAPTURE(state);
        const auto m = of(routed(3, ended(state), 1), bridging("session"));
        REQUIRE(m.forms.size() == 2);
        CHECK(m.forms[1].type == revoked);
        CHECK(m.forms[1].shape == set_shape::bridge);
    }
}

TEST_CASE(
    "nothing else is bridged: resumptions, ends of what was held, narrowings, other streams") {
    const auto bridges = [](const events::mission_change& c, const stream_terms& t) {
        const auto m = of(routed(3, c, 1), t);
        return std::any_of(m.forms.begin(), m.forms.end(),
                           [](const auto& f) { return f.shape == set_shape::bridge; });
    };
    CHECK_FALSE(bridges(change_of(1, 1), bridging("session")));
    CHECK_FALSE(bridges(change_of(1, 3), bridging("session")));  // resumed
    CHECK_FALSE(bridges(narrowing_of(1, 3), bridging("session")));
    auto held = ended();
    held.prior_state = "suspended";
    CHECK_FALSE(bridges(held, bridging("session")));
    CHECK_FALSE(bridges(ended(), bridging("")));
    auto not_delivered = bridging("session");
    not_delivered.epoch.events_delivered = {lifecycle};
    CHECK_FALSE(bridges(ended(), not_delivered));
    auto unknown = bridging("session");
    unknown.epoch.aud = "https://stranger.example";
    CHECK_FALSE(bridges(ended(), unknown));
    auto nobodys = ended();
    nobodys.user_sub.reset();
    CHECK(bridges(ended(), bridging("user")));
    CHECK_FALSE(bridges(nobodys, bridging("user")));
}

TEST_CASE("the bridge names session and application, or the person alone") {
    const auto signal = routed(3, ended(), 1);
    const auto claims_of = [&](const stream_terms& t) {
        auto claims = events::decode(encode_set(*signal, t, {}, revoked, "j", set_shape::bridge));
        REQUIRE(claims);
        return std::move(*claims);
    };
    const auto session = claims_of(bridging("session"));
    CHECK(*session.sub_id ==
          events::subject::complex_of(
              {{"session", events::subject::opaque(mission_name(1))},
               {"application", events::subject::iss_sub("https://mas.example", "agent-7")}}));
    const auto user = claims_of(bridging("user"));
    CHECK(*user.sub_id == events::subject::iss_sub("https://idp.example", "alice"));
}

TEST_CASE("the bridge always gives a reason, the mission's own only to who may know it") {
    const auto event_of = [](bool may_know_reason) {
        stream_visibility may;
        may.reason = may_know_reason;
        return json::parse(bridge_event(ended(), may)).value();
    };
    const auto told = event_of(true);
    CHECK(json::find_string(*json::find(told, "reason_admin"), "en") == "key leaked");
    CHECK(json::find_int(told, "event_timestamp") == to_numeric_date(wall(3)));
    CHECK(json::find_string(told, "initiating_entity") == "admin");
    const auto untold = event_of(false);
    const auto reason = json::find_string(*json::find(untold, "reason_admin"), "en");
    REQUIRE(reason);
    CHECK_FALSE(reason->empty());
    CHECK(reason->find("key") == std::string_view::npos);
}

TEST_CASE("all forms of a signal settle together, the bridge among them") {
    stream_under_test t;
    auto e = entry(1, 1, 1, 2);
    e.sets[1].shape = set_shape::bridge;
    admit(t.state, std::move(e), at(0ms));
    t.push();
    t.accept(jti_of(1));
    CHECK(t.state.unsettled.size() == 1);
    t.push();
    t.accept(jti_of(1, 1));
    CHECK(t.state.unsettled.empty());
}
