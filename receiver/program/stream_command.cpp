#include <unistd.h>

#include <array>
#include <cstddef>
#include <fstream>
#include <iostream>
#include <iterator>

#include "base/json.hpp"
#include "base/random.hpp"
#include "jose/base64url.hpp"
#include "receiver/freshness/freshness.hpp"
#include "receiver/program/commands.hpp"
#include "receiver/program/log.hpp"
#include "receiver/program/stream_calls.hpp"
#include "receiver/program/views.hpp"
#include "receiver/verify/verify.hpp"

namespace mission::receiver::program {
namespace {

constexpr auto call_timeout = std::chrono::seconds(15);
constexpr auto poll_timeout = std::chrono::seconds(45);  // a long poll's 30 s and the way

int failed(const error& e) {
    std::cerr << "mission-receiver: " << (e.detail.empty() ? e.message() : e.detail) << "\n";
    return e.code == errc::invalid_argument ? 2 : 1;
}

result<std::string> read_body(const std::string& file) {
    if (file.empty()) return std::string();
    std::string text;
    if (file == "-") {
        text.assign(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>());
    } else {
        std::ifstream in(file, std::ios::binary);
        if (!in) return error{errc::invalid_argument, "cannot read " + file};
        text.assign(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
    }
    if (text.empty()) return error{errc::invalid_argument, file + " is empty"};
    return text;
}

bool good(const net::http_response& r) {
    return r.status >= 200 && r.status < 300;
}

void show(const net::http_response& r, bool raw) {
    std::cerr << "HTTP " << r.status;
    if (const auto wait = r.fields.get("retry-after"); !wait.empty())
        std::cerr << ", Retry-After: " << wait.substr(0, 32);
    if (const auto to = r.fields.get("location"); !to.empty() && r.status >= 300 && r.status < 400)
        std::cerr << ", a redirect, which is not followed";
    std::cerr << "\n";
    if (r.body.empty()) return;
    std::cout << (raw ? r.body : pretty(r.body)) << "\n";
}

// The id that was typed, configured, or the only one there is.
result<std::string> stream_of(const invocation& typed, const program_config& c, management& m) {
    if (!typed.stream_id.empty()) return typed.stream_id;
    if (!c.options.stream_id.empty()) return c.options.stream_id;
    const auto list = m.call("GET", endpoint::configuration, {}, {}, call_timeout);
    if (!list) return list.error();
    if (!good(*list)) {
        show(*list, typed.json);
        return error{errc::http_status, "the list of streams was refused"};
    }
    auto id = only_stream(list->body);
    if (id) std::cerr << "stream " << *id << "\n";
    return id;
}

// Each SET of a poll's answer, verified and decoded, as one JSON object: {jti: claims | error}.
bool show_sets(const net::http_response& r, const program_config& c, management& m, bool raw) {
    const auto parsed = json::parse(r.body, limits::http_response_bytes);
    const auto* sets = parsed ? json::find(*parsed, "sets") : nullptr;
    if (!sets || !sets->IsObject()) {
        std::cerr << "mission-receiver: the answer has no \"sets\"\n";
        return false;
    }
    const auto keys = m.keys();
    const auto metadata = m.metadata();
    if (!keys || !metadata) {
        (void)failed(keys ? metadata.error() : keys.error());
        return false;
    }
    bool all = true;
    json::buffer b;
    json::writer w(b);
    w.StartObject();
    for (const auto& [jti, text] : sets->GetObject()) {
        json::key(w, json::view(jti));
        const auto check = [&]() -> result<std::string> {
            if (!text.IsString()) return error{errc::malformed_token, "not a text"};
            const auto token = parse_set(json::view(text), c.options.quirks.typ_missing);
            if (!token) return token.error();
            if (const auto signature = verify_set(*token, **keys); !signature)
                return signature.error();
            const auto payload = json::parse(token->payload);
            if (!payload) return payload.error();
            // Without a configured audience the SET's own is taken: nothing is done with it here.
            auto audience = c.options.audience;
            if (const auto aud = json::find_string(*payload, "aud"); audience.empty() && aud)
                audience = std::string(*aud);
            const auto set = read_set(*token, metadata->issuer, audience, coarse_now());
            if (!set) return set.error();
            if (set->jti != json::view(jti))
                return error{errc::bad_claims, "its jti is not the one it is listed under"};
            return json::write(*payload);
        };
        const auto claims = check();
        all = all && claims.has_value();
        w.StartObject();
        json::key(w, claims ? "claims" : "error");
        if (claims)
            json::raw(w, *claims);
        else
            json::string(w, claims.error().message());
        w.EndObject();
    }
    w.EndObject();
    const auto text = json::text(b);
    std::cout << (raw ? text : pretty(text)) << "\n";
    if (const auto more = json::find_bool(*parsed, "moreAvailable"); more && *more)
        std::cerr << "more is available\n";
    if (!all) std::cerr << "mission-receiver: not every SET is good\n";
    return all;
}

std::string random_state() {
    std::array<std::byte, 16> octets{};
    system_random().fill(octets);
    return jose::base64url_encode(octets);
}

}  // namespace

int run_stream(const invocation& typed, const program_config& c) {
    const bool raw = typed.json || ::isatty(STDOUT_FILENO) == 0;
    const auto body = read_body(typed.body_file);
    if (!body) return failed(body.error());
    auto options = c.options;
    options.log = make_log(ms::log_level::warning);
    const auto m = make_management(options);
    std::string id;
    if (names_a_stream(typed.what)) {
        auto found = stream_of(typed, c, *m);
        if (!found) return failed(found.error());
        id = std::move(*found);
    }
    const auto call = plan_call(typed, c.options, id, *body, random_state());
    if (!call) return failed(call.error());
    const auto answer =
        call->poll ? m->poll(id, call->body, poll_timeout)
                   : m->call(call->method, call->where, call->query, call->body, call_timeout);
    if (!answer) return failed(answer.error());
    if (typed.what == verb::stream_poll && typed.verify_sets && answer->status == 200) {
        std::cerr << "HTTP 200\n";
        return show_sets(*answer, c, *m, raw) ? 0 : 1;
    }
    show(*answer, raw);
    if (!good(*answer)) return 1;
    if (call->where == endpoint::configuration && !call->poll) {
        const auto metadata = m->metadata();
        if (!metadata) return failed(metadata.error());
        if (const auto same =
                check_issuer(answer->body, metadata->issuer, c.options.quirks.issuer_slash);
            !same)
            return failed(same.error());
    }
    return 0;
}

}  // namespace mission::receiver::program
