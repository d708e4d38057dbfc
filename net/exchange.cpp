#include "net/detail/exchange.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <cstring>

#include "net/detail/tls.hpp"

namespace mission::net::detail {
namespace {

namespace asio = boost::asio;

constexpr std::size_t read_size = 32 * 1024;
// More of an answer than this is never kept unparsed: the head limit of the parser comes first.
constexpr std::size_t input_limit = 8 * limits::http_header_bytes;
constexpr unsigned most_interim_answers = 8;
// One address of several must not use up the time of the others.
constexpr std::int64_t shortest_attempt_ms = 250;

struct socket_address {
    sockaddr_storage storage{};
    socklen_t size = 0;
};

std::optional<socket_address> to_socket_address(const std::string& text, std::uint16_t port) {
    socket_address a;
    auto* v4 = reinterpret_cast<sockaddr_in*>(&a.storage);
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&a.storage);
    if (inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        a.size = sizeof *v4;
        return a;
    }
    if (inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        a.size = sizeof *v6;
        return a;
    }
    return std::nullopt;
}

bool is_literal(const std::string& host) {
    return to_socket_address(host, 0).has_value();
}

bool is_token(std::string_view s) {  // RFC 9110 section 5.6.2
    return !s.empty() && std::all_of(s.begin(), s.end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
    });
}

bool is_field_value(std::string_view s) {
    return std::all_of(s.begin(), s.end(), [](char c) {
        const auto o = static_cast<unsigned char>(c);
        return o == '\t' || (o >= 0x20 && o != 0x7f);
    });
}

}  // namespace

exchange::exchange(std::shared_ptr<client_shared> shared, client_request request, completion done)
    : shared_(std::move(shared)),
      strand_(asio::make_strand(shared_->context)),
      request_(std::move(request)),
      done_(std::move(done)) {
    expire_in(request_.timeout);
    total_deadline_ = deadline();
}

void exchange::start() {
    asio::post(strand_, [self = shared_from_this()] { self->begin(); });
}

void exchange::cancel() {
    asio::post(strand_, [self = shared_from_this()] {
        self->finish(error{errc::cancelled, "cancelled by its owner"});
    });
}

void exchange::deadline_passed() {
    asio::post(strand_, [self = shared_from_this()] { self->on_deadline(); });
}

void exchange::abandon() {
    finish(error{errc::cancelled, "the program is stopping"});
}

void exchange::begin() {
    if (phase_ == phase::finished) return;
    if (shared_->stopped.load()) {
        return finish(error{errc::cancelled, "the client has been stopped"});
    }
    auto parsed = parse_url(request_.url);
    if (!parsed) return finish(parsed.error());
    url_ = std::move(*parsed);
    if (url_.scheme == "http" && !shared_->options.allow_plain_http) {
        return finish(error{errc::address_refused, "plain http is not allowed"});
    }
    if (!is_token(request_.method)) {
        return finish(error{errc::invalid_argument, "not a method: " + request_.method});
    }
    for (const auto& [name, value] : request_.fields) {
        // A configured or relayed value must not end its line and start another.
        if (!is_token(name) || !is_field_value(value)) {
            return finish(error{errc::invalid_argument, "not a header field: " + name});
        }
    }
    origin_ = url_.origin();
    format_request();
    connection_ = shared_->take(origin_);
    if (connection_) {
        connection_->reused = true;
        return send_request();
    }
    resolve();
}

// Host and the lengths are ours (RFC 9112 section 3.2).
void exchange::format_request() {
    auto& out = output_;
    out.reserve(256 + request_.body.size());
    out.append(request_.method).append(" ").append(url_.target).append(" HTTP/1.1\r\nHost: ");
    out.append(std::string_view(origin_).substr(url_.scheme.size() + 3)).append("\r\n");
    for (const auto& [name, value] : request_.fields) {
        if (name == "host" || name == "content-length" || name == "connection" ||
            name == "transfer-encoding" || name == "expect") {
            continue;
        }
        out.append(name).append(": ").append(value).append("\r\n");
    }
    if (!request_.body.empty() || (request_.method != "GET" && request_.method != "HEAD")) {
        out.append("Content-Length: ").append(std::to_string(request_.body.size())).append("\r\n");
    }
    out.append("\r\n").append(request_.body);
    request_.body = {};
}

void exchange::resolve() {
    phase_ = phase::resolving;
    if (is_literal(url_.host)) return resolved(std::vector<std::string>{url_.host});
    // Forms such as 2130706433 or 0x7f.1 are turned into plain addresses there, and checked as such
    // below. Weakly: a look-up may take longer than anybody waits.
    shared_->names.find(url_.host, [weak = weak_from_this()](const lookups::addresses& found) {
        const auto self = weak.lock();
        if (!self) return;
        asio::post(self->strand_, [self, found] {
            if (self->phase_ == phase::resolving) self->resolved(found);
        });
    });
}

void exchange::resolved(lookups::addresses addresses) {
    if (!addresses) return finish(addresses.error());
    std::optional<error> refusal;
    for (auto& address : *addresses) {
        if (shared_->options.egress) {
            auto verdict = shared_->options.egress->check(url_.host, url_.port, address);
            if (!verdict) {
                refusal = verdict.error();
                continue;
            }
        }
        addresses_.push_back(std::move(address));
    }
    if (addresses_.empty()) {
        return finish(refusal ? *refusal : error{errc::resolve_failed, url_.host + ": no address"});
    }
    connect_next();
}

// The addresses one after the other; each was checked, and it is these that are connected to, not
// the name once more.
void exchange::connect_next() {
    connection_.reset();
    ++generation_;
    read_waiting_ = write_waiting_ = false;
    while (next_address_ < addresses_.size()) {
        const auto left = static_cast<std::int64_t>(addresses_.size() - next_address_);
        const auto& address = addresses_[next_address_++];
        const auto to = to_socket_address(address, url_.port);
        if (!to) {
            last_failure_ = error{errc::connect_failed, "not an address: " + address};
            continue;
        }
        if (shared_->options.connects) {
            if (auto r = shared_->options.connects->before_connect(address, url_.port); !r) {
                last_failure_ = r.error();
                continue;
            }
        }
        const int fd =
            ::socket(to->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0) {
            last_failure_ = error{errc::connect_failed, std::strerror(errno)};
            continue;
        }
        const int on = 1;
        ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        try {
            connection_ = std::make_unique<client_connection>(shared_->context, fd);
        } catch (const std::exception& e) {
            ::close(fd);
            last_failure_ = error{errc::connect_failed, e.what()};
            continue;
        }
        phase_ = phase::connecting;
        if (::connect(fd, reinterpret_cast<const sockaddr*>(&to->storage), to->size) == 0) {
            return connected();
        }
        if (errno == EINPROGRESS || errno == EINTR) {
            const auto now = coarse_now();
            const auto share = std::max((total_deadline_ - now) / left, shortest_attempt_ms);
            expire_at(std::min(total_deadline_, now + share));
            wait_write();
            return;
        }
        last_failure_ =
            error{errc::connect_failed, origin_ + " at " + address + ": " + std::strerror(errno)};
        connection_.reset();
    }
    finish(last_failure_ ? *last_failure_ : error{errc::connect_failed, "no address left"});
}

void exchange::connected() {
    expire_at(total_deadline_);
    if (url_.scheme == "http") return send_request();
    if (!connection_->io.start_tls(shared_->tls, false) ||
        !expect_host(connection_->io.native(), url_.host)) {
        return finish(error{errc::tls_failed, "cannot start TLS for " + url_.host});
    }
    phase_ = phase::handshake;
    drive();
}

void exchange::send_request() {
    phase_ = phase::sending;
    sent_ = 0;
    send_failed_ = false;
    got_octets_ = false;
    input_.clear();
    parser_.emplace(request_.method == "HEAD", shared_->options.max_response);
    drive();
}

void exchange::drive() {
    if (driving_) return;
    driving_ = true;
    while (step()) {
    }
    driving_ = false;
}

bool exchange::step() {
    switch (phase_) {
        case phase::connecting: {
            int code = 0;
            socklen_t size = sizeof code;
            ::getsockopt(connection_->descriptor.native_handle(), SOL_SOCKET, SO_ERROR, &code,
                         &size);
            if (code != 0) {
                last_failure_ = error{errc::connect_failed, origin_ + ": " + std::strerror(code)};
                connect_next();
            } else {
                connected();
            }
            // Both may have moved on while this loop was marked as running.
            return phase_ == phase::handshake || phase_ == phase::sending;
        }
        case phase::handshake:
            return shake_hands();
        case phase::sending:
            return write_some();
        case phase::receiving:
            return read_some();
        case phase::resolving:
        case phase::finished:
            return false;
    }
    return false;
}

bool exchange::shake_hands() {
    const auto r = connection_->io.handshake();
    if (r.status == io_status::done) {
        send_request();
        return true;
    }
    if (wait_for(r.status)) return false;
    // Another address of the same name would show the same certificate.
    finish(error{errc::tls_failed, url_.host + ": " + connection_->io.reason()});
    return false;
}

bool exchange::write_some() {
    while (sent_ < output_.size()) {
        const auto r = connection_->io.write(std::string_view(output_).substr(sent_));
        if (r.status == io_status::done) {
            sent_ += r.size;
            continue;
        }
        if (r.status == io_status::want_write) {
            wait_write();
            // It may answer before it has read everything, with 413 for instance.
            if (!connection_->io.tls()) return read_some();
            return false;
        }
        if (r.status == io_status::want_read) {
            wait_read();
            return false;
        }
        send_failed_ = true;  // the answer, sent before it closed, may be there all the same
        break;
    }
    phase_ = phase::receiving;
    // Nothing can have come back yet: waiting first saves a read that finds nothing.
    if (send_failed_ || connection_->io.buffered()) return true;
    wait_read();
    return false;
}

bool exchange::read_some() {
    thread_local char area[read_size];
    const auto r = connection_->io.read(area, sizeof area);
    switch (r.status) {
        case io_status::done: {
            got_octets_ = true;
            const std::string_view data(area, r.size);
            if (input_.empty()) {
                feed(data);
            } else {
                input_.append(data);
                const std::string whole = std::move(input_);
                input_.clear();
                feed(whole);
            }
            return phase_ == phase::receiving;
        }
        case io_status::closed:
            // RFC 9112 section 6.3: the end of the connection may be the end of the body.
            if (got_octets_ && parser_->feed_end() == parse_status::done && !parser_->interim()) {
                answered();
            } else {
                broken(
                    {errc::connection_closed, origin_ + ": connection closed within the answer"});
            }
            return false;
        case io_status::failed:
            broken({errc::connection_closed, origin_ + ": " + connection_->io.reason()});
            return false;
        default:
            wait_for(r.status);
            return false;
    }
}

void exchange::feed(std::string_view data) {
    for (;;) {
        std::size_t used = 0;
        const auto status = parser_->feed(data, used);
        data.remove_prefix(used);
        if (status == parse_status::failed) {
            return finish(
                error{parser_->too_large() ? errc::response_too_large : errc::bad_response,
                      origin_ + ": " + parser_->reason()});
        }
        if (status == parse_status::more) {
            if (data.size() > input_limit) {
                return finish(error{errc::bad_response, origin_ + ": endless line"});
            }
            input_.assign(data);
            return;
        }
        if (!parser_->interim()) break;
        // RFC 9110 section 15.2: any number of 1xx may precede; we read a few. 101 was not asked.
        if (parser_->response().status == 101 || ++interim_answers_ > most_interim_answers) {
            return finish(error{errc::bad_response, origin_ + ": unasked 1xx answer"});
        }
        parser_.emplace(request_.method == "HEAD", shared_->options.max_response);
        if (data.empty()) return;
    }
    input_.assign(data);
    answered();
}

void exchange::answered() {
    const bool clean = parser_->keep_alive() && sent_ == output_.size() && input_.empty() &&
                       !read_waiting_ && !write_waiting_;
    if (clean && connection_) {
        connection_->idle_since = coarse_now();
        shared_->give_back(origin_, std::move(connection_));
    }
    finish(std::move(parser_->response()));
}

// The connection failed. One that had been idle may have been closed by the peer long before; then
// the request was never looked at (RFC 9112 section 9.3.1) and is sent once more on a fresh one.
void exchange::broken(error why) {
    if (connection_->reused && !got_octets_ && !retried_) {
        retried_ = true;
        connection_.reset();
        ++generation_;
        read_waiting_ = write_waiting_ = false;
        return resolve();
    }
    finish(std::move(why));
}

void exchange::on_deadline() {
    if (phase_ == phase::finished || deadline() > coarse_now()) return;
    if (phase_ == phase::connecting && coarse_now() < total_deadline_) {
        last_failure_ = error{errc::connect_failed, origin_ + ": no answer to the connect"};
        return connect_next();
    }
    finish(error{errc::timed_out, origin_.empty() ? request_.url : origin_});
}

void exchange::finish(result<http_response> r) {
    if (phase_ == phase::finished) return;
    phase_ = phase::finished;
    expire_at(never);
    connection_.reset();
    const auto self = shared_from_this();  // the list may hold the last reference
    shared_->exchanges.remove(*this);
    const auto done = std::exchange(done_, nullptr);
    done(std::move(r));
}

bool exchange::wait_for(io_status want) {
    if (want == io_status::want_read) {
        wait_read();
        return true;
    }
    if (want == io_status::want_write) {
        wait_write();
        return true;
    }
    return false;
}

void exchange::wait_read() {
    if (read_waiting_ || phase_ == phase::finished) return;
    read_waiting_ = true;
    connection_->descriptor.async_wait(
        plain_descriptor::wait_read,
        asio::bind_executor(strand_, [self = shared_from_this(),
                                      g = generation_](const boost::system::error_code& ec) {
            if (g != self->generation_) return;
            self->read_waiting_ = false;
            if (!ec) self->drive();
        }));
}

void exchange::wait_write() {
    if (write_waiting_ || phase_ == phase::finished) return;
    write_waiting_ = true;
    connection_->descriptor.async_wait(
        plain_descriptor::wait_write,
        asio::bind_executor(strand_, [self = shared_from_this(),
                                      g = generation_](const boost::system::error_code& ec) {
            if (g != self->generation_) return;
            self->write_waiting_ = false;
            if (!ec) self->drive();
        }));
}

}  // namespace mission::net::detail
