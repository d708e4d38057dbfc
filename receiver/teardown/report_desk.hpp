// Sends teardown reports: durably queued, one at a time, until each is taken or refused for good.
// Never in the way of a teardown.
//
// When the last task of a mission's end is done, its report is written in the same transaction.
// What is not confirmed for a while is told once in an interim report. Reports are for transmitters
// of ours: with `mission_status_endpoint` in their metadata, or an address that the host has given.
// Where there is no such endpoint they end, with one line in the log.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/runtime.hpp"
#include "receiver/state/state.hpp"
#include "receiver/subscribe/link.hpp"
#include "receiver/teardown/report.hpp"
#include "receiver/teardown/runner.hpp"

namespace mission::receiver {

struct report_desk_options {
    report_author author;
    std::string reports_url;  // empty: the issuer's own
    std::chrono::milliseconds interim_after{60'000};
    // How long after a failure it is tried again: from the first to the longest, with jitter.
    std::chrono::milliseconds retry_first{1000}, retry_max{300'000};
    std::chrono::milliseconds forbidden_wait{600'000};  // what we may not do now we may do later
    std::chrono::milliseconds look_every{5000};
    std::function<std::string()> transmitter;  // its issuer; empty while it is not known
    ms::log_function log;
};

// THREAD: any.
class report_desk {
  public:
    virtual ~report_desk() = default;
    // What was left of the last run.
    virtual void restore(std::vector<report_record> reports) = 0;
    // The account of a mission of whose end nothing is open: its report joins the unit.
    virtual void closed(const teardown_account& a, state_write& w) = 0;
    virtual void start() = 0;
    // The transmitter was discovered.
    virtual void kick() = 0;
    virtual void stop() = 0;
    struct counts {
        std::uint64_t sent = 0, pending = 0, refused = 0;
    };
    virtual counts look() const = 0;
};

// `rt`, `s`, `runner` and `l` outlive stop().
std::shared_ptr<report_desk> make_report_desk(net::runtime& rt, state& s, task_runner& runner,
                                              link& l, report_desk_options o);

}  // namespace mission::receiver
