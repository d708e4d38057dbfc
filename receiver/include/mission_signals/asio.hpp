// For hosts that have Boost.Asio already: their threads for our callbacks, and calls that any
// completion token takes.
//
//   options.run = mission_signals::on(pool.get_executor());
//   answer a = co_await mission_signals::async_resolve(*rx, id, boost::asio::use_awaitable);
//
// Header only, and for the static library: it has Boost inside, and host and library have to be
// built with the same one. A host with another uses the shared library or the C ABI, with the same
// header for its own Asio; nothing of Asio crosses the boundary.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/system_executor.hpp>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "mission_signals/receiver.hpp"

namespace mission_signals {

// Handlers and callbacks as jobs of a host's executor, for options::run. They block: the executor
// should be a thread pool's, or that of a context with threads to spare. It has to outlive the
// receiver. THREAD: any.
inline executor on(boost::asio::any_io_executor where) {
    return [where = std::move(where)](std::function<void()> job) {
        boost::asio::post(where, std::move(job));
    };
}

namespace detail {

// Takes the answer on our thread, and completes where the handler wants it. The handler's executor
// is kept busy meanwhile, so that its context does not run out of work.
template <class Answer, class Handler>
std::function<void(Answer)> complete_with(Handler handler) {
    namespace asio = boost::asio;
    auto where = asio::prefer(
        asio::get_associated_executor(handler, asio::any_io_executor(asio::system_executor())),
        asio::execution::outstanding_work.tracked);
    struct waiting {
        Handler handler;
        decltype(where) executor;
    };
    // std::function is copied, and a handler may not be.
    auto state = std::make_shared<waiting>(waiting{std::move(handler), std::move(where)});
    return [state](Answer come) {
        auto executor = state->executor;
        asio::post(executor, [state, come = std::move(come)]() mutable {
            auto call = std::move(state->handler);
            std::move(call)(std::move(come));
        });
    };
}

}  // namespace detail

// resolve(): completes once with an answer; a failure of Status leaves the denial as it is. It
// cannot be cancelled: a host that waits no longer ignores what comes (`token || timer`). When the
// receiver is stopped first and the host's executor has not run the job, it completes no more.
template <class CompletionToken>
auto async_resolve(receiver& rx, std::string mission_id, CompletionToken&& token,
                   bool force = false) {
    return boost::asio::async_initiate<CompletionToken, void(answer)>(
        [&rx, force](auto completion, std::string id) {
            rx.missions().resolve(id, detail::complete_with<answer>(std::move(completion)), force);
        },
        token, std::move(mission_id));
}

// confirm(), in the same way.
template <class CompletionToken>
auto async_confirm(receiver& rx, std::string mission_id, CompletionToken&& token) {
    return boost::asio::async_initiate<CompletionToken, void(confirmation)>(
        [&rx](auto completion, std::string id) {
            rx.missions().confirm(id, detail::complete_with<confirmation>(std::move(completion)));
        },
        token, std::move(mission_id));
}

}  // namespace mission_signals
