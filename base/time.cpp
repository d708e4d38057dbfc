#include "base/time.hpp"

namespace mission {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Reads exactly `count` digits at `at`; -1 when there are fewer.
int digits(std::string_view text, std::size_t at, std::size_t count) {
    if (at + count > text.size()) return -1;
    int value = 0;
    for (std::size_t i = at; i < at + count; ++i) {
        if (text[i] < '0' || text[i] > '9') return -1;
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

class real_clock final : public clock {
  public:
    wall_time now() const noexcept override {
        return std::chrono::floor<milliseconds>(std::chrono::system_clock::now());
    }
    steady_time steady_now() const noexcept override { return std::chrono::steady_clock::now(); }
};

}  // namespace

std::int64_t to_numeric_date(wall_time t) noexcept {
    return std::chrono::floor<seconds>(t).time_since_epoch().count();
}

wall_time from_numeric_date(std::int64_t s) noexcept {
    return wall_time{milliseconds{s * 1000}};
}

std::int64_t to_milliseconds(wall_time t) noexcept {
    return t.time_since_epoch().count();
}

wall_time from_milliseconds(std::int64_t ms) noexcept {
    return wall_time{milliseconds{ms}};
}

std::string to_rfc3339(wall_time t) {
    const auto day = std::chrono::floor<std::chrono::days>(t);
    const std::chrono::year_month_day date{day};
    const std::chrono::hh_mm_ss<milliseconds> time{t - day};
    // By hand: printf takes longer than the rest of an event's text.
    char text[32];
    char* at = text;
    const auto put = [&](long long number, int digits) {
        for (int i = digits - 1; i >= 0; --i, number /= 10)
            at[i] = static_cast<char>('0' + number % 10);
        at += digits;
    };
    put(static_cast<int>(date.year()), 4);
    *at++ = '-';
    put(static_cast<unsigned>(date.month()), 2);
    *at++ = '-';
    put(static_cast<unsigned>(date.day()), 2);
    *at++ = 'T';
    put(time.hours().count(), 2);
    *at++ = ':';
    put(time.minutes().count(), 2);
    *at++ = ':';
    put(time.seconds().count(), 2);
    if (const auto ms = time.subseconds().count(); ms != 0) {
        *at++ = '.';
        put(ms, 3);
    }
    *at++ = 'Z';
    return {text, at};
}

result<wall_time> from_rfc3339(std::string_view text) {
    const error bad{errc::invalid_argument, "not an RFC 3339 date-time"};
    if (text.size() < 20 || text.size() > 64) return bad;
    const int year = digits(text, 0, 4), month = digits(text, 5, 2), day = digits(text, 8, 2);
    const int hour = digits(text, 11, 2), minute = digits(text, 14, 2);
    int second = digits(text, 17, 2);
    if (text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != 't') ||
        text[13] != ':' || text[16] != ':')
        return bad;
    if (year < 1970 || month < 0 || day < 0 || hour < 0 || hour > 23 || minute < 0 || minute > 59 ||
        second < 0 || second > 60)
        return bad;
    const std::chrono::year_month_day date{std::chrono::year{year},
                                           std::chrono::month{static_cast<unsigned>(month)},
                                           std::chrono::day{static_cast<unsigned>(day)}};
    if (!date.ok()) return bad;
    if (second == 60) second = 59;

    std::size_t at = 19;
    int ms = 0;
    if (text[at] == '.') {
        int scale = 100;
        const std::size_t first = ++at;
        for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
            ms += (text[at] - '0') * scale;
            scale /= 10;
        }
        if (at == first) return bad;
    }
    if (at >= text.size()) return bad;
    int offset_minutes = 0;
    if (text[at] == 'Z' || text[at] == 'z') {
        ++at;
    } else if (text[at] == '+' || text[at] == '-') {
        const int oh = digits(text, at + 1, 2), om = digits(text, at + 4, 2);
        if (oh < 0 || oh > 23 || om < 0 || om > 59 || text[at + 3] != ':') return bad;
        offset_minutes = (oh * 60 + om) * (text[at] == '-' ? -1 : 1);
        at += 6;
    }
    if (at != text.size()) return bad;
    const auto local = std::chrono::sys_days{date} + std::chrono::hours{hour} +
                       std::chrono::minutes{minute} + seconds{second} + milliseconds{ms};
    const wall_time t = local - std::chrono::minutes{offset_minutes};
    if (t.time_since_epoch().count() < 0) return bad;
    return t;
}

const clock& system_clock() noexcept {
    static const real_clock instance;
    return instance;
}

}  // namespace mission
