// missionctl: missions and streams from the shell. Exit status: 0 done, 1 refused or failed, 2
// usage.
#include <cstdio>
#include <iostream>
#include <thread>

#include "tools/missionctl/commands.hpp"

namespace tools = mission::tools;

int main(int argc, char** argv) {
    const auto parsed = tools::parse_command_line(std::vector<std::string>(argv + 1, argv + argc));
    if (const auto* u = std::get_if<tools::usage>(&parsed)) {
        (u->status == 0 ? std::cout : std::cerr) << u->text;
        return u->status;
    }
    const auto& typed = std::get<tools::invocation>(parsed);
    const auto fail = [](const mission::error& e) {
        std::cerr << "missionctl: " << (e.detail.empty() ? e.message() : e.detail) << "\n";
        // What was typed was wrong, or what the transmitter did with it.
        return e.code == mission::errc::bad_configuration ? 2 : 1;
    };
    auto settings = tools::load_settings(typed);
    if (!settings) return fail(settings.error());
    auto http = tools::make_blocking_http(settings->ca_pem);
    if (!http) return fail(http.error());
    auto session = tools::session::open(
        std::move(*settings), std::move(*http), mission::system_clock(),
        [](std::chrono::milliseconds pause) { std::this_thread::sleep_for(pause); });
    if (!session) return fail(session.error());
    return tools::run_command(typed, **session, std::cin, std::cout, std::cerr,
                              mission::system_clock().now());
}
