// What the parts of the configuration reader share: the generic reader, and each other's entries.
#pragma once

#include <string>

#include "settings/section.hpp"
#include "transmitter/config/read_config.hpp"

namespace mission::transmitter {

using settings::parse_toml;
using settings::read_text_file;
using settings::section;
using settings::setting;

// [auth] and its [[auth.issuer]].
void read_auth(section s, const std::string& file, const environment& env, config& c);
// [missions]: rates, bounds, status lists.
void read_missions_section(section s, config& c);
// [[report_rule]]; after the issuers and clients that it names.
void read_report_rules(setting* list, const std::string& file, const environment& env, config& c);
// [[authorization_type]].
void read_authorization_types(setting* list, const std::string& file, const environment& env,
                              config& c);
// [[foreign_event]]; after [ssf], before the clients.
void read_foreign_events(setting* list, const std::string& file, const environment& env, config& c);
// [[client]]; last, for it names issuers, token issuers and event types.
void read_clients(setting* list, const std::string& file, const environment& env, config& c);

}  // namespace mission::transmitter
