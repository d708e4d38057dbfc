// One world: a registry, its transmitter, the network between, and a receiver, all moved by steps.
// A step is a number; what it does depends on that number and on the world alone, so that a history
// can be run again, and shortened.
//
// The transmitter keeps wire.md: the signals of one mission in order, each again until it is
// acknowledged (I3, I5); heartbeats whose `as_of` everything up to is settled; what is dropped
// raises `continuity`; a restored registry has another log_epoch. The network loses, repeats for
// ever, reorders across missions, and delays. Status answers race with all of it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "events/mission_event.hpp"
#include "tests/receiver/model/oracle.hpp"
#include "tests/receiver/model/patient.hpp"
#include "tests/receiver/model/truth.hpp"

namespace mission::model {

std::string authority_json(unsigned bits);

class world {
  public:
    explicit world(std::uint64_t seed);
    ~world();

    // Takes one step, then judges every mission. False when something is wrong: failure().
    bool step(std::uint64_t number);
    const std::string& failure() const noexcept { return failure_; }
    // Steps are told here, for people; null: not at all.
    std::vector<std::string>* trace = nullptr;
    // What happened how often, so that a run in which nothing happens is noticed.
    static std::map<std::string, std::uint64_t>& counts();

  private:
    struct signal {
        std::size_t mission = 0, fact = 0;
        bool settled = false, sent = false;
        moment again_at = 0;
    };
    enum class carries { set, heartbeat, updated, ack, question, answer };
    struct parcel {
        carries what{};
        moment due = 0;
        std::size_t number = 0;  // signal; or question
        std::string stream;
        moment as_of = 0;
        std::int64_t continuity = 0;
        int history = 0;
        bool enabled = true;
        bool critical = false;
    };
    struct question {
        std::size_t mission = 0;
        receiver::engine::asked_at asked;
        moment asked_at = 0;
        std::size_t run = 0;  // of the receiver; an older one's answers are nobody's
        bool unavailable = false, found = false;
        std::size_t fact = 0;
        moment issued = 0;
        std::optional<moment> fresh_until;
        bool with_authority = true;
    };

    // Steps.
    void pass(moment by);
    void expire_due();
    void change_registry(dice& d);
    void offer(dice& d);
    void deliver(dice& d, bool all);
    void write(dice& d);
    void make_heartbeat(dice& d);
    void ask(std::size_t m, dice& d);
    void drop_signals(dice& d);
    void update_stream(dice& d);
    void restart(dice& d);
    void restore_registry(dice& d);
    void set_clock(dice& d);
    void forge(dice& d);
    void another_stream(dice& d);
    void settle_down(dice& d);

    void committed(std::size_t m);
    void hand_over(const parcel& p, dice& d);
    void take_answer(std::size_t q, dice& d);
    void answer(std::size_t q, dice& d);
    void start(const char* how);
    void begin_run(bool lost);
    void note_forgotten();
    void disturb();
    void note_wish(const receiver::mission_key& key);
    bool all_settled() const;
    moment settled_until() const;
    void judge_all();
    void judge(std::size_t m);
    void fail(std::size_t m, const std::string& why);
    said look(std::size_t m) const;
    bool wants_word(std::size_t m, const said& s) const;
    void say(const std::string& text) const;

    receiver::instant clock() const { return {now_ + wall_ahead_, now_ + mono_ahead_}; }
    receiver::mission_key key_of(std::size_t m) const;
    events::mission_change change_of(std::size_t m, const fact& f) const;
    void receive(std::size_t m, const events::mission_change& c, std::size_t fact_number,
                 bool critical, std::optional<std::size_t> signal_number, dice& d);

    registry truth_;
    oracle judge_;
    moment now_ = 1'800'000'000'000, wall_ahead_ = 0, mono_ahead_ = -1'799'000'000'000;
    events::form form_ = events::form::ours;
    std::size_t missions_max_ = 64, missions_alive_ = 8;
    static constexpr std::size_t all_missions = 1000;
    std::size_t missions_kept_ = all_missions;  // by the receiver

    // The transmitter.
    std::vector<signal> log_;
    std::int64_t continuity_ = 1;
    bool update_due_ = false, enabled_ = true;
    int streams_ = 1;
    std::string stream_ = "stream-1";

    std::vector<parcel> network_;
    std::vector<question> questions_;
    std::set<std::size_t> wishes_;  // the engine wants Status

    // The receiver.
    disk_rows rows_;
    struct old_copy {
        disk_rows rows;
        std::vector<std::size_t> told;
        moment at = 0;
    };
    std::optional<old_copy> copy_;
    std::unique_ptr<patient> rx_;
    std::size_t run_ = 0, jti_ = 0;
    std::optional<std::uint64_t> blind_epoch_;  // in which an unnoticed old copy is believed
    moment blind_until_ = 0;

    // What has to be known without Status: missions that began after the last disturbance, once a
    // heartbeat that was made after it had been heard.
    moment disturbed_at_ = 0;
    std::optional<moment> heard_since_;
    moment last_heard_ = 0;  // the latest as_of
    // What is committed by then may have been forgotten, for all the receiver knows.
    moment no_news_until_ = 0;
    std::uint64_t forgotten_ = 0;  // in this run
    std::set<std::size_t> clean_;

    std::string failure_;
};

}  // namespace mission::model
