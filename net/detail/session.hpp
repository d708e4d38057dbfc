// One accepted connection and what all connections of a server share. Private to net.
//
// Lifetime: the watch list owns a session until it closes; pending waits and, weakly, responders
// refer to it. THREAD: a session's methods run on its strand, except where said.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/strand.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "net/detail/channel.hpp"
#include "net/detail/parser.hpp"
#include "net/detail/watch_list.hpp"
#include "net/server.hpp"

namespace mission::net::detail {

using strand_type = boost::asio::strand<boost::asio::io_context::executor_type>;
using stranded_descriptor = boost::asio::posix::basic_stream_descriptor<strand_type>;

struct server_shared {
    server_shared(boost::asio::io_context& c, server_options o, http_handler& h)
        : context(c), options(std::move(o)), handler(h) {}

    boost::asio::io_context& context;
    const server_options options;
    http_handler& handler;
    watch_list sessions;
    std::atomic<bool> stopping{false};
    std::function<void()> on_closed;  // set once, before the first session; any strand

    // Octets of bodies that have begun and not ended.
    std::atomic<std::size_t> unfinished{0};
    std::atomic<std::uint64_t> accepted{0}, refused{0}, requests{0}, timeouts{0}, tls_failures{0},
        bad_requests{0};

    // False when that address has its share already.
    bool enter(const std::string& address);
    void leave(const std::string& address);
    ssl_context certificate() const;
    void certificate(ssl_context c);

  private:
    mutable std::mutex mutex_;
    std::unordered_map<std::string, std::size_t> per_address_;
    ssl_context certificate_;
};

struct peer_address {
    std::string text;
    std::uint16_t port = 0;
    bool loopback = false;
};

class session final : public watched, public std::enable_shared_from_this<session> {
  public:
    // Takes over the connected, non-blocking `fd`.
    session(std::shared_ptr<server_shared> shared, int fd, peer_address peer);
    ~session() override;

    // THREAD: these four from any thread; they post.
    void start();
    void deadline_passed() override;
    void stop_when_idle();
    void abort();

    // THREAD: any. The answer to exchange number `exchange`; ignored when that is over.
    void respond(std::uint64_t exchange, http_response r);
    bool gone() const noexcept { return gone_.load(std::memory_order_acquire); }

  private:
    enum class phase {
        sniffing,     // which protocol does the first octet speak?
        handshake,    // TLS
        request,      // idle, or reading head or body
        dispatching,  // a request is complete
        handling,     // the handler has it
        writing,
        lingering,  // the answer is out, the peer still sends
        closed,
    };

    void drive();
    bool step();  // true: again
    bool sniff();
    bool shake_hands();
    bool read_request();
    void parsed(parse_status status);
    bool hold_body();  // false: there is no room for so much of it
    void release_body() noexcept;
    void dispatch();
    bool may_read();
    bool watch_peer();
    bool write();
    bool linger();
    void written();

    void answer(std::uint64_t exchange, http_response r);
    void refuse(int status, std::string_view what, std::string_view description);
    void begin_answer(const http_response& r);
    void on_deadline();
    void begin_request();
    void wait_read();
    void wait_write();
    bool wait_for(io_status want);
    void finish_then_close();
    void close();

    std::shared_ptr<server_shared> shared_;
    strand_type strand_;
    stranded_descriptor descriptor_;
    channel channel_;
    peer_address peer_;
    std::string peer_certificate_;
    request_parser parser_;

    phase phase_ = phase::sniffing;
    std::string input_;    // read but not yet parsed
    bool starved_ = true;  // `input_` is not enough for the next step
    bool in_message_ = false;
    bool in_body_ = false;
    std::size_t held_ = 0;  // of `unfinished`
    std::string output_;
    std::size_t sent_ = 0;
    bool close_after_ = false;
    bool continue_after_ = false;  // what is being written is "100 Continue"
    bool linger_after_ = false;
    bool head_only_ = false;
    std::size_t drained_ = 0;
    std::uint64_t exchange_ = 0;  // counts requests; an answer names the one it is for
    bool driving_ = false;
    bool read_waiting_ = false;
    bool write_waiting_ = false;
    bool readable_ = false;  // a read is likely to find something
    bool peer_ended_ = false;
    std::atomic<bool> gone_{false};
};

}  // namespace mission::net::detail
