#include "receiver/program/log.hpp"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

#include "base/json.hpp"

namespace mission::receiver::program {
namespace {

namespace ms = mission_signals;

constexpr std::size_t value_shown = 2048;

std::string_view level_name(ms::log_level l) {
    switch (l) {
        case ms::log_level::debug:
            return "debug";
        case ms::log_level::info:
            return "info";
        case ms::log_level::warning:
            return "warning";
        case ms::log_level::error:
            return "error";
    }
    return "error";
}

spdlog::level::level_enum to_spdlog(ms::log_level l) {
    switch (l) {
        case ms::log_level::debug:
            return spdlog::level::debug;
        case ms::log_level::info:
            return spdlog::level::info;
        case ms::log_level::warning:
            return spdlog::level::warn;
        case ms::log_level::error:
            return spdlog::level::err;
    }
    return spdlog::level::err;
}

// Octets of one UTF-8 sequence that begins at `at`; 0 when there is none (RFC 3629 section 4).
std::size_t sequence(std::string_view text, std::size_t at) {
    const auto octet = [&](std::size_t n) {
        return at + n < text.size() ? static_cast<unsigned char>(text[at + n]) : 0u;
    };
    const auto follows = [&](std::size_t n) { return (octet(n) & 0xC0u) == 0x80u; };
    const auto first = octet(0);
    if (first < 0x80) return 1;
    if (first >= 0xC2 && first <= 0xDF) return follows(1) ? 2 : 0;
    if (first >= 0xE0 && first <= 0xEF) {
        const auto second = octet(1);
        if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F)) return 0;
        return follows(1) && follows(2) ? 3 : 0;
    }
    if (first >= 0xF0 && first <= 0xF4) {
        const auto second = octet(1);
        if ((first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F)) return 0;
        return follows(1) && follows(2) && follows(3) ? 4 : 0;
    }
    return 0;
}

std::string clean(std::string_view text) {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        if (out.size() >= value_shown) return out + "...";
        const auto n = sequence(text, at);
        out += n == 0 ? std::string_view("?") : text.substr(at, n);
        at += n == 0 ? 1 : n;
    }
    return out;
}

}  // namespace

std::string log_line(wall_time now, ms::log_level level, std::string_view message,
                     const std::vector<ms::log_field>& fields) {
    json::buffer b;
    json::writer w(b);
    w.StartObject();
    json::member(w, "time", to_rfc3339(now));
    json::member(w, "level", level_name(level));
    json::member(w, "message", clean(message));
    for (const auto& f : fields)
        json::member(w, clean(f.name), clean(f.value));
    w.EndObject();
    return json::text(b);
}

ms::log_function make_log(ms::log_level least) {
    auto out = std::make_shared<spdlog::logger>("mission-receiver",
                                                std::make_shared<spdlog::sinks::stderr_sink_mt>());
    out->set_pattern("%v");
    out->set_level(to_spdlog(least));
    out->flush_on(spdlog::level::debug);
    return [out](ms::log_level level, std::string_view message,
                 const std::vector<ms::log_field>& fields) {
        const auto as = to_spdlog(level);
        if (!out->should_log(as)) return;
        const auto line = log_line(system_clock().now(), level, message, fields);
        out->log(as, spdlog::string_view_t(line.data(), line.size()));
    };
}

}  // namespace mission::receiver::program
