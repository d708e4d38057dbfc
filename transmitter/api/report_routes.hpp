// Routes of what is said and kept about missions: reports and the audit (api/reports.cpp,
// api/admin_reports.cpp, api/admin_audit.cpp).
#pragma once

#include "transmitter/api/router.hpp"
#include "transmitter/auth/authenticator.hpp"
#include "transmitter/service.hpp"

namespace mission::transmitter {

void add_report_routes(router& r, issuer_service& issuer, authenticator& auth);
// Both listeners: /admin/reports and /admin/audit.
void add_admin_report_routes(router& r, issuer_service& issuer, authenticator& auth);
void add_admin_audit_route(router& r, issuer_service& issuer, authenticator& auth);

}  // namespace mission::transmitter
