// Signals, terms and delivery states made by hand, for tests of the pure rules.
#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "transmitter/delivery/outcome.hpp"
#include "transmitter/delivery/push_machine.hpp"

namespace doctest {
// A result is printed by its error alone: its value need not be printable.
template <class T>
struct StringMaker<boost::system::result<T, mission::error>> {
    static String convert(const boost::system::result<T, mission::error>& r) {
        return r ? String("value") : String(r.error().message().c_str());
    }
};
}  // namespace doctest

namespace mission::transmitter::testing {

using namespace std::chrono_literals;

inline const std::string base{events::event_type_base};
inline const std::string lifecycle{events::lifecycle_change_type};
inline std::string ours(std::string_view name) {
    return base + std::string(name);
}

inline wall_time wall(std::int64_t seconds) {
    return from_numeric_date(1'790'000'000 + seconds);
}
inline instant at(std::chrono::milliseconds since_start) {
    return {steady_time(std::chrono::hours(1)) + since_start, wall(0) + since_start};
}

inline std::string mission_name(int n) {
    std::string id = "mission-for-the-tests-" + std::to_string(n);
    return id;
}

// Version 1 is an activation, every later one a suspension (odd) or a resumption (even).
inline events::mission_change change_of(int mission, std::int64_t version) {
    events::mission_change c;
    c.mission_id = mission_name(mission);
    c.issuer = "https://mas.example";
    c.log_epoch = "epoch-1";
    c.version = version;
    c.committed_at = wall(version);
    c.expires_at = wall(100'000);
    c.agent_client_id = "agent-7";
    c.state = version % 2 == 1 ? "active" : "suspended";
    if (version > 1) c.prior_state = version % 2 == 1 ? "suspended" : "active";
    return c;
}

inline events::mission_change narrowing_of(int mission, std::int64_t version) {
    auto c = change_of(mission, version);
    c.state = "active";
    c.prior_state = "active";
    c.authority_changed = true;
    c.change = "narrowed";
    c.authorization_details = R"([{"type":"t","resource":"https://api.example","actions":["a"]},)"
                              R"({"type":"t","resource":"https://other.example","actions":["b"]}])";
    return c;
}

inline store::match_keys keys_for(const events::mission_change& c) {
    store::match_keys k;
    k.mission_id = c.mission_id;
    k.agent_client_id = c.agent_client_id;
    k.tenant = c.tenant;
    k.resources = {"https://api.example"};
    return k;
}

inline routed_ptr routed(store::seq_t seq, events::mission_change c, int mission) {
    auto row = std::make_shared<store::signal>();
    row->seq = seq;
    row->issuer = store::issuer_id{1};
    row->mission = store::mission_row{mission};
    row->version = c.version;
    row->committed_at = c.committed_at;
    row->txn = "txn-" + std::to_string(seq);
    row->keys = keys_for(c);
    row->body = events::to_record(c);
    auto out = std::make_shared<routed_signal>();
    out->row = std::move(row);
    out->change = std::move(c);
    return out;
}
inline routed_ptr routed(store::seq_t seq, int mission, std::int64_t version) {
    return routed(seq, change_of(mission, version), mission);
}

inline stream_terms terms_for(std::vector<std::string> delivered = {lifecycle}) {
    stream_terms t;
    t.epoch.stream = store::stream_row{1};
    t.epoch.from_seq = 1;
    t.epoch.iss = "https://mas.example";
    t.epoch.aud = "https://api.example";
    t.epoch.events_delivered = std::move(delivered);
    t.epoch.alg = "ES256";
    t.stream_id = "stream-1";
    return t;
}
inline terms_ptr shared_terms(std::vector<std::string> delivered = {lifecycle}) {
    return std::make_shared<const stream_terms>(terms_for(std::move(delivered)));
}

inline std::string jti_of(store::seq_t seq, int set = 0) {
    return "jti-" + std::to_string(seq) + (set == 0 ? "" : "-" + std::to_string(set));
}

inline window_entry entry(store::seq_t seq, int mission, std::int64_t version, int sets = 1) {
    window_entry e;
    e.seq = seq;
    e.signal = routed(seq, mission, version);
    e.terms = shared_terms();
    for (int i = 0; i < sets; ++i) {
        window_set s;
        s.form = i == 0 ? events::form::lifecycle_change : events::form::ours;
        s.type = lifecycle;
        s.jti = jti_of(seq, i);
        e.sets.push_back(std::move(s));
    }
    return e;
}

inline stream_special special(stream_special::kind what, std::string jti, store::seq_t after = 0) {
    stream_special s;
    s.what = what;
    s.jti = std::move(jti);
    s.type = what == stream_special::kind::stream_updated ? events::stream_updated_type
                                                          : events::verification_type;
    s.event = "{}";
    s.after_seq = after;
    s.stored =
        what == stream_special::kind::verification || what == stream_special::kind::stream_updated;
    return s;
}

// One stream with what it needs, and shorthand for its acts.
struct stream_under_test {
    delivery_state state;
    terms_ptr terms = shared_terms();
    std::unique_ptr<random_source> random = seeded_random(1);

    void commit(store::seq_t seq, int mission, std::int64_t version, int sets = 1,
                instant now = at(0ms)) {
        admit(state, entry(seq, mission, version, sets), now);
    }
    std::vector<std::string> push(instant now = at(0ms)) {
        std::vector<std::string> jtis;
        for (const auto& set : next_pushes(state, terms, now.steady))
            jtis.push_back(set.jti);
        return jtis;
    }
    void accept(const std::string& jti, instant now = at(0ms)) { accepted(state, jti, now); }
    void reject(const std::string& jti, instant now = at(0ms)) {
        rejected(state, jti, "invalid_request", "odd event", now, *random);
    }
    void fail(const std::string& jti, instant now = at(0ms)) {
        relation_failed(state, jti, "http_500", std::nullopt, now, *random);
    }
    // Pushes and rejects one SET until its tries are used up, well spaced.
    instant reject_all_tries(const std::string& jti, instant now = at(0ms)) {
        for (unsigned i = 0; i < limits::dead_letter_tries; ++i) {
            push(now);
            reject(jti, now);
            now.steady += 60s;
            now.wall += 60s;
        }
        return now;
    }
};

using strings = std::vector<std::string>;

}  // namespace mission::transmitter::testing
