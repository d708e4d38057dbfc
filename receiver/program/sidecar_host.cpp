#include "receiver/program/sidecar_host.hpp"

#include "receiver/program/commands.hpp"
#include "receiver/program/metrics.hpp"

namespace mission::receiver::program {
namespace {

sidecar::settings settings_of(const program_config& c) {
    auto s = c.check;
    s.mission_issuer = transmitter_named_by(c.options);
    return s;
}

}  // namespace

result<void> sidecar_host::make(sidecar::settings s) {
    const auto threads = s.threads;
    auto made =
        sidecar::make_server(rx_, std::move(s), log_, [&rx = rx_] { return metrics_text(rx); });
    if (!made) return error{made.error().code, "check.listen: " + made.error().message()};
    server_ = std::move(*made);
    threads_ = threads;
    return {};
}

result<void> sidecar_host::open(const program_config& c) {
    const std::lock_guard lock(m_);
    rest_ = c.needs_restart;
    return c.check.listen ? make(settings_of(c)) : result<void>();
}

result<void> sidecar_host::take(const program_config& c) {
    if (!c.check.listen) {
        if (!server_) return {};
        return error{errc::bad_configuration, "[check] has gone: closing it takes a restart"};
    }
    if (!server_) return make(settings_of(c));
    if (c.check.threads != threads_)
        log_(ms::log_level::warning, "check.threads is taken at the next start", {});
    return server_->apply(settings_of(c));
}

void sidecar_host::reload(result<program_config> again) {
    const std::lock_guard lock(m_);
    if (closed_) return;
    if (again && again->needs_restart != rest_)
        log_(ms::log_level::warning,
             "other sections than [check] have changed: they are taken at the next start", {});
    const auto taken = again ? take(*again) : result<void>(again.error());
    if (taken)
        return log_(ms::log_level::info,
                    server_ ? "configuration read again: [check] is in force"
                            : "configuration read again: there is no [check] to take",
                    {});
    const auto& why = taken.error();
    log_(ms::log_level::error, "configuration read again and not taken: the old one stays in force",
         {{"error", why.detail.empty() ? why.message() : why.detail}});
}

void sidecar_host::close() {
    const std::lock_guard lock(m_);
    closed_ = true;
    if (server_) server_->stop();
}

std::uint16_t sidecar_host::port() const {
    const std::lock_guard lock(m_);
    return server_ ? server_->port() : 0;
}

}  // namespace mission::receiver::program
