// One request of the client, from the URL to the answer, and what all of them share.
//
// Lifetime: the watch list owns an exchange until it is finished. THREAD: an exchange runs on its
// own strand; a connection belongs to one exchange or to the idle pool, never to both.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/strand.hpp>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "net/client.hpp"
#include "net/detail/channel.hpp"
#include "net/detail/lookups.hpp"
#include "net/detail/parser.hpp"
#include "net/detail/watch_list.hpp"

namespace mission::net::detail {

using strand_type = boost::asio::strand<boost::asio::io_context::executor_type>;
using plain_descriptor =
    boost::asio::posix::basic_stream_descriptor<boost::asio::io_context::executor_type>;

struct client_connection {
    client_connection(boost::asio::io_context& context, int fd)
        : descriptor(context.get_executor(), fd), io(fd) {}
    plain_descriptor descriptor;
    channel io;
    std::int64_t idle_since = 0;
    bool reused = false;
};

class exchange;

struct client_shared {
    client_shared(runtime& r, client_options o)
        : context(*static_cast<boost::asio::io_context*>(r.native())),
          options(std::move(o)),
          names(options.names ? options.names : system_resolver()) {}

    boost::asio::io_context& context;
    const client_options options;
    lookups names;
    ssl_context tls;
    watch_list exchanges;
    std::atomic<bool> stopped{false};
    std::function<void()> on_busy;  // the sweep must run; any thread

    // The connection used last that is still alive, or null.
    std::unique_ptr<client_connection> take(const std::string& origin);
    void give_back(const std::string& origin, std::unique_ptr<client_connection> c);
    // Closes what has been idle for too long, or everything. How many are left.
    std::size_t trim(bool everything);

  private:
    std::mutex mutex_;
    std::unordered_map<std::string, std::vector<std::unique_ptr<client_connection>>> idle_;
};

class exchange final : public watched, public std::enable_shared_from_this<exchange> {
  public:
    using completion = std::function<void(result<http_response>)>;
    exchange(std::shared_ptr<client_shared> shared, client_request request, completion done);

    // THREAD: any of these three from any thread.
    void start();
    void cancel();
    void deadline_passed() override;
    // When the network threads have ended: finishes right here.
    void abandon();

  private:
    enum class phase { resolving, connecting, handshake, sending, receiving, finished };

    void begin();
    void resolve();
    void resolved(lookups::addresses addresses);
    void connect_next();
    void connected();
    void send_request();
    void format_request();

    void drive();
    bool step();
    bool shake_hands();
    bool write_some();
    bool read_some();
    void feed(std::string_view data);
    void answered();
    void broken(error why);
    void on_deadline();
    void finish(result<http_response> r);
    void wait_read();
    void wait_write();
    bool wait_for(io_status want);

    std::shared_ptr<client_shared> shared_;
    strand_type strand_;
    client_request request_;
    completion done_;
    url url_;
    std::string origin_;
    std::int64_t total_deadline_ = never;

    phase phase_ = phase::resolving;
    std::vector<std::string> addresses_;
    std::size_t next_address_ = 0;
    std::optional<error> last_failure_;
    std::unique_ptr<client_connection> connection_;
    std::uint64_t generation_ = 0;  // counts connections: a wait for an earlier one is void
    bool read_waiting_ = false;
    bool write_waiting_ = false;
    bool driving_ = false;

    std::string output_;
    std::size_t sent_ = 0;
    bool send_failed_ = false;
    bool retried_ = false;
    std::string input_;
    bool got_octets_ = false;
    unsigned interim_answers_ = 0;
    std::optional<response_parser> parser_;
};

}  // namespace mission::net::detail
