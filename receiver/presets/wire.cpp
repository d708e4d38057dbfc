#include "receiver/presets/wire.hpp"

#include <condition_variable>
#include <fstream>
#include <iterator>

#include "net/client.hpp"
#include "net/runtime.hpp"
#include "receiver/presets/limits.hpp"
#include "receiver/subscribe/http_calls.hpp"

namespace mission::receiver::presets {
namespace {

using std::chrono::milliseconds;

// How often a stop of the host is asked for while an answer is waited for.
constexpr auto stop_heard_within = milliseconds(100);

std::string read_pem(const std::string& file) {
    if (file.empty()) return {};
    std::ifstream in(file, std::ios::binary);
    std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    if (!in.is_open() || in.bad()) throw ms::setup_error(file + " cannot be read");
    return text;
}

bool is_loopback(const std::string& host) {
    return host == "localhost" || host == "::1" || host.starts_with("127.");
}

// One answer, for a thread that waits. Outlives the waiting: a completion may come late.
struct one_answer {
    std::mutex m;
    std::condition_variable here;
    std::optional<result<net::http_response>> value;
};

bool told_to_wait(const net::http_response& r) {
    return (r.status == 429 || r.status == 503) && retry_after_of(r).count() > 0;
}

}  // namespace

struct wire::impl {
    wire_options o;
    std::string ca, certificate, key;
    std::once_flag once;
    std::unique_ptr<net::runtime> rt;
    std::unique_ptr<net::http_client> http;
    std::optional<error> broken;
    std::mutex m;
    std::optional<patience::clock::time_point> not_before;

    void make() {
        rt = net::make_runtime(1, 1);
        net::client_options c;
        c.ca_pem = ca;
        c.certificate_pem = certificate;
        c.private_key_pem = key;
        c.allow_plain_http = true;  // check_endpoint() has decided
        c.max_response = limits::answer_bytes;
        auto made = net::make_http_client(*rt, std::move(c));
        if (made) {
            http = std::move(*made);
        } else {
            broken = made.error();
        }
    }

    result<net::http_response> once_over(const wire_request& r, const patience& time) {
        net::client_request out;
        out.method = r.method;
        out.url = r.url;
        out.fields = r.fields;
        out.body = r.body;
        out.timeout = time.left();
        auto answer = std::make_shared<one_answer>();
        const auto pending = http->send(std::move(out), [answer](result<net::http_response> got) {
            const std::lock_guard lock(answer->m);
            answer->value.emplace(std::move(got));
            answer->here.notify_all();
        });
        std::unique_lock lock(answer->m);
        while (!answer->value) {
            answer->here.wait_for(lock, stop_heard_within);
            if (answer->value || !time.stopping()) continue;
            lock.unlock();
            pending->cancel();
            lock.lock();
            answer->here.wait(lock, [&] { return answer->value.has_value(); });
        }
        return std::move(*answer->value);
    }

    // What is left of a peer's wish.
    milliseconds asked_to_wait() {
        const std::lock_guard lock(m);
        if (!not_before) return milliseconds(0);
        const auto rest = *not_before - patience::clock::now();
        return std::max(std::chrono::ceil<milliseconds>(rest), milliseconds(0));
    }
};

wire::wire(wire_options o) : impl_(std::make_unique<impl>()) {
    impl_->ca = read_pem(o.ca_file);
    impl_->certificate = read_pem(o.certificate_file);
    impl_->key = read_pem(o.private_key_file);
    impl_->o = std::move(o);
}

wire::~wire() {
    if (impl_->http) impl_->http->stop();
    impl_->http.reset();
    if (impl_->rt) impl_->rt->stop();
}

result<net::http_response> wire::ask(const wire_request& r, const patience& time) {
    std::call_once(impl_->once, [this] { impl_->make(); });
    if (impl_->broken) return *impl_->broken;
    while (true) {
        if (const auto wait = impl_->asked_to_wait(); wait.count() > 0) {
            if (wait >= time.left())
                return error{errc::rate_limited, "the server has asked to be left alone for " +
                                                     std::to_string(wait.count() / 1000 + 1) +
                                                     " s more"};
            if (!time.wait(wait)) return error{errc::cancelled, "the host stops"};
        }
        if (time.stopping()) return error{errc::cancelled, "the host stops"};
        if (time.over()) return error{errc::timed_out, "no time is left to ask"};
        auto answer = impl_->once_over(r, time);
        if (!answer || !told_to_wait(*answer)) return answer;
        const std::lock_guard lock(impl_->m);
        impl_->not_before = patience::clock::now() + retry_after_of(*answer);
    }
}

net::url check_endpoint(const std::string& url, const std::string& what, bool plain_http) {
    const auto parsed = net::parse_url(url);
    if (!parsed) throw ms::setup_error(what + ": " + parsed.error().detail);
    if (parsed->scheme != "https" && !plain_http && !is_loopback(parsed->host))
        throw ms::setup_error(what + " is no https URL (plain_http allows it)");
    return *parsed;
}

ms::outcome without_answer(const error& e, const std::string& what) {
    using ms::outcome_kind;
    // The error of a deadline may name all of the URL, and with it what is held.
    if (e == errc::timed_out) return {outcome_kind::timed_out, what + ": no answer in time"};
    const auto text = what + ": " + e.message();
    switch (e.code) {
        case errc::cancelled:
        case errc::connection_closed:
        case errc::bad_response:
        case errc::response_too_large:
            return {outcome_kind::unknown, text};
        default:  // it has not left
            return ms::outcome::failed(text);
    }
}

}  // namespace mission::receiver::presets
