// What a host writes: nothing of ours but the installed headers.
#include <iostream>
#include <mission_signals/events.hpp>
#include <mission_signals/receiver.hpp>
#include <variant>

namespace ms = mission_signals;

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

int main() {
    ms::options o;
    o.issuer = "https://localhost:1";
    o.client_id = "embed";
    o.client_secret = "not used";
    auto rx = ms::make_receiver(o);
    rx->on_event("sessions",
                 {"https://schemas.openid.net/secevent/caep/event-type/session-revoked"}, sign_out);
    rx->start();
    const auto a = rx->missions().check("msn_8RfX2Lqv9TqMv4z7sA2bN1k0YpEdHc9-");
    std::cout << "check() = " << name(a.what) << "\n";

    // The reader itself, as the archive that is installed has it.
    ms::security_event e;
    e.type = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
    e.subject = R"({"format":"complex","session":{"format":"opaque","id":"s-1"}})";
    e.event = R"({"event_timestamp":1700000000})";
    std::cout << "session = " << sign_out(e).evidence << "\n";
    e.event = R"({"event_timestamp":"yesterday"})";
    std::cout << "unreadable = " << name(sign_out(e).kind) << "\n";
    return a.permitted() ? 1 : 0;
}
