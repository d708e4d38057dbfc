// The host's options, checked and read.
#pragma once

#include <string>

#include "mission_signals/receiver.hpp"
#include "receiver/subscribe/link.hpp"
#include "receiver/subscribe/stream_plan.hpp"

namespace mission::receiver {

// The form alone: ms::setup_error names the option.
void check_options(const ms::options& o);
// Of them those that say who the transmitter is, and who we are.
void check_peer_options(const ms::options& o);

// ms::setup_error when it cannot be read.
std::string read_option_file(const std::string& path, const char* option);
credentials read_credentials(const ms::options& o);
net::client_options client_options_of(const ms::options& o);
// `quirks`: null makes one of the options.
link_options link_options_of(const ms::options& o, std::shared_ptr<quirk_log> quirks = nullptr);

// "127.0.0.1:0", "[::1]:8080".
struct listen_address {
    std::string address;
    std::uint16_t port = 0;
};
listen_address parse_listen(const std::string& text);

// `push_port` replaces "{port}".
wanted_stream make_wanted(const ms::options& o, std::uint16_t push_port);
// The host has asked for events about missions, by name or by naming none.
bool missions_wanted(const ms::options& o);

}  // namespace mission::receiver
