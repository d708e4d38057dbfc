#include "receiver/program/metrics.hpp"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

namespace mission::receiver::program {
namespace {

namespace ms = mission_signals;
using prometheus::MetricType;
using labels = std::vector<prometheus::ClientMetric::Label>;

double seconds_of(std::chrono::system_clock::time_point t) {
    return std::chrono::duration<double>(t.time_since_epoch()).count();
}

class exposition {
  public:
    void counter(const char* name, const char* help, std::uint64_t value, labels l = {}) {
        auto& m = add(name, help, MetricType::Counter, std::move(l));
        m.counter.value = static_cast<double>(value);
    }
    void gauge(const char* name, const char* help, double value, labels l = {}) {
        add(name, help, MetricType::Gauge, std::move(l)).gauge.value = value;
    }
    void gauge(const char* name, const char* help, std::size_t value, labels l = {}) {
        gauge(name, help, static_cast<double>(value), std::move(l));
    }
    std::string text() const { return prometheus::TextSerializer().Serialize(families_); }

  private:
    prometheus::ClientMetric& add(const char* name, const char* help, MetricType type, labels l) {
        auto* family = families_.empty() ? nullptr : &families_.back();
        for (auto& f : families_)
            if (f.name == name) family = &f;
        if (family == nullptr || family->name != name)
            family = &families_.emplace_back(prometheus::MetricFamily{name, help, type, {}});
        family->metric.emplace_back().label = std::move(l);
        return family->metric.back();
    }
    std::vector<prometheus::MetricFamily> families_;
};

void add_stream(exposition& out, const ms::status& s) {
    out.gauge("mission_receiver_streaming", "1 while the stream is verified and live",
              s.streaming ? 1.0 : 0.0);
    if (s.live_until)
        out.gauge("mission_receiver_live_until_timestamp_seconds",
                  "Until when the stream's last word is relied on", seconds_of(*s.live_until));
    out.gauge("mission_receiver_continuity", "The transmitter's count of what it has dropped",
              static_cast<double>(s.continuity));
    for (const auto& [name, help, value] :
         {std::tuple{"mission_receiver_sets_received_total", "Tokens received", s.sets_received},
          {"mission_receiver_sets_rejected_total", "Tokens refused", s.sets_rejected},
          {"mission_receiver_sets_duplicate_total", "Tokens that were known", s.sets_duplicate},
          {"mission_receiver_status_requests_total", "Questions to Mission Status",
           s.status_requests},
          {"mission_receiver_gaps_total", "Missions in doubt for a version that was missed",
           s.gaps},
          {"mission_receiver_heartbeats_total", "Heartbeats received", s.heartbeats},
          {"mission_receiver_unknown_events_total", "Events that nobody handles", s.unknown_events},
          {"mission_receiver_missions_evicted_total", "Missions that made room for others",
           s.missions_evicted},
          {"mission_receiver_missions_refused_total", "Missions for which there was no room",
           s.missions_refused}})
        out.counter(name, help, value);
    out.gauge("mission_receiver_missions", "Missions in the cache", s.missions);
}

void add_handler(exposition& out, const ms::handler_status& h) {
    const labels who{{"handler", h.name}};
    for (const auto& [outcome, count] :
         {std::pair{"acknowledged", h.acknowledged}, std::pair{"failed", h.failed},
          std::pair{"timed_out", h.timed_out}, std::pair{"unknown", h.unknown}})
        out.counter("mission_receiver_task_outcomes_total", "Tries of teardown tasks by outcome",
                    count, {{"handler", h.name}, {"outcome", outcome}});
    out.gauge("mission_receiver_tasks_open", "Teardown tasks that are not acknowledged", h.open,
              who);
    out.gauge("mission_receiver_task_calls_running", "Calls that have not returned", h.running,
              who);
    out.gauge("mission_receiver_task_calls_overdue",
              "Calls that have outlived their timeout; each keeps its slot", h.overdue, who);
    out.gauge("mission_receiver_task_handler_registered",
              "0: tasks of a name that no handler has now", h.registered ? 1.0 : 0.0, who);
    if (h.oldest_open)
        out.gauge("mission_receiver_task_oldest_open_timestamp_seconds",
                  "When the oldest open task was made", seconds_of(*h.oldest_open), who);
}

}  // namespace

std::string metrics_text(const ms::status& s, const std::vector<ms::handler_status>& handlers) {
    exposition out;
    add_stream(out, s);
    out.gauge("mission_receiver_tasks_pending", "Open teardown tasks and events", s.tasks_pending);
    for (const auto& h : handlers)
        add_handler(out, h);
    out.counter("mission_receiver_reports_sent_total", "Teardown reports taken", s.reports_sent);
    out.counter("mission_receiver_reports_refused_total", "Teardown reports refused for good",
                s.reports_refused);
    out.gauge("mission_receiver_reports_pending", "Teardown reports that wait", s.reports_pending);
    return out.text();
}

std::string metrics_text(const ms::receiver& rx) {
    return metrics_text(rx.current_status(), rx.handlers());
}

}  // namespace mission::receiver::program
