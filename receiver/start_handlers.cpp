// Teardown, as the facade wires it: tasks to the host's handlers, their outcomes to the state, to
// whoever is told of them and into reports.
#include "receiver/facade.hpp"

#include "receiver/words.hpp"

namespace mission::receiver {
namespace {

constexpr std::size_t outcomes_waiting_max = 100'000;

}  // namespace

void facade::start_handlers() {
    task_runner::hooks h;
    h.execute = [this](std::function<void()> job) { run_on_host(std::move(job)); };
    h.record = [this](const task_record& t) { record_outcome(t); };
    h.may_run = [this](const task_record& t) { return engine_->may_run(t); };
    h.cancelled = [this](const task_record& t) { task_cancelled(t); };
    h.overdue = [this](std::size_t calls) { handlers_overdue(calls); };
    h.log = [this](const task_record& t) {
        log(t.finished ? ms::log_level::info : ms::log_level::warning, "teardown",
            {{"handler", t.handler},
             {"mission", t.mission.id},
             {"effect", std::string(ms::name(t.why))},
             {"name", t.name},
             {"attempt", std::to_string(t.attempts)},
             {"outcome", std::string(ms::name(t.last))},
             {"evidence", t.evidence}});
    };
    engine_ptr_.store(engine_.get(), std::memory_order_release);
    tasks_told_ = std::make_shared<serial_queue>(
        [this](std::function<void()> job) { run_on_host(std::move(job)); }, outcomes_waiting_max);
    runner_->start(std::move(h));
    if (reports_) reports_->start();
    start_inbox();
}

// A thread of ours that is in a handler which does not return is missed by everybody else.
void facade::handlers_overdue(std::size_t calls) {
    if (pool_) pool_->lost(calls);
    const auto before = overdue_.exchange(calls);
    if (calls > before)
        log(ms::log_level::warning, "a handler has outlived its timeout and has not returned",
            {{"handlers", std::to_string(calls)}});
}

void facade::record_outcome(const task_record& t) {
    state_write w;
    w.tasks.push_back(t);
    if (t.finished) {
        engine_->task_done(t, w);
        const auto closed = runner_->take_closed(t.mission);
        if (closed && reports_) reports_->closed(*closed, w);
    } else if (!state_->accepts()) {
        // A disk that stays full: a failed try is no news that is worth the memory.
        return tell_task(t);
    }
    const bool reported = !w.reports.empty();
    if (on_task_->empty() && !reported) return state_->submit(std::move(w), nullptr);
    state_->submit(std::move(w), nullptr, [this, t, reported] {
        tell_task(t);
        if (reported) reports_->kick();
    });
}

void facade::task_cancelled(const task_record& t) {
    tell_task(t);
    const auto closed = runner_->take_closed(t.mission);
    if (!closed || !reports_) return;
    state_write w;
    reports_->closed(*closed, w);
    if (!w.reports.empty()) state_->submit(std::move(w), nullptr, [this] { reports_->kick(); });
}

void facade::tell_task(const task_record& t) {
    bool taken = true;
    for (std::size_t n = 0; n < on_task_->size(); ++n) {
        auto job = [fns = on_task_, n, v = view_of(t)] { (*fns)[n](v); };
        taken = tasks_told_->post(guarded(std::move(job))) && taken;
    }
    // A host that hangs in its callback does not fill the memory.
    if (tasks_lost_.exchange(!taken) || taken) return;
    log(ms::log_level::error, "on_task is too slow: outcomes are not told to it");
}

void facade::make_reports(std::optional<report_author> author) {
    auto left = std::exchange(reports_left_, {});
    if (!o_.teardown_reports || o_.state_path.empty() || !author) return;
    report_desk_options o;
    o.author = std::move(*author);
    o.reports_url = o_.reports_url;
    o.interim_after = o_.teardown_report_after;
    o.look_every = std::clamp(o_.teardown_report_after / 4, milliseconds(50), o.look_every);
    o.transmitter = [this] { return engine_->transmitter(); };
    o.log = o_.log;
    reports_ = make_report_desk(*rt_, *state_, *runner_, *link_, std::move(o));
    reports_->restore(std::move(left));
}

void facade::start_inbox() {
    inbox::hooks i;
    i.execute = [this](std::function<void()> job) { run_on_host(std::move(job)); };
    i.record = [this](const event_record& e, bool done) {
        state_write w;
        (done ? w.settled_events : w.events).push_back(e);
        state_->submit(std::move(w), nullptr);
    };
    i.log = [this](const event_record& e, bool done, const std::string& handler) {
        // Who, what and which: never the body, which may hold what logs must not.
        log(done ? ms::log_level::info : ms::log_level::warning, "event",
            {{"type", peer_words(e.type)},
             {"iss", e.iss},
             {"jti", peer_words(e.jti)},
             {"txn", peer_words(e.txn)},
             {"handler", handler},
             {"attempt", std::to_string(e.attempts)},
             {"outcome", std::string(ms::name(e.last))},
             {"evidence", e.evidence}});
    };
    inbox_->start(*rt_, std::move(i));
}

}  // namespace mission::receiver
