// What a receiver may answer, judged by what is true and by what it has been told. From the text:
// wire.md section 5, draft-mcguinness-oauth-mission-signals "Consumer Behavior on Receipt",
// draft-mcguinness-oauth-mission-status "Caching". Knows nothing of how a receiver does it.
//
// It may permit a mission at version v only if there is a moment at which the registry had exactly
// that version, active and within its time, and which is
//   - not before the newest fact that the receiver has acknowledged or read from Status,
//   - not longer ago than max_stale.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tests/receiver/model/truth.hpp"

namespace mission::model {

// What a receiver says of one mission.
struct said {
    bool permits = false;
    std::string standing;
    std::int64_t version = 0;
    std::optional<unsigned> authority;  // nullopt: not known
};

class oracle {
  public:
    oracle(const registry& r, moment max_stale) : truth_(r), max_stale_(max_stale) {}

    // The receiver has acknowledged what is this fact of the mission; or Status has told it, and it
    // has kept that.
    void told(std::size_t m, std::size_t fact_number);
    // All its memory is gone, or so old a copy was put back that it knows. What was committed by
    // then is no first contact (ADR 0043), by its own clock: where that is behind, max_stale alone
    // bounds what a late repetition may do that its clock takes for a new one.
    void memory_lost(moment wall, moment now);
    std::vector<std::size_t> all_told() const { return told_; }
    // An older copy of the receiver's memory was put back, too young for anybody to notice.
    void forget_since(const std::vector<std::size_t>& told_then);
    // ... and is mended for this mission, or for all.
    void sees_again(std::size_t m);
    void sees_all_again();
    bool is_blind(std::size_t m) const { return m < blind_.size() && blind_[m]; }

    // The receiver's wall clock at its start, against the true one: what it cannot know of itself.
    void started(moment wall, moment now);
    void clock_shows(moment wall, moment now);
    void heard_heartbeat(moment as_of, moment wall, moment now);

    // nullopt: allowed.
    std::optional<std::string> judge(std::size_t m, const said& s, moment wall, moment now) const;
    // A teardown of this kind was planned.
    std::optional<std::string> judge_teardown(std::size_t m, const std::string& effect) const;

  private:
    bool ever_was(std::size_t m, const std::string& state_name) const;

    const registry& truth_;
    const moment max_stale_;
    std::vector<std::size_t> told_;
    std::vector<bool> blind_;
    std::vector<std::size_t> lost_;  // what it had been told when its memory went
    std::optional<moment> taken_for_new_;
    // How much later than max_stale a clock that is behind may notice.
    moment behind_at_start_ = 0, behind_worst_ = 0;
    std::optional<moment> youngest_heartbeat_;  // the least that one was old, in this run
};

}  // namespace mission::model
