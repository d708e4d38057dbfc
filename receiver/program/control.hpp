// The control socket: what a command line asks a running instance, over HTTP on a Unix socket.
//
//   GET    /status                          how the stream is, and the counters
//   GET    /missions · /missions/{id}       what is known; ?resolve=1 asks Mission Status first
//   GET    /metrics                         the same for Prometheus
//   GET    /tasks[?all=1][&mission_id=][&handler=]   teardown tasks
//   POST   /tasks/retry {"key"} | {"mission_id"?, "handler"?, "all"?}   now, instead of later
//   GET    /holds[?mission_id=]             what is held
//   POST   /holds {"mission_id","name","data"}   201, or 409 when the mission is not permitted
//   DELETE /holds?mission_id=&name=         204
//
// Whoever may open the socket may do all of it: it belongs to the instance's user and group.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/error.hpp"
#include "mission_signals/receiver.hpp"
#include "net/http.hpp"
#include "net/runtime.hpp"

namespace mission::receiver::program {

// `rx` and `rt` outlive the handler; blocking calls run on workers of `rt`.
std::unique_ptr<net::http_handler> make_control_handler(mission_signals::receiver& rx,
                                                        net::runtime& rt);

struct control_answer {
    int status = 0;
    std::string body;
};
// One request, waited for at most `limits`' time of a client. not_found: nobody listens there.
result<control_answer> ask_control(const std::string& socket_path, const std::string& method,
                                   const std::string& target, const std::string& body = {});

}  // namespace mission::receiver::program
