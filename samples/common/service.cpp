#include "samples/common/service.hpp"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <future>
#include <stdexcept>
#include <thread>

namespace sample {
namespace {

sigset_t stop_signals() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    return set;
}

std::string now_text() {
    const auto now = std::chrono::system_clock::now();
    const auto ms =
        std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count();
    const std::time_t seconds = static_cast<std::time_t>(ms / 1000);
    std::tm utc{};
    gmtime_r(&seconds, &utc);
    char date[32], out[48];
    std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
    std::snprintf(out, sizeof out, "%s.%03dZ", date, static_cast<int>(ms % 1000));
    return out;
}

}  // namespace

void service_flags::add_to(CLI::App& app) {
    app.add_option("--address", address, "Address to listen on")->capture_default_str();
    app.add_option("--port", port, "Port to listen on; 0: any free one")
        ->check(CLI::Range(0, 65535))
        ->capture_default_str();
    app.add_option("--certificate", certificate, "PEM file, certificate chain")->required();
    app.add_option("--certificate-key", private_key, "PEM file, its private key")->required();
    app.add_option("--token-file", token_file, "Bearer token that callers must present");
}

void block_stop_signals() {
    const sigset_t set = stop_signals();
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    signal(SIGPIPE, SIG_IGN);
}

void log_line(const json_object& line) {
    std::string text = line.str() + "\n";
    std::string_view rest = text;
    while (!rest.empty()) {
        const auto n = ::write(STDOUT_FILENO, rest.data(), rest.size());
        if (n <= 0) return;  // nobody reads the log any more: the service goes on
        rest.remove_prefix(static_cast<std::size_t>(n));
    }
}

json_object event_line(std::string_view program, std::string_view event) {
    json_object line;
    line.add("time", now_text()).add("program", program).add("event", event);
    return line;
}

web_server::web_server(const service_flags& flags)
    : server_(flags.certificate.c_str(), flags.private_key.c_str()) {
    if (!server_.is_valid())
        throw std::runtime_error("cannot use " + flags.certificate + " with " + flags.private_key);
    if (!flags.token_file.empty()) token_ = read_token(flags.token_file);
    SSL_CTX_set_min_proto_version(server_.ssl_context(), TLS1_2_VERSION);
    // Not SO_REUSEPORT, httplib's default: a port in use is an error, not half of the connections.
    server_.set_socket_options([](socket_t listener) {
        const int yes = 1;
        ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        ::fcntl(listener, F_SETFD, FD_CLOEXEC);
    });
    server_.set_tcp_nodelay(true);
    server_.set_keep_alive_max_count(1'000'000'000);
    server_.set_keep_alive_timeout(60);
    server_.set_read_timeout(std::chrono::seconds(10));
    server_.set_payload_max_length(64u << 10);
    // A kept-alive connection holds a thread of this server while it is open.
    server_.new_task_queue = [] { return new httplib::ThreadPool(32); };
    server_.set_exception_handler([name = flags.name](const httplib::Request&,
                                                      httplib::Response& response,
                                                      std::exception_ptr thrown) {
        std::string what = "unknown exception";
        try {
            std::rethrow_exception(thrown);
        } catch (const std::exception& e) {
            what = e.what();
        } catch (...) {
        }
        log_line(event_line(name, "error").add("reason", what));
        refuse(response, 500, "server_error", "internal error");
    });
}

void web_server::Get(const std::string& pattern, httplib::Server::Handler handler) {
    server_.Get(pattern, guarded(pattern, std::move(handler)));
}

void web_server::Post(const std::string& pattern, httplib::Server::Handler handler) {
    server_.Post(pattern, guarded(pattern, std::move(handler)));
}

void web_server::Delete(const std::string& pattern, httplib::Server::Handler handler) {
    server_.Delete(pattern, guarded(pattern, std::move(handler)));
}

httplib::Server::Handler web_server::guarded(const std::string& pattern,
                                             httplib::Server::Handler handler) {
    if (token_.empty() || pattern == "/healthz") return handler;
    return [this, handler = std::move(handler)](const httplib::Request& request,
                                                httplib::Response& response) {
        if (same_secret(bearer_of(request), token_)) return handler(request, response);
        response.set_header("WWW-Authenticate", "Bearer");
        refuse(response, 401, "unauthorized", "a bearer token is needed");
    };
}

int serve(web_server& web, const service_flags& flags, const std::function<void()>& finish) {
    auto& server = web.base();
    int port = flags.port;
    if (port == 0)
        port = server.bind_to_any_port(flags.address);
    else if (!server.bind_to_port(flags.address, port))
        port = -1;
    if (port <= 0)
        throw std::runtime_error("cannot listen on " + flags.address + ":" +
                                 std::to_string(flags.port));
    std::promise<bool> ended;
    auto end = ended.get_future();
    std::thread listener([&server, &ended] {
        ended.set_value(server.listen_after_bind());
        // Should the server end by itself, the thread that waits for a signal goes on as well.
        ::kill(::getpid(), SIGTERM);
    });
    log_line(event_line(flags.name, "listening").add("port", port));
    const sigset_t set = stop_signals();
    int received = 0;
    sigwait(&set, &received);
    server.stop();
    // First step: what is in flight may finish. Idle connections would be waited for as long as
    // they may be kept alive, so the second step does not ask them.
    const bool finished = end.wait_for(std::chrono::seconds(1)) == std::future_status::ready;
    if (finish) finish();
    log_line(event_line(flags.name, "stopped"));
    if (!finished) std::_Exit(0);
    listener.join();
    return end.get() ? 0 : 1;
}

std::unique_ptr<httplib::Client> make_client(const std::string& base_url,
                                             const std::string& ca_file,
                                             const std::string& bearer_token) {
    auto client = std::make_unique<httplib::Client>(base_url);
    if (!client->is_valid()) throw std::runtime_error("not a usable address: " + base_url);
    client->set_ca_cert_path(ca_file);
    client->enable_server_certificate_verification(true);
    client->set_keep_alive(true);
    client->set_tcp_nodelay(true);
    client->set_follow_location(false);
    client->set_connection_timeout(std::chrono::seconds(2));
    client->set_read_timeout(std::chrono::seconds(5));
    if (!bearer_token.empty()) client->set_bearer_token_auth(bearer_token);
    return client;
}

void answer(httplib::Response& response, int status, const json_object& body) {
    response.status = status;
    response.set_header("Cache-Control", "no-store");
    response.set_content(body.str(), "application/json");
}

void refuse(httplib::Response& response, int status, std::string_view code,
            std::string_view reason) {
    json_object body;
    body.add("error", code).add("reason", reason);
    answer(response, status, body);
}

std::string read_token(const std::string& path) {
    std::ifstream in(path);
    std::string token;
    if (!std::getline(in, token) || token.empty())
        throw std::runtime_error("no token can be read from " + path);
    return token;
}

std::string bearer_of(const httplib::Request& request) {
    const std::string value = request.get_header_value("Authorization");
    constexpr std::string_view scheme = "Bearer ";
    return value.starts_with(scheme) ? value.substr(scheme.size()) : std::string();
}

bool same_secret(std::string_view a, std::string_view b) {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

int run_main(CLI::App& app, int argc, char** argv, const std::function<int()>& body) {
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        return app.exit(e) == 0 ? 0 : 2;
    }
    try {
        return body();
    } catch (const std::exception& e) {
        std::fprintf(stderr, "%s: %s\n", app.get_name().c_str(), e.what());
        return 1;
    }
}

}  // namespace sample
