// HTTP, metadata, AuthZEN, configuration files, options of the C ABI: what peers, proxies,
// operators and hosts hand in.
#include <algorithm>
#include <string>

#include "base/json.hpp"
#include "fuzz/targets.hpp"
#include "net/detail/parser.hpp"
#include "net/http.hpp"
#include "receiver/sidecar/authzen.hpp"
#include "receiver/sidecar/handler.hpp"
#include "receiver/subscribe/discovery.hpp"
#include "receiver/subscribe/quirks.hpp"

namespace mission::fuzz {
namespace {

namespace detail = net::detail;

constexpr std::size_t body_max = 64 * 1024;

struct reading {
    detail::parse_status end = detail::parse_status::more;
    std::string request, reason;
    int status = 0;
    friend bool operator==(const reading&, const reading&) = default;
};

std::string text_of(const net::http_request& r) {
    std::string out = r.method + " " + r.path + "?" + r.query + "\n";
    for (const auto& [name, value] : r.fields)
        out += name + ": " + value + "\n";
    return out + "\n" + r.body;
}

// As a session feeds it: `step` octets come at a time, what is not consumed comes again.
reading read_request(std::string_view input, std::size_t step) {
    detail::request_parser parser;
    parser.reset(body_max);
    reading out;
    std::size_t from = 0, until = 0;
    while (until < input.size()) {
        until = std::min(input.size(), until + step);
        for (;;) {
            std::size_t consumed = 0;
            out.end = parser.feed(input.substr(from, until - from), consumed);
            hold_to(consumed <= until - from, "no more is consumed than there is");
            from += consumed;
            if (out.end != detail::parse_status::head) break;
        }
        if (out.end != detail::parse_status::more) break;
    }
    if (out.end == detail::parse_status::failed) {
        out.status = parser.status();
        out.reason = parser.reason();
        hold_to(out.status >= 400 && out.status < 500, "a refusal is the sender's fault");
    } else if (out.end == detail::parse_status::done) {
        const auto& r = parser.request();
        out.request = text_of(r);
        hold_to(r.fields.count("host") <= 1, "one Host");
        hold_to(r.fields.count("content-length") + r.fields.count("transfer-encoding") <= 1,
                "one reading of the length");
        hold_to(r.path.empty() || r.path.front() == '/' || r.path == "*", "a path");
        hold_to(r.body.size() <= body_max, "a body within its limit");
    }
    return out;
}

// As an exchange reads it: answers of 1xx first, each with a parser of its own; then the connection
// ends.
void read_response(std::string_view input, bool to_head) {
    for (int answers = 0; answers < 8; ++answers) {
        detail::response_parser parser(to_head, body_max);
        std::size_t consumed = 0;
        auto end = parser.feed(input, consumed);
        hold_to(consumed <= input.size(), "no more is consumed than there is");
        input.remove_prefix(consumed);
        if (end == detail::parse_status::more) end = parser.feed_end();
        if (end != detail::parse_status::done) return;
        hold_to(parser.response().body.size() <= body_max, "a body within its limit");
        if (!parser.interim()) return;
    }
}

}  // namespace

void http_head(std::string_view input) {
    // What one read or many make of a request is the same, or two proxies in a row would disagree.
    // (When something is found to be none may depend on how it comes.)
    const auto at_once = read_request(input, std::max<std::size_t>(input.size(), 1));
    const auto drop_by_drop = read_request(input, 1);
    if (at_once.end == detail::parse_status::done || drop_by_drop.end == detail::parse_status::done)
        hold_to(at_once == drop_by_drop, "octets one by one are the same request");
    read_response(input, false);
    read_response(input, true);
    (void)net::parse_url(input);
    const auto form = net::parse_form(input);
    if (form.has_value()) {
        const auto again = net::parse_form(net::encode_form(*form));
        hold_to(again.has_value() && *again == *form, "a form is read as it was written");
    }
}

void metadata(std::string_view input) {
    receiver::quirk_log quirks{mission_signals::options{}};
    const auto m = receiver::parse_metadata(input, "https://as.example.com", {}, &quirks);
    if (m.has_value()) hold_to(m->issuer == "https://as.example.com", "the issuer asked for");
    (void)receiver::parse_token_endpoint(input, "https://as.example.com", {}, &quirks);
    (void)receiver::parse_protected_resource(input, "https://as.example.com/ssf", &quirks);
    (void)receiver::parse_token_response(input);
}

void authzen(std::string_view input) {
    namespace authzen = receiver::sidecar::authzen;
    for (const bool batch : {false, true}) {
        const auto asked = authzen::parse(input, batch);
        if (asked.has_error()) continue;
        hold_to(batch || !asked->batch, "a batch at the door of batches alone");
        hold_to(!asked->all.empty(), "there is something to answer");
        std::size_t answered = 0;
        const auto text = authzen::answer(*asked, [&](const authzen::evaluation& e) {
            ++answered;
            hold_to(e.problem.empty() || e.missions.size() <= asked->all.size() + 8, "bounded");
            return receiver::sidecar::decision{};
        });
        hold_to(answered <= asked->all.size(), "each is asked once at most");
        const auto parsed = json::parse(text, 16 * body_max, 64);
        hold_to(parsed.has_value(), "the answer is JSON");
        hold_to(text.find("\"decision\":true") == std::string::npos,
                "what was not permitted is not told to be");
    }
}

}  // namespace mission::fuzz
