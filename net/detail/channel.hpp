// One connected socket, with or without TLS, as non-blocking steps that say what to wait for.
//
// No Asio in here: the session and the exchange own the descriptor and do the waiting, this class
// does the reading and writing. A channel is used by one thread at a time (its owner's strand).
#pragma once

#include <openssl/ssl.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace mission::net::detail {

struct ssl_deleter {
    void operator()(SSL* s) const noexcept { SSL_free(s); }
};
using ssl_ptr = std::unique_ptr<SSL, ssl_deleter>;
using ssl_context = std::shared_ptr<SSL_CTX>;

enum class io_status {
    done,
    want_read,   // wait until readable, then call again
    want_write,  // wait until writable, then call again
    closed,      // the peer ended its side in an orderly way
    failed,      // reset, truncated TLS, protocol violation; see reason()
};

struct io_result {
    io_status status = io_status::failed;
    std::size_t size = 0;
};

class channel {
  public:
    channel() = default;
    explicit channel(int fd) : fd_(fd) {}

    // From here on everything goes through TLS. False when OpenSSL has no memory.
    bool start_tls(const ssl_context& context, bool server);
    bool tls() const noexcept { return ssl_ != nullptr; }
    SSL* native() const noexcept { return ssl_.get(); }

    io_result handshake();
    io_result read(char* to, std::size_t size);
    // May write a part only; `size` says how much.
    io_result write(std::string_view from);
    // Tells the peer that no more comes: close_notify, then FIN. Never blocks.
    void finish() noexcept;
    // Takes no more application data, only empties the socket, so that closing it does not reset
    // the answer the peer is still reading.
    io_result drain() noexcept;
    // Octets that TLS has read ahead: waiting for readability would miss them.
    bool buffered() const noexcept { return ssl_ && SSL_has_pending(ssl_.get()) != 0; }
    // An idle connection is alive when nothing can be read from it.
    bool silent() const noexcept;
    // The certificate of the peer in DER, if it passed what the context verifies; else empty.
    std::string peer_certificate() const;
    // Why the last step failed: one sentence without secrets.
    const std::string& reason() const noexcept { return reason_; }

  private:
    io_result tls_status(int returned);

    int fd_ = -1;
    ssl_ptr ssl_;
    std::string reason_;
};

}  // namespace mission::net::detail
