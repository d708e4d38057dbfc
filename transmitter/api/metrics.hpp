// Counters for /metrics. THREAD: any.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/server.hpp"
#include "transmitter/delivery/delivery.hpp"

namespace mission::transmitter {

// Answers by route pattern and status: bounded, because patterns are ours.
class request_counters {
  public:
    void count(std::string_view route, int status);
    std::map<std::pair<std::string, int>, std::uint64_t> snapshot() const;

  private:
    mutable std::mutex mutex_;
    std::map<std::pair<std::string, int>, std::uint64_t> counts_;
};

struct metrics_input {
    std::vector<std::pair<std::string, delivery_counters>> deliveries;  // by issuer url
    std::vector<std::pair<std::string, net::server_counters>> servers;  // by listener name
    std::map<std::pair<std::string, int>, std::uint64_t> requests;
    store::seq_t head = 0, tail = 0;
    // Since when descendants wait for their rows; and when the next deadline is due.
    std::optional<wall_time> oldest_cascade, next_deadline;
    wall_time now{};
    struct issuer_work {
        std::string issuer;
        std::size_t open_reports = 0;  // at most limits::list_page
        std::size_t waiting_transitions = 0;
        std::size_t running_bulk_jobs = 0;
    };
    std::vector<issuer_work> work;
    bool store_healthy = true, clock_trusted = true;
};

// Prometheus text exposition format 0.0.4.
std::string render_metrics(const metrics_input& in);

}  // namespace mission::transmitter
