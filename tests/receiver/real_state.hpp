// An engine with a real state file, and what comes to it from a transmitter.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "events/mission_event.hpp"
#include "receiver/engine/engine.hpp"

namespace mission::receiver::testing {

inline const std::string real_issuer = "https://mas.example";

inline std::string real_id(int n) {
    return "msn_8RfX2Lqv9TqMv4z7sA2bN1k0YpE-" + std::to_string(10'000 + n);
}

// A state that says when a mission's row is read.
class watched_state final : public state {
  public:
    watched_state(std::unique_ptr<state> of, const std::function<void()>& when_read)
        : of_(std::move(of)), when_read_(when_read) {}

    result<state_snapshot> load() override { return of_->load(); }
    void submit(state_write unit, std::function<void(result<void>)> answered,
                std::function<void()> committed) override {
        of_->submit(std::move(unit), std::move(answered), std::move(committed));
    }
    void begin_gathering() override { of_->begin_gathering(); }
    void end_gathering() override { of_->end_gathering(); }
    bool accepts() const noexcept override { return of_->accepts(); }
    void stop() override { of_->stop(); }
    result<std::optional<record>> read(const mission_key& key) override {
        if (when_read_) when_read_();
        return of_->read(key);
    }
    result<std::size_t> each(row_place& after, std::size_t limit, bool brief,
                             const std::function<void(const record&)>& fn) override {
        return of_->each(after, limit, brief, fn);
    }
    result<std::vector<mission_key>> in_doubt(std::size_t limit) override {
        return of_->in_doubt(limit);
    }
    void found_damaged(error why) override { of_->found_damaged(std::move(why)); }
    void when_lost(std::function<void()> fn) override { of_->when_lost(std::move(fn)); }

  private:
    const std::unique_ptr<state> of_;
    const std::function<void()>& when_read_;
};

// A run of the receiver: from the opening of the file to its end.
struct real_run {
    std::function<void()> when_read;  // called before a mission's row is read
    std::unique_ptr<state> disk;
    std::unique_ptr<task_runner> runner = make_task_runner(system_random());
    std::vector<mission_key> asked;
    std::mutex saying;
    std::vector<std::string> problems, lines;       // under `saying`
    std::function<void()> when_said;                // called as a host's log function is
    std::vector<std::function<void()>> background;  // what the test is to run
    std::unique_ptr<engine> e;
    state_snapshot rows;

    explicit real_run(const std::string& path, std::size_t most = 100, engine::memory working = {},
                      bool later = false, std::function<void(task_runner&)> set_up = nullptr) {
        auto s = open_state(path, [this](const std::string& text) { say(problems, text); });
        REQUIRE(s.has_value());
        disk = std::make_unique<watched_state>(std::move(*s), when_read);
        auto read = disk->load();
        REQUIRE(read.has_value());
        rows = std::move(*read);
        engine::hooks h;
        h.ask_status = [this](const mission_key& k, bool) { asked.push_back(k); };
        h.log = [this](ms::log_level, std::string_view text, const std::vector<ms::log_field>&) {
            say(lines, text);
        };
        if (later) h.background = [this](auto job) { background.push_back(std::move(job)); };
        if (set_up) set_up(*runner);
        e = std::make_unique<engine>(*disk, *runner, most, std::move(h), working);
        e->load(rows);
        e->set_issuers(real_issuer, {});
        e->set_max_stale(std::chrono::seconds(3600));
    }
    ~real_run() {
        if (disk) disk->stop();
    }
    void say(std::vector<std::string>& into, std::string_view text) {
        {
            const std::lock_guard lock(saying);
            into.emplace_back(text);
        }
        if (when_said) when_said();
    }
    bool was_said(std::string_view part) {
        const std::lock_guard lock(saying);
        const auto has = [&](const std::string& text) {
            return text.find(part) != std::string::npos;
        };
        return std::any_of(problems.begin(), problems.end(), has) ||
               std::any_of(lines.begin(), lines.end(), has);
    }

    // The stream is live, and vouches for all missions.
    void join(const std::string& history = "e1") {
        std::vector<std::string> types;
        for (const auto n : events::mission_event_names)
            types.push_back(std::string(events::event_type_base) + std::string(n));
        e->on_stream({"s", types, true});
        events::verification v;
        // Of long ago: what it settled is older than what the tests send.
        v.as_of = system_clock().now() - std::chrono::seconds(1800);
        v.continuity = 1;
        v.log_epoch = history;
        (void)deliver(received(std::string(events::verification_type), events::to_json(v),
                               events::stream_subject("s"), "h", seconds_now()));
    }
    static std::int64_t seconds_now() { return to_milliseconds(system_clock().now()) / 1000; }

    static events::received_set received(const std::string& type, const std::string& event,
                                         const events::subject& sub, const std::string& jti,
                                         std::int64_t iat) {
        events::set_claims c;
        c.iss = real_issuer;
        c.aud = "me";
        c.iat = iat;
        c.jti = jti;
        c.sub_id = sub;
        c.type = type;
        c.event = event;
        auto set = events::decode(events::encode(c));
        REQUIRE(set.has_value());
        return std::move(*set);
    }
    set_outcome deliver(events::received_set set) {
        std::promise<set_outcome> answered;
        e->receive(std::move(set), [&](set_outcome o) { answered.set_value(std::move(o)); });
        return answered.get_future().get();
    }
    set_outcome mission(int n, std::int64_t version, const char* state,
                        std::int64_t iat = seconds_now(), std::optional<std::string> authority = {},
                        bool narrowed = false) {
        return deliver(mission_set(n, version, state, iat, std::move(authority), narrowed));
    }
    static events::received_set mission_set(int n, std::int64_t version, const char* state,
                                            std::int64_t iat, std::optional<std::string> authority,
                                            bool narrowed) {
        events::mission_change c;
        c.mission_id = real_id(n);
        c.issuer = real_issuer;
        c.log_epoch = "e1";
        c.state = state;
        if (version > 1) c.prior_state = "active";
        c.version = version;
        c.authority_hash = "sha-256:x";
        c.committed_at = system_clock().now();
        c.expires_at = system_clock().now() + std::chrono::hours(1);
        c.agent_client_id = "agent";
        if (authority) {
            c.authority_changed = true;
            c.change = narrowed ? "narrowed" : "extended";
            c.authorization_details = std::move(authority);
        }
        return received(events::event_type(c, events::form::ours),
                        events::event_body(c, events::form::ours),
                        events::event_subject(c, events::form::ours),
                        "j" + std::to_string(n) + "-" + std::to_string(version), iat);
    }
    void status(int n, std::int64_t version, const char* state, engine::asked_at when,
                std::optional<std::string> authority = {},
                std::chrono::seconds fresh = std::chrono::seconds(1000)) {
        status_word w;
        w.id = real_id(n);
        w.issuer = real_issuer;
        w.state = state;
        w.version = version;
        w.log_epoch = "e1";
        w.issued_at = system_clock().now();
        w.fresh_until = w.issued_at + fresh;
        w.authority = std::move(authority);
        std::promise<void> settled;
        e->on_status({real_issuer, real_id(n)}, w, when, [&] { settled.set_value(); });
        settled.get_future().get();
    }
    engine::asked_at ask(int n) { return e->status_asked({real_issuer, real_id(n)}); }
    ms::standing now(int n) { return e->table().check(real_issuer, real_id(n), coarse_now()).what; }
    std::int64_t version(int n) {
        return e->table().check(real_issuer, real_id(n), coarse_now()).version;
    }
    // Everything that was submitted before is on disk.
    void settle() {
        std::promise<void> written;
        disk->submit({}, [&](const result<void>&) { written.set_value(); });
        written.get_future().get();
    }
};

}  // namespace mission::receiver::testing
