#include "net/detail/response_text.hpp"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <string_view>

namespace mission::net::detail {
namespace {

std::string_view reason_phrase(int status) {
    switch (status) {
        case 200:
            return "OK";
        case 201:
            return "Created";
        case 202:
            return "Accepted";
        case 204:
            return "No Content";
        case 304:
            return "Not Modified";
        case 400:
            return "Bad Request";
        case 401:
            return "Unauthorized";
        case 403:
            return "Forbidden";
        case 404:
            return "Not Found";
        case 405:
            return "Method Not Allowed";
        case 408:
            return "Request Timeout";
        case 409:
            return "Conflict";
        case 413:
            return "Content Too Large";
        case 414:
            return "URI Too Long";
        case 415:
            return "Unsupported Media Type";
        case 417:
            return "Expectation Failed";
        case 429:
            return "Too Many Requests";
        case 431:
            return "Request Header Fields Too Large";
        case 500:
            return "Internal Server Error";
        case 503:
            return "Service Unavailable";
        default:
            return "Status";
    }
}

// RFC 9110 section 5.6.7, renewed once a second.
std::string_view http_date() {
    thread_local std::time_t made = 0;
    thread_local char text[32];
    thread_local std::size_t size = 0;
    const std::time_t now = std::time(nullptr);
    if (now != made || size == 0) {
        constexpr const char* days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
        constexpr const char* months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
        std::tm t{};
        gmtime_r(&now, &t);
        char format[32];  // names by hand: the host's locale must not show
        std::strftime(format, sizeof format, "%%s, %d %%s %Y %H:%M:%S GMT", &t);
        size = static_cast<std::size_t>(
            std::snprintf(text, sizeof text, format, days[t.tm_wday], months[t.tm_mon]));
        made = now;
    }
    return {text, size};
}

void append_number(std::string& to, std::size_t n) {
    char digits[24];
    const auto [end, ec] = std::to_chars(digits, digits + sizeof digits, n);
    (void)ec;
    to.append(digits, end);
}

// No handler's value can end its header line.
void append_value(std::string& to, std::string_view value) {
    for (const char c : value)
        to += c == '\r' || c == '\n' || c == '\0' ? ' ' : c;
}

}  // namespace

void format_response(std::string& out, const http_response& r, response_style style) {
    out.clear();
    out.reserve(256 + r.body.size());
    out.append("HTTP/1.1 ");
    append_number(out, static_cast<std::size_t>(std::clamp(r.status, 200, 599)));
    out.append(" ").append(reason_phrase(r.status)).append("\r\nDate: ").append(http_date());
    out.append("\r\n");
    for (const auto& [name, value] : r.fields) {
        if (name == "content-length" || name == "connection" || name == "transfer-encoding" ||
            name == "date") {
            continue;  // ours
        }
        append_value(out, name);
        out.append(": ");
        append_value(out, value);
        out.append("\r\n");
    }
    // RFC 9110 section 8.6
    const bool bodiless = r.status == 204 || r.status == 304;
    if (!bodiless) {
        out.append("Content-Length: ");
        append_number(out, r.body.size());
        out.append("\r\n");
    }
    if (style.close) {
        out.append("Connection: close\r\n");
    } else if (style.http_1_0) {
        out.append("Connection: keep-alive\r\n");
    }
    out.append("\r\n");
    if (!bodiless && !style.head) out.append(r.body);
}

}  // namespace mission::net::detail
