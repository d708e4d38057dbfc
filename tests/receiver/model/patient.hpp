// The receiver under test: the real engine over a disk that writes when the model says so, with
// clocks that the model sets.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "receiver/engine/engine.hpp"
#include "receiver/state/state.hpp"

namespace mission::model {

using receiver::mission_key;

// What is on disk: the rows of committed units, in memory.
struct disk_rows {
    std::map<mission_key, receiver::record> missions;
    std::map<std::int64_t, mission_key> order;  // of a walk: those first that came first
    std::map<std::string, std::string> settings;
    std::map<std::pair<std::string, std::string>, receiver::jti_record> jtis;
    std::set<mission_key> torn_down;  // there is a task that ends what the mission has
};

class model_state final : public receiver::state {
  public:
    explicit model_state(disk_rows& rows) : rows_(rows) {}
    result<receiver::state_snapshot> load() override;
    void submit(receiver::state_write w, std::function<void(result<void>)> answered,
                std::function<void()> committed) override;
    bool accepts() const noexcept override { return waiting_.size() < 64; }
    void stop() override { waiting_.clear(); }
    result<std::optional<receiver::record>> read(const mission_key& key) override;
    result<std::size_t> each(receiver::row_place& after, std::size_t limit, bool brief,
                             const std::function<void(const receiver::record&)>& fn) override;
    result<std::vector<mission_key>> in_doubt(std::size_t limit) override;

    // Writes the oldest `n`, in one transaction.
    void commit(std::size_t n);
    // The disk is full: the units stay, and are told so once.
    void fail();
    std::size_t waiting() const noexcept { return waiting_.size(); }
    // Told of each task that is planned, and of each mission whose end was written without one.
    std::function<void(const receiver::task_record&)> on_task;
    std::function<void(const mission_key&)> on_untorn;

  private:
    struct unit {
        receiver::state_write write;
        std::function<void(result<void>)> answered;
        std::function<void()> committed;
    };
    void write(const receiver::state_write& w);

    disk_rows& rows_;
    std::deque<unit> waiting_;
};

// One run of it, from start to crash.
class patient {
  public:
    struct hooks {
        std::function<receiver::instant()> now;
        std::function<void(const mission_key&)> wants_status;
        std::function<void(const receiver::task_record&)> planned;
        std::function<void(const mission_key&)> untorn;
    };
    // Without `tears_down` nothing has a task: a mission with an open one is never forgotten, and
    // nobody runs them here.
    patient(disk_rows& rows, std::size_t max_missions, bool tears_down,
            std::chrono::seconds max_stale, hooks h);
    ~patient();

    // `older`: it was there before this run, as far as the transmitter knows.
    void adopt(const std::string& stream_id, std::vector<std::string> types, bool older);
    receiver::engine& engine() { return *engine_; }
    model_state& disk() { return *disk_; }

  private:
    std::unique_ptr<model_state> disk_;
    std::unique_ptr<receiver::task_runner> runner_;
    std::unique_ptr<receiver::engine> engine_;
};

}  // namespace mission::model
