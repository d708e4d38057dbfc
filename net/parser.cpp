#include "net/detail/parser.hpp"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <optional>

#include "base/limits.hpp"

namespace mission::net::detail {
namespace {

namespace http = boost::beast::http;
using boost::beast::error_code;
using boost::beast::iequals;
using view = boost::beast::string_view;

// A client waits for few answers at a time, of peers that it has chosen; a full poll is one of
// these.
constexpr std::uint64_t request_reserve = 64u << 10, response_reserve = 512u << 10;

std::string text(view s) {
    return {s.data(), s.size()};
}

// What both directions share: fields and body go straight into our own values, so that a request
// costs no copy of Beast's containers.
template <bool is_request>
class collector : public http::basic_parser<is_request> {
  public:
    collector(headers& fields, std::string& body) : fields_(fields), body_(body) {}

  protected:
    void on_request_impl(http::verb, view, view, int, error_code&) override {}
    void on_response_impl(int, view, int, error_code&) override {}
    void on_field_impl(http::field, view name, view value, error_code&) override {
        // RFC 9110 section 6.5.1: a trailer field must not pass for a header field.
        if (!this->is_header_done()) fields_.add(text(name), text(value));
    }
    void on_header_impl(error_code&) override {}
    void on_body_init_impl(const boost::optional<std::uint64_t>& length, error_code&) override {
        // Announced is not arrived: reserve little on the peer's word alone.
        constexpr std::uint64_t most = is_request ? request_reserve : response_reserve;
        if (length) body_.reserve(static_cast<std::size_t>(std::min(*length, most)));
    }
    std::size_t on_body_impl(view data, error_code&) override {
        body_.append(data.data(), data.size());
        return data.size();
    }
    void on_chunk_header_impl(std::uint64_t, view, error_code&) override {}
    std::size_t on_chunk_body_impl(std::uint64_t, view data, error_code& ec) override {
        return on_body_impl(data, ec);
    }
    void on_finish_impl(error_code&) override {}

  private:
    headers& fields_;
    std::string& body_;
};

class request_collector final : public collector<true> {
  public:
    request_collector(http_request& r) : collector(r.fields, r.body), request_(r) {}

    int version = 11;
    std::string target;

  private:
    void on_request_impl(http::verb, view method, view where, int v, error_code&) override {
        request_.method = text(method);
        target = text(where);
        version = v;
    }
    http_request& request_;
};

class response_collector final : public collector<false> {
  public:
    response_collector(http_response& r) : collector(r.fields, r.body), response_(r) {}

  private:
    void on_response_impl(int code, view, int, error_code&) override { response_.status = code; }
    http_response& response_;
};

// The last chunk, "0 CRLF CRLF", goes to Beast (1.81) in one piece: having seen "0 CRLF" it asserts
// that more than one octet comes at once. What is left of a chunked message is never shorter, so
// that waiting for it waits for nothing that is not due.
constexpr std::size_t last_chunk_octets = 5;

template <class Parser>
bool begins_last_chunk(const Parser& parser, std::string_view data) {
    return parser.is_header_done() && parser.chunked() && data.size() < last_chunk_octets &&
           data.front() == '0';
}

bool over_limit(const error_code& ec) {
    return ec == http::error::body_limit;
}

// The path and query of a request target, RFC 9112 section 3.2.
bool split_target(std::string target, http_request& r) {
    if (target == "*" && r.method == "OPTIONS") {
        r.path = "*";
        return true;
    }
    const auto scheme = target.find("://");
    if (!target.starts_with('/') && scheme != std::string::npos) {  // absolute-form
        const std::string_view name(target.data(), scheme);
        if (!iequals(view(name.data(), name.size()), "http") &&
            !iequals(view(name.data(), name.size()), "https")) {
            return false;
        }
        const auto start = target.find_first_of("/?", scheme + 3);
        std::string rest = start == std::string::npos ? "/" : target.substr(start);
        target = rest.starts_with('/') ? std::move(rest) : "/" + rest;
    }
    if (!target.starts_with('/') || target.find('#') != std::string::npos) return false;
    const auto question = target.find('?');
    r.path = target.substr(0, question);
    if (question != std::string::npos) r.query = target.substr(question + 1);
    return true;
}

}  // namespace

struct request_parser::impl {
    http_request request;
    std::optional<request_collector> parser;
    bool head_checked = false;
    bool expects_continue = false;
    int status = 400;
    const char* reason = "";
};

request_parser::request_parser() : impl_(std::make_unique<impl>()) {}
request_parser::~request_parser() = default;

void request_parser::reset(std::size_t max_body) {
    impl_->request = {};
    impl_->parser.emplace(impl_->request);
    impl_->parser->eager(false);
    impl_->parser->header_limit(static_cast<std::uint32_t>(limits::http_header_bytes));
    impl_->parser->body_limit(max_body);
    impl_->head_checked = false;
    impl_->expects_continue = false;
}

http_request& request_parser::request() noexcept {
    return impl_->request;
}
bool request_parser::keep_alive() const noexcept {
    return impl_->parser->keep_alive();
}
bool request_parser::http_1_0() const noexcept {
    return impl_->parser->version < 11;
}
bool request_parser::head_only() const noexcept {
    return impl_->request.method == "HEAD";
}
bool request_parser::expects_continue() const noexcept {
    return impl_->expects_continue;
}
int request_parser::status() const noexcept {
    return impl_->status;
}
const char* request_parser::reason() const noexcept {
    return impl_->reason;
}

parse_status request_parser::fail(int status, const char* reason) {
    impl_->status = status;
    impl_->reason = reason;
    return parse_status::failed;
}

parse_status request_parser::check_head() {
    auto& r = impl_->request;
    const auto& parser = *impl_->parser;
    if (parser.version != 10 && parser.version != 11) return fail(400, "HTTP version");
    if (parser.target.size() > limits::http_target_bytes) return fail(414, "target too long");
    if (!split_target(parser.target, r)) return fail(400, "request target");
    // RFC 9112 section 3.2: exactly one Host in HTTP/1.1, never two.
    const auto hosts = r.fields.count("host");
    if (hosts > 1 || (hosts == 0 && parser.version == 11)) return fail(400, "Host header");
    // RFC 9112 section 6.3: where two readings of the length exist, somebody else may take the
    // other one. Refuse instead of choosing.
    const auto lengths = r.fields.count("content-length");
    const auto codings = r.fields.count("transfer-encoding");
    if (lengths > 1) return fail(400, "Content-Length given twice");
    if (lengths == 1) {
        const auto value = r.fields.get("content-length");
        if (value.empty() || value.find_first_not_of("0123456789") != std::string_view::npos) {
            return fail(400, "Content-Length is not one number");
        }
    }
    if (lengths != 0 && codings != 0) return fail(400, "both Content-Length and Transfer-Encoding");
    if (codings != 0) {
        const auto value = r.fields.get("transfer-encoding");
        if (codings > 1 || !iequals(view(value.data(), value.size()), "chunked")) {
            return fail(400, "Transfer-Encoding other than chunked");
        }
        if (parser.version == 10) return fail(400, "Transfer-Encoding in HTTP/1.0");
    }
    if (r.fields.count("expect") != 0) {
        const auto value = r.fields.get("expect");
        if (!iequals(view(value.data(), value.size()), "100-continue")) {
            return fail(417, "unknown expectation");
        }
        // RFC 9110 section 10.1.1: ignored from HTTP/1.0.
        impl_->expects_continue = parser.version == 11;
    }
    return parse_status::head;
}

parse_status request_parser::feed(std::string_view data, std::size_t& consumed) {
    auto& parser = *impl_->parser;
    consumed = 0;
    // RFC 9112 section 2.2: a stray empty line before the request line is ignored.
    if (!parser.got_some() && !impl_->head_checked) {
        while (data.starts_with("\r\n")) {
            data.remove_prefix(2);
            consumed += 2;
        }
        if (data == "\r") return parse_status::more;  // half of one, perhaps
    }
    while (!data.empty()) {
        if (begins_last_chunk(parser, data)) return parse_status::more;
        error_code ec;
        const auto n = parser.put(boost::asio::const_buffer(data.data(), data.size()), ec);
        data.remove_prefix(n);
        consumed += n;
        if (ec == http::error::need_more) return parse_status::more;
        if (ec == http::error::header_limit) {
            split_target(parser.target, impl_->request);  // whoever answers may ask where it went
            return fail(431, "request head too large");
        }
        if (over_limit(ec)) {
            // A length that is over the limit is found before the head counts as done.
            if (!impl_->head_checked && check_head() == parse_status::failed)
                return parse_status::failed;
            return fail(413, "request body too large");
        }
        if (ec) return fail(400, "malformed request");
        if (parser.is_header_done() && !impl_->head_checked) {
            impl_->head_checked = true;
            parser.eager(true);
            const auto verdict = check_head();
            if (verdict == parse_status::failed || !parser.is_done()) return verdict;
        }
        if (parser.is_done()) return parse_status::done;
    }
    return parse_status::more;
}

struct response_parser::impl {
    http_response response;
    response_collector parser{response};
    bool too_large = false;
    std::string reason;
};

response_parser::response_parser(bool to_head, std::size_t max_body)
    : impl_(std::make_unique<impl>()) {
    impl_->parser.eager(true);
    impl_->parser.skip(to_head);
    impl_->parser.header_limit(static_cast<std::uint32_t>(4 * limits::http_header_bytes));
    impl_->parser.body_limit(max_body);
}
response_parser::~response_parser() = default;

http_response& response_parser::response() noexcept {
    return impl_->response;
}
bool response_parser::keep_alive() const noexcept {
    return impl_->parser.keep_alive();
}
bool response_parser::too_large() const noexcept {
    return impl_->too_large;
}
const std::string& response_parser::reason() const noexcept {
    return impl_->reason;
}
bool response_parser::interim() const noexcept {
    return impl_->response.status >= 100 && impl_->response.status < 200;
}

parse_status response_parser::feed(std::string_view data, std::size_t& consumed) {
    auto& parser = impl_->parser;
    consumed = 0;
    while (!data.empty()) {
        if (begins_last_chunk(parser, data)) return parse_status::more;
        error_code ec;
        const auto n = parser.put(boost::asio::const_buffer(data.data(), data.size()), ec);
        data.remove_prefix(n);
        consumed += n;
        if (ec == http::error::need_more) return parse_status::more;
        if (ec) {
            impl_->too_large = over_limit(ec);
            impl_->reason = ec.message();
            return parse_status::failed;
        }
        if (parser.is_done()) return parse_status::done;
    }
    return parse_status::more;
}

parse_status response_parser::feed_end() {
    error_code ec;
    if (!impl_->parser.got_some()) {  // Beast asserts that there was something
        impl_->reason = "connection closed before the answer";
        return parse_status::failed;
    }
    impl_->parser.put_eof(ec);
    if (!ec && impl_->parser.is_done()) return parse_status::done;
    impl_->reason = "connection closed within the answer";
    return parse_status::failed;
}

}  // namespace mission::net::detail
