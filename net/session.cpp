#include "net/detail/session.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <exception>
#include <span>

#include "net/detail/response_text.hpp"

namespace mission::net::detail {
namespace {

namespace asio = boost::asio;

constexpr std::size_t read_size = 32 * 1024;
// More than a head and one read are never kept unparsed.
constexpr std::size_t input_limit = limits::http_header_bytes * 2 + read_size;
// An answer before the body was read: how long and how much to swallow so that it arrives.
constexpr std::chrono::milliseconds linger_time{1000};
constexpr std::size_t linger_bytes = 512 * 1024;

std::span<char> scratch() {
    thread_local char area[read_size];
    return area;
}

// Sent by the peer, and not read yet: most likely a request.
bool octets_waiting(int fd) {
    char one = 0;
    return ::recv(fd, &one, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

// What the handler's responder refers to; outlives the session if need be.
class response_slot final : public responder::state {
  public:
    response_slot(std::weak_ptr<session> s, std::uint64_t exchange)
        : session_(std::move(s)), exchange_(exchange) {}
    ~response_slot() override {
        if (answered_.load()) return;
        http_response r;
        r.status = 500;
        r.fields.add("content-type", "application/json");
        r.body = R"({"err":"internal","description":"the request was not answered"})";
        respond(std::move(r));
    }
    void respond(http_response r) override {
        if (answered_.exchange(true)) return;
        if (const auto s = session_.lock()) s->respond(exchange_, std::move(r));
    }
    bool gone() const noexcept override {
        const auto s = session_.lock();
        return !s || s->gone();
    }

  private:
    std::weak_ptr<session> session_;
    const std::uint64_t exchange_;
    std::atomic<bool> answered_{false};
};

}  // namespace

bool server_shared::enter(const std::string& address) {
    const std::lock_guard lock(mutex_);
    auto& n = per_address_[address];
    if (n >= options.max_connections_per_address) {
        if (n == 0) per_address_.erase(address);
        return false;
    }
    ++n;
    return true;
}

void server_shared::leave(const std::string& address) {
    const std::lock_guard lock(mutex_);
    const auto it = per_address_.find(address);
    if (it != per_address_.end() && --it->second == 0) per_address_.erase(it);
}

ssl_context server_shared::certificate() const {
    const std::lock_guard lock(mutex_);
    return certificate_;
}

void server_shared::certificate(ssl_context c) {
    const std::lock_guard lock(mutex_);
    certificate_ = std::move(c);
}

session::session(std::shared_ptr<server_shared> shared, int fd, peer_address peer)
    : shared_(std::move(shared)),
      strand_(asio::make_strand(shared_->context)),
      descriptor_(strand_, fd),
      channel_(fd),
      peer_(std::move(peer)) {}

session::~session() {
    release_body();
    if (phase_ != phase::closed) shared_->leave(peer_.text);
}

void session::start() {
    asio::post(strand_, [self = shared_from_this()] {
        auto& s = *self;
        const auto& options = s.shared_->options;
        s.expire_in(options.handshake_timeout);
        if (options.mode == transport::tls) {
            if (!s.channel_.start_tls(s.shared_->certificate(), true)) return s.close();
            s.phase_ = phase::handshake;
        } else if (options.mode == transport::plain) {
            s.begin_request();
            s.expire_in(options.header_timeout);  // a new connection has come to say something
        }
        s.wait_read();
    });
}

void session::deadline_passed() {
    asio::post(strand_, [self = shared_from_this()] { self->on_deadline(); });
}

void session::stop_when_idle() {
    asio::post(strand_, [self = shared_from_this()] {
        auto& s = *self;
        const bool asked =
            s.in_message_ || !s.input_.empty() || octets_waiting(s.descriptor_.native_handle());
        const bool idle = s.phase_ == phase::sniffing || s.phase_ == phase::handshake ||
                          (s.phase_ == phase::request && !asked);
        if (!idle) return;  // `written` looks at `stopping` when the answer is out
        s.channel_.finish();
        s.close();
    });
}

void session::abort() {
    asio::post(strand_, [self = shared_from_this()] { self->close(); });
}

void session::respond(std::uint64_t exchange, http_response r) {
    if (strand_.running_in_this_thread()) return answer(exchange, std::move(r));
    asio::post(strand_, [self = shared_from_this(), exchange, r = std::move(r)]() mutable {
        self->answer(exchange, std::move(r));
    });
}

void session::drive() {
    if (driving_) return;  // an answer given from within the handler: the loop below goes on
    driving_ = true;
    while (step()) {
    }
    driving_ = false;
}

bool session::step() {
    switch (phase_) {
        case phase::sniffing:
            return sniff();
        case phase::handshake:
            return shake_hands();
        case phase::request:
            return read_request();
        case phase::dispatching:
            dispatch();
            return true;
        case phase::handling:
            return watch_peer();
        case phase::writing:
            return write();
        case phase::lingering:
            return linger();
        case phase::closed:
            return false;
    }
    return false;
}

bool session::sniff() {
    unsigned char octet = 0;
    const auto n = ::recv(descriptor_.native_handle(), &octet, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return wait_for(io_status::want_read);
    if (n <= 0) {
        close();
        return false;
    }
    constexpr unsigned char tls_handshake_record = 0x16;  // RFC 8446 section 5.1
    if (octet == tls_handshake_record) {
        if (!channel_.start_tls(shared_->certificate(), true)) {
            close();
            return false;
        }
        phase_ = phase::handshake;
        return true;
    }
    if (!peer_.loopback) {
        ++shared_->tls_failures;
        close();
        return false;
    }
    begin_request();
    expire_in(shared_->options.header_timeout);
    return true;
}

bool session::shake_hands() {
    const auto r = channel_.handshake();
    if (r.status == io_status::done) {
        peer_certificate_ = channel_.peer_certificate();
        begin_request();
        expire_in(shared_->options.header_timeout);
        return true;
    }
    if (wait_for(r.status)) return false;
    ++shared_->tls_failures;
    close();
    return false;
}

void session::begin_request() {
    phase_ = phase::request;
    parser_.reset(shared_->options.max_body);
    in_message_ = false;
    in_body_ = false;
    starved_ = input_.empty();
    expire_in(shared_->options.keep_alive_timeout);
}

bool session::read_request() {
    if (!starved_) {
        std::size_t used = 0;
        const auto status = parser_.feed(input_, used);
        input_.erase(0, used);
        parsed(status);
        return true;
    }
    // Idle connections hold no buffer: a read goes to the thread's, and a whole request, the
    // common case, is parsed right there.
    if (!may_read()) return false;
    const auto area = scratch();
    const auto r = channel_.read(area.data(), area.size());
    readable_ = r.status == io_status::done && r.size == area.size();
    if (r.status == io_status::closed || r.status == io_status::failed) {
        close();
        return false;
    }
    if (r.status != io_status::done) {
        wait_for(r.status);
        return false;
    }
    std::size_t used = 0;
    if (input_.empty()) {
        const std::string_view data(area.data(), r.size);
        const auto status = parser_.feed(data, used);
        input_.assign(data.substr(used));
        parsed(status);
    } else {
        input_.append(area.data(), r.size);
        const auto status = parser_.feed(input_, used);
        input_.erase(0, used);
        parsed(status);
    }
    return true;
}

void session::parsed(parse_status status) {
    if (!in_message_) {
        in_message_ = true;
        expire_in(shared_->options.header_timeout);
    }
    switch (status) {
        case parse_status::done:
            phase_ = phase::dispatching;
            return;
        case parse_status::head:
            in_body_ = true;
            starved_ = input_.empty();
            expire_in(shared_->options.body_timeout);
            if (parser_.expects_continue() && input_.empty()) {
                output_ = "HTTP/1.1 100 Continue\r\n\r\n";
                sent_ = 0;
                continue_after_ = true;
                phase_ = phase::writing;
            }
            return;
        case parse_status::failed:
            if (parser_.status() == 413 && shared_->options.hand_over_too_large) {
                ++shared_->bad_requests;
                parser_.request().body = {};
                parser_.request().body_too_large = true;
                linger_after_ = true;
                phase_ = phase::dispatching;
                return;
            }
            refuse(parser_.status(),
                   parser_.status() == 413 || parser_.status() == 431 ? "too_large"
                                                                      : "invalid_request",
                   parser_.reason());
            return;
        case parse_status::more:
            starved_ = true;
            if (!hold_body()) {
                parser_.request().body = {};
                return refuse(503, "unavailable", "too many unfinished requests");
            }
            if (input_.size() > input_limit) refuse(400, "invalid_request", "malformed request");
            return;
    }
}

bool session::hold_body() {
    const auto size = parser_.request().body.size();
    // What a head may have, a body may have without being counted.
    if (size <= std::max(held_, limits::http_header_bytes)) return true;
    const auto more = size - held_;
    if (shared_->unfinished.fetch_add(more) + more > shared_->options.max_unfinished) {
        shared_->unfinished.fetch_sub(more);
        return false;
    }
    held_ = size;
    return true;
}

void session::release_body() noexcept {
    shared_->unfinished.fetch_sub(held_);
    held_ = 0;
}

void session::dispatch() {
    release_body();  // it is the handler's now
    ++shared_->requests;
    phase_ = phase::handling;
    expire_at(never);  // the handler has as long as it takes; a long poll takes 30 s
    head_only_ = parser_.head_only();
    // What is left of a body that nobody reads would pass for the next request.
    close_after_ = parser_.request().body_too_large || !parser_.keep_alive();
    auto request = std::move(parser_.request());
    request.peer.address = peer_.text;
    request.peer.port = peer_.port;
    request.peer.tls = channel_.tls();
    request.peer.certificate_der = peer_certificate_;
    const responder respond(std::make_shared<response_slot>(weak_from_this(), ++exchange_));
    try {
        shared_->handler.handle(std::move(request), respond);
    } catch (const std::exception&) {
        // `respond` answers 500 when its last copy goes
    }
}

// Waiting costs one system call, and so does a read that finds nothing; so read only when there is
// something to be had.
bool session::may_read() {
    if (readable_ || channel_.buffered()) return true;
    wait_read();
    return false;
}

// While the handler works: notice that the peer goes, keep what it sends early.
bool session::watch_peer() {
    if (peer_ended_ || input_.size() >= read_size) return false;
    if (!may_read()) return false;
    const auto area = scratch();
    const auto r = channel_.read(area.data(), area.size());
    readable_ = r.status == io_status::done && r.size == area.size();
    switch (r.status) {
        case io_status::done:
            input_.append(area.data(), r.size);
            return true;
        case io_status::closed:
            // It may have ended only its own side and still read the answer; but nobody waits.
            peer_ended_ = true;
            close_after_ = true;
            gone_.store(true, std::memory_order_release);
            return false;
        case io_status::failed:
            close();
            return false;
        default:
            wait_for(r.status);
            return false;
    }
}

void session::answer(std::uint64_t exchange, http_response r) {
    if (phase_ != phase::handling || exchange != exchange_) return;
    const auto connection = r.fields.get("connection");
    if (shared_->stopping.load() || connection == "close") close_after_ = true;
    begin_answer(r);
    drive();
}

void session::refuse(int status, std::string_view what, std::string_view description) {
    release_body();
    ++shared_->bad_requests;
    const auto r = shared_->handler.refuse(parser_.request(), status, what, description);
    head_only_ = parser_.head_only();
    close_after_ = true;
    linger_after_ = true;
    begin_answer(r);
}

void session::begin_answer(const http_response& r) {
    format_response(output_, r,
                    {.close = close_after_, .http_1_0 = parser_.http_1_0(), .head = head_only_});
    sent_ = 0;
    phase_ = phase::writing;
    expire_in(shared_->options.write_timeout);
}

bool session::write() {
    while (sent_ < output_.size()) {
        const auto r = channel_.write(std::string_view(output_).substr(sent_));
        if (r.status == io_status::done) {
            sent_ += r.size;
            continue;
        }
        if (!wait_for(r.status)) close();
        return false;
    }
    written();
    return true;
}

void session::written() {
    if (output_.capacity() > read_size) {
        output_ = {};  // one big answer must not stay with an idle connection
    } else {
        output_.clear();
    }
    if (continue_after_) {
        continue_after_ = false;
        phase_ = phase::request;
        return;
    }
    if (close_after_ || shared_->stopping.load()) return finish_then_close();
    begin_request();
}

void session::finish_then_close() {
    channel_.finish();
    if (peer_ended_ || (!linger_after_ && input_.empty())) return close();
    phase_ = phase::lingering;
    expire_in(linger_time);
}

bool session::linger() {
    const auto r = channel_.drain();
    if (r.status == io_status::done && (drained_ += r.size) < linger_bytes) return true;
    if (r.status == io_status::want_read) {
        wait_read();
    } else {
        close();
    }
    return false;
}

void session::on_deadline() {
    if (phase_ == phase::closed || deadline() > coarse_now()) return;
    if (phase_ == phase::lingering) return close();
    const bool idle = phase_ == phase::request && !in_message_;
    if (idle) {
        channel_.finish();
        return close();
    }
    ++shared_->timeouts;
    if (phase_ != phase::request) return close();
    refuse(408, "request_timeout",
           in_body_ ? "the body came too slowly" : "the head came too slowly");
    drive();
}

// False when `want` is an end, not something to wait for.
bool session::wait_for(io_status want) {
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

void session::wait_read() {
    if (read_waiting_ || phase_ == phase::closed) return;
    read_waiting_ = true;
    descriptor_.async_wait(stranded_descriptor::wait_read,
                           [self = shared_from_this()](const boost::system::error_code& ec) {
                               self->read_waiting_ = false;
                               self->readable_ = true;
                               if (!ec) self->drive();
                           });
}

void session::wait_write() {
    if (write_waiting_ || phase_ == phase::closed) return;
    write_waiting_ = true;
    descriptor_.async_wait(stranded_descriptor::wait_write,
                           [self = shared_from_this()](const boost::system::error_code& ec) {
                               self->write_waiting_ = false;
                               if (!ec) self->drive();
                           });
}

void session::close() {
    if (phase_ == phase::closed) return;
    phase_ = phase::closed;
    gone_.store(true, std::memory_order_release);
    release_body();
    expire_at(never);
    boost::system::error_code ignored;
    descriptor_.close(ignored);
    shared_->leave(peer_.text);
    const auto self = shared_from_this();  // the list may hold the last reference
    shared_->sessions.remove(*this);
    shared_->on_closed();
}

}  // namespace mission::net::detail
