// What every sample service needs: flags, an HTTPS listener, JSON lines as a log, a clean stop.
#pragma once

#include <httplib.h>

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "samples/common/json.hpp"

namespace sample {

struct service_flags {
    std::string name{};  // of the program, first member of each log line
    std::string address = "127.0.0.1";
    int port = 0;
    std::string certificate{}, private_key{};  // PEM files
    std::string token_file{};  // who calls must present this bearer token; empty: anyone
    void add_to(CLI::App& app);
};

// Call first in main, before any thread starts: SIGTERM and SIGINT are taken by serve() alone.
void block_stop_signals();

// One line on standard output, in one write, so that lines of several threads do not mix.
void log_line(const json_object& line);
// {"time":..,"program":..,"event":..}: to be completed by the caller.
json_object event_line(std::string_view program, std::string_view event);

// An HTTPS server with connections kept alive, small bodies and short deadlines. Every request but
// GET /healthz needs the bearer token of `flags.token_file`. It is asked for after the body has
// been read: httplib leaves an unread body in the connection, as the start of the next request.
class web_server {
  public:
    explicit web_server(const service_flags& flags);  // runtime_error when it cannot
    void Get(const std::string& pattern, httplib::Server::Handler handler);
    void Post(const std::string& pattern, httplib::Server::Handler handler);
    void Delete(const std::string& pattern, httplib::Server::Handler handler);
    httplib::SSLServer& base() noexcept { return server_; }

  private:
    httplib::Server::Handler guarded(const std::string& pattern, httplib::Server::Handler handler);
    httplib::SSLServer server_;
    std::string token_;  // empty: anyone
};

// Binds, logs {"event":"listening","port":N} and serves until SIGTERM or SIGINT, then calls
// `finish`. Requests in flight have a second to end. The exit status of main; it may end the
// program itself.
int serve(web_server& web, const service_flags& flags, const std::function<void()>& finish = {});

// A client of another sample service, one connection kept alive, `ca_file` its only trust anchor.
// Not thread safe: one per thread, or under a lock.
std::unique_ptr<httplib::Client> make_client(const std::string& base_url,
                                             const std::string& ca_file,
                                             const std::string& bearer_token);

void answer(httplib::Response& response, int status, const json_object& body);
// {"error":code,"reason":sentence}
void refuse(httplib::Response& response, int status, std::string_view code,
            std::string_view reason);

// The first line of a file (a token); runtime_error when it cannot be read or is empty.
std::string read_token(const std::string& path);
std::string bearer_of(const httplib::Request& request);
// Same octets, in time that does not tell where they differ.
bool same_secret(std::string_view a, std::string_view b);

// `main` of a sample: parses, runs, prints what went wrong in one line; exit status 2 for usage.
int run_main(CLI::App& app, int argc, char** argv, const std::function<int()>& body);

}  // namespace sample
