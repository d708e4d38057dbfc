// What a host writes: nothing of ours but the installed headers.
#include <atomic>
#include <future>
#include <iostream>
#include <mission_signals/events.hpp>
#include <mission_signals/receiver.hpp>
#include <thread>
#include <variant>

namespace ms = mission_signals;

namespace {

constexpr auto mission_id = "msn_8RfX2Lqv9TqMv4z7sA2bN1k0YpEdHc9-";

// A handler of events that reads them with their types.
ms::outcome sign_out(const ms::security_event& e) {
    const auto read = ms::events::read(e);
    if (const auto* revoked = std::get_if<ms::events::session_revoked>(&read)) {
        const auto* session = revoked->about.part("session");
        return ms::outcome::done(session ? std::string(session->member("id")) : "all of them");
    }
    if (const auto* odd = std::get_if<ms::events::unreadable>(&read)) {
        return ms::outcome::failed(odd->why);
    }
    return ms::outcome::done("none of ours");
}

// Callbacks run where the host says, and log lines go to its function.
void host_functions(ms::options o) {
    std::atomic<int> lines{0};
    std::atomic<bool> on_our_thread{false};
    std::thread::id ours;
    o.log = [&](ms::log_level, std::string_view text, const std::vector<ms::log_field>&) {
        if (!text.empty()) ++lines;
    };
    std::promise<std::function<void()>> first;
    std::atomic<bool> taken{false};
    o.run = [&](std::function<void()> job) {
        if (!taken.exchange(true)) first.set_value(std::move(job));
    };
    std::thread host([&] { first.get_future().get()(); });
    ours = host.get_id();
    const auto rx = ms::make_receiver(std::move(o));
    rx->start();
    std::promise<ms::answer> answered;
    rx->missions().resolve(mission_id, [&](ms::answer a) {
        on_our_thread = std::this_thread::get_id() == ours;
        answered.set_value(a);
    });
    const auto a = answered.get_future().get();
    host.join();
    rx->stop();
    std::cout << "resolve() = " << name(a.what) << ", on the host's thread: " << on_our_thread
              << ", lines logged: " << (lines > 0) << "\n";
}

}  // namespace

int main() {
    ms::options o;
    o.issuer = "https://localhost:1";
    o.client_id = "embed";
    o.client_secret = "not used";
    host_functions(o);
    auto rx = ms::make_receiver(o);
    rx->on_event("sessions",
                 {"https://schemas.openid.net/secevent/caep/event-type/session-revoked"}, sign_out);
    rx->start();
    const auto a = rx->missions().check(mission_id);
    std::cout << "check() = " << name(a.what) << "\n";

    // The reader itself, as the archive that is installed has it.
    ms::security_event e;
    e.type = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
    e.subject = R"({"format":"complex","session":{"format":"opaque","id":"s-1"}})";
    e.event = R"({"event_timestamp":1700000000})";
    std::cout << "session = " << sign_out(e).evidence << "\n";
    e.event = R"({"event_timestamp":"yesterday"})";
    std::cout << "unreadable = " << name(sign_out(e).kind) << "\n";
    // What the library throws is what its header names, also out of a shared object.
    try {
        (void)ms::make_receiver({});
    } catch (const ms::setup_error&) {
        std::cout << "setup_error\n";
    }
    return a.permitted() ? 1 : 0;
}
