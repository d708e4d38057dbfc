#include "transmitter/api/metrics.hpp"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

namespace mission::transmitter {
namespace {

using labels = std::vector<prometheus::ClientMetric::Label>;

class exposition {
  public:
    void counter(const std::string& name, const std::string& help, labels l, std::uint64_t value) {
        prometheus::ClientMetric m;
        m.label = std::move(l);
        m.counter.value = static_cast<double>(value);
        family(name, help, prometheus::MetricType::Counter).metric.push_back(std::move(m));
    }
    void gauge(const std::string& name, const std::string& help, labels l, double value) {
        prometheus::ClientMetric m;
        m.label = std::move(l);
        m.gauge.value = value;
        family(name, help, prometheus::MetricType::Gauge).metric.push_back(std::move(m));
    }
    std::string text() const { return prometheus::TextSerializer().Serialize(families_); }

  private:
    prometheus::MetricFamily& family(const std::string& name, const std::string& help,
                                     prometheus::MetricType type) {
        for (auto& f : families_)
            if (f.name == name) return f;
        families_.push_back({name, help, type, {}});
        return families_.back();
    }
    std::vector<prometheus::MetricFamily> families_;
};

void add_delivery(exposition& out, const std::string& issuer, const delivery_counters& c) {
    const auto add = [&](const char* name, const char* help, std::uint64_t value) {
        out.counter(name, help, {{"issuer", issuer}}, value);
    };
    add("mission_signed_sets_total", "Security event tokens signed", c.signed_sets);
    add("mission_pushed_total", "Tokens accepted by push receivers", c.pushed);
    add("mission_push_failures_total", "Push attempts that failed", c.push_failures);
    add("mission_polled_total", "Tokens handed out to polls", c.polled);
    add("mission_acked_total", "Tokens acknowledged by polls", c.acked);
    add("mission_set_errors_total", "Tokens that receivers refused", c.set_errors);
    add("mission_heartbeats_total", "Heartbeats sent", c.heartbeats);
    add("mission_verifications_total", "Requested verifications sent", c.verifications);
    add("mission_dead_letters_total", "Tokens given up", c.dead_letters);
}

void add_server(exposition& out, const std::string& listener, const net::server_counters& c) {
    const labels l{{"listener", listener}};
    out.counter("mission_http_connections_total", "Connections accepted", l, c.accepted);
    out.counter("mission_http_connections_refused_total", "Connections over a limit", l, c.refused);
    out.gauge("mission_http_connections_open", "Connections open now", l,
              static_cast<double>(c.open));
    out.counter("mission_http_requests_read_total", "Requests read", l, c.requests);
    out.counter("mission_http_timeouts_total", "Connections ended by a deadline", l, c.timeouts);
    out.counter("mission_http_tls_failures_total", "TLS handshakes that failed", l, c.tls_failures);
    out.counter("mission_http_bad_requests_total", "Requests that were no HTTP", l, c.bad_requests);
}

}  // namespace

void request_counters::count(std::string_view route, int status) {
    const std::lock_guard lock(mutex_);
    ++counts_[{std::string(route), status}];
}

std::map<std::pair<std::string, int>, std::uint64_t> request_counters::snapshot() const {
    const std::lock_guard lock(mutex_);
    return counts_;
}

std::string render_metrics(const metrics_input& in) {
    exposition out;
    for (const auto& [issuer, counters] : in.deliveries)
        add_delivery(out, issuer, counters);
    for (const auto& [listener, counters] : in.servers)
        add_server(out, listener, counters);
    for (const auto& [key, count] : in.requests)
        out.counter("mission_http_answers_total", "Answers by route and status",
                    {{"route", key.first}, {"status", std::to_string(key.second)}}, count);
    out.gauge("mission_log_head_seq", "The last position of the signal log", {},
              static_cast<double>(in.head));
    out.gauge("mission_log_signals", "Signals in the log", {},
              static_cast<double>(in.head - in.tail + 1));
    const auto behind = [&](const std::optional<wall_time>& since) {
        return since && *since < in.now ? std::chrono::duration<double>(in.now - *since).count()
                                        : 0.0;
    };
    out.gauge("mission_family_pending_seconds", "How long descendants wait for their rows", {},
              behind(in.oldest_cascade));
    out.gauge("mission_deadline_overdue_seconds", "How long the next deadline is overdue", {},
              behind(in.next_deadline));
    for (const auto& w : in.work) {
        const labels l{{"issuer", w.issuer}};
        out.gauge("mission_reports_open", "Reports that nobody has decided", l,
                  static_cast<double>(w.open_reports));
        out.gauge("mission_transitions_waiting", "Mirrored transitions that wait for others", l,
                  static_cast<double>(w.waiting_transitions));
        out.gauge("mission_bulk_jobs_running", "Bulk operations under way", l,
                  static_cast<double>(w.running_bulk_jobs));
    }
    out.gauge("mission_store_healthy", "1 while commits succeed", {}, in.store_healthy ? 1 : 0);
    out.gauge("mission_clock_trusted", "1 while deadlines are acted on", {},
              in.clock_trusted ? 1 : 0);
    return out.text();
}

}  // namespace mission::transmitter
