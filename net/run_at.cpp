#include "net/run_at.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <utility>

namespace mission::net {

void run_at(runtime& rt, std::chrono::steady_clock::time_point when, std::function<void()> fn) {
    auto& context = *static_cast<boost::asio::io_context*>(rt.native());
    auto timer = std::make_shared<boost::asio::steady_timer>(context, when);
    auto& waiting = *timer;
    waiting.async_wait(
        [timer = std::move(timer), fn = std::move(fn)](const boost::system::error_code& ec) {
            if (!ec) fn();
        });
}

}  // namespace mission::net
