// What a host writes: nothing of ours but the installed header.
#include <iostream>
#include <mission_signals/receiver.hpp>

int main() {
    mission_signals::options o;
    o.issuer = "https://localhost:1";
    o.client_id = "embed";
    o.client_secret = "not used";
    auto rx = mission_signals::make_receiver(o);
    rx->start();
    const auto a = rx->missions().check("msn_8RfX2Lqv9TqMv4z7sA2bN1k0YpEdHc9-");
    std::cout << "check() = " << name(a.what) << "\n";
    return a.permitted() ? 1 : 0;
}
