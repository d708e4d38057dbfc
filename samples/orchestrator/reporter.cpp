#include "samples/orchestrator/reporter.hpp"

#include <algorithm>
#include <chrono>
#include <ctime>

namespace sample {
namespace {

constexpr auto retry_first = std::chrono::milliseconds(100);
constexpr auto retry_max = std::chrono::milliseconds(5000);

std::chrono::milliseconds pause_after(int tries) {
    return std::min(retry_max, retry_first * (1 << std::min(tries, 6)));
}

}  // namespace

reporter::reporter(transmitter_api& api, std::string program)
    : api_(api), program_(std::move(program)), thread_([this] { work(); }) {}

reporter::~reporter() {
    {
        const std::lock_guard hold(lock_);
        stopping_ = true;
    }
    wake_.notify_all();
    thread_.join();
}

void reporter::tell(const std::string& mission, const std::string& kind, const std::string& about,
                    json_object detail) {
    // The statement is signed now: it says when this was so, not when it was delivered.
    json_object claims;
    claims.add("mission", mission)
        .add("kind", kind)
        .add("about", about)
        .add("iat", static_cast<std::int64_t>(std::time(nullptr)));
    report r{.mission = mission,
             .kind = kind,
             .about = about,
             .body = json_object()
                         .add("kind", kind)
                         .add_raw("detail", detail.add("about", about).str())
                         .add("evidence", api_.statement(claims))
                         .str()};
    const std::lock_guard hold(lock_);
    if (waiting_.size() >= waiting_max) waiting_.pop_front();
    waiting_.push_back(std::move(r));
    wake_.notify_all();
}

void reporter::work() {
    std::unique_lock hold(lock_);
    while (!stopping_) {
        if (waiting_.empty()) {
            wake_.wait(hold);
            continue;
        }
        auto next = std::move(waiting_.front());
        waiting_.pop_front();
        hold.unlock();
        const bool done = delivered(next);
        hold.lock();
        if (done) continue;
        const auto pause = pause_after(next.tries++);
        // In their order: what an agent did comes before what was done to it.
        waiting_.push_front(std::move(next));
        wake_.wait_for(hold, pause, [this] { return stopping_; });
    }
}

bool reporter::delivered(const report& r) {
    const auto got =
        api_.post("/missions/" + r.mission + "/reports", r.body, r.about + "-" + r.kind);
    const bool taken = got.status == 202;
    const bool final =
        taken || (got.status >= 400 && got.status < 500 && got.status != 429 && got.status != 401);
    if (!final && r.tries != 0) return false;  // one line for all its failures
    const auto answer = parse_object(got.body);
    auto line = event_line(program_, "report");
    line.add("mission", r.mission)
        .add("version", answer ? int_member(*answer, "version", 0) : 0)
        .add("kind", r.kind)
        .add("about", r.about)
        .add("outcome", taken   ? "taken"
                        : final ? "refused"
                                : "not delivered yet")
        .add("status", got.status);
    if (taken && answer) line.add("report", text_member(*answer, "report_id"));
    log_line(line);
    return final;
}

}  // namespace sample
