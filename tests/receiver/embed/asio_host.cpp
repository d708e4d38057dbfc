// A host that has Asio already: its pool for our callbacks, coroutines for our answers.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <exception>
#include <iostream>
#include <mission_signals/asio.hpp>
#include <thread>

namespace asio = boost::asio;
namespace ms = mission_signals;

namespace {

constexpr auto mission_id = "msn_8RfX2Lqv9TqMv4z7sA2bN1k0YpEdHc9-";

asio::awaitable<void> ask(ms::receiver& rx, std::thread::id loop) {
    const auto a = co_await ms::async_resolve(rx, mission_id, asio::use_awaitable);
    std::cout << "awaited = " << name(a.what)
              << ", in the context: " << (std::this_thread::get_id() == loop) << "\n";
    const auto c = co_await ms::async_confirm(rx, mission_id, asio::use_awaitable);
    std::cout << "confirmed = " << c.permitted() << ", said why: " << !c.error.empty() << "\n";
}

}  // namespace

int main() {
    asio::thread_pool pool(2);
    ms::options o;
    o.issuer = "https://localhost:1";
    o.client_id = "embed";
    o.client_secret = "not used";
    o.run = ms::on(pool.get_executor());
    const auto rx = ms::make_receiver(std::move(o));
    rx->start();

    // Nothing but the answers that are due keeps run() from returning.
    asio::io_context context;
    asio::co_spawn(context, ask(*rx, std::this_thread::get_id()), [](std::exception_ptr e) {
        if (e) std::rethrow_exception(e);
    });
    context.run();

    // Any token: a future, a plain function (which completes on a thread of Asio's own).
    auto future = ms::async_resolve(*rx, mission_id, asio::use_future);
    std::cout << "future = " << name(future.get().what) << "\n";
    rx->stop();
    pool.join();
}
