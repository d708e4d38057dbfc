// What every door of the broker asks, and how it says no.
#pragma once

#include <mission_signals/receiver.hpp>
#include <string>
#include <string_view>

#include "samples/common/service.hpp"

namespace sample {

// One line per decision.
void log_decision(const char* decision, const std::string& mission,
                  const mission_signals::answer& standing, const char* action,
                  std::string_view reason);

// 403 with the mission's standing, and its line.
void deny(httplib::Response& response, const std::string& mission,
          const mission_signals::answer& standing, const char* action);

// May this mission have that secret, now? When not, the refusal is answered. A mission that is not
// known yet is asked for once, for two seconds at most.
bool may_have(mission_signals::receiver& receiver, const std::string& audience,
              const std::string& mission, const std::string& secret, httplib::Response& response,
              mission_signals::answer& standing);

// 24 hexadecimal digits that nobody can guess.
std::string random_name();

}  // namespace sample
