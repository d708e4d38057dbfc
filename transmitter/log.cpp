#include "transmitter/log.hpp"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

namespace mission::transmitter {
namespace {

spdlog::logger& program_log() {
    static const std::shared_ptr<spdlog::logger> instance = [] {
        auto made = std::make_shared<spdlog::logger>(
            "mission-transmitter", std::make_shared<spdlog::sinks::stderr_sink_mt>());
        made->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %-7l %v", spdlog::pattern_time_type::utc);
        made->flush_on(spdlog::level::info);
        return made;
    }();
    return *instance;
}

spdlog::level::level_enum to_spdlog(level l) {
    switch (l) {
        case level::debug:
            return spdlog::level::debug;
        case level::info:
            return spdlog::level::info;
        case level::warning:
            return spdlog::level::warn;
        case level::error:
            return spdlog::level::err;
    }
    return spdlog::level::err;
}

// The first octet of U+0080 to U+009F in UTF-8: to a terminal they are what ESC begins.
bool is_c1(std::string_view text, std::size_t at) {
    return text[at] == '\xc2' && at + 1 < text.size() &&
           (static_cast<unsigned char>(text[at + 1]) & 0xe0) == 0x80;
}

void append_escaped(std::string& out, unsigned char octet) {
    static constexpr char digits[] = "0123456789abcdef";
    out += "\\x";
    out += digits[octet >> 4];
    out += digits[octet & 15];
}

// One line stays one line, whatever a peer put into a value.
void append_quoted(std::string& out, std::string_view value) {
    out += '"';
    for (std::size_t i = 0; i < value.size(); ++i) {
        const char c = value[i];
        const auto octet = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (octet < 0x20 || octet == 0x7f) {
            append_escaped(out, octet);
        } else if (is_c1(value, i)) {
            append_escaped(out, octet);
            append_escaped(out, static_cast<unsigned char>(value[++i]));
        } else {
            out += c;
        }
    }
    out += '"';
}

bool needs_quotes(std::string_view value) {
    if (value.empty()) return true;
    for (std::size_t i = 0; i < value.size(); ++i) {
        const char c = value[i];
        const auto octet = static_cast<unsigned char>(c);
        if (octet <= 0x20 || octet == 0x7f || c == '"' || c == '\\' || c == '=') return true;
        if (is_c1(value, i)) return true;
    }
    return false;
}

}  // namespace

void log(level l, std::string_view message,
         std::initializer_list<std::pair<std::string_view, std::string>> fields) {
    spdlog::logger& out = program_log();
    const auto as = to_spdlog(l);
    if (!out.should_log(as)) return;
    std::string line(message);
    for (const auto& [name, value] : fields) {
        line += ' ';
        line += name;
        line += '=';
        if (needs_quotes(value))
            append_quoted(line, value);
        else
            line += value;
    }
    out.log(as, spdlog::string_view_t(line.data(), line.size()));
}

void set_log_level(level l) {
    program_log().set_level(to_spdlog(l));
}

}  // namespace mission::transmitter
