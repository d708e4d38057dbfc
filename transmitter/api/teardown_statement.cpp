#include "transmitter/api/teardown_statement.hpp"

#include "base/json.hpp"
#include "base/limits.hpp"

namespace mission::transmitter {
namespace {

error differs(std::string_view claim) {
    return {errc::invalid_request,
            "/evidence: its " + std::string(claim) + " is not what the report says"};
}

}  // namespace

result<void> check_teardown_statement(const jose::compact& token, const teardown_claims& report) {
    if (token.typ != teardown_statement_typ) return {};
    if (report.kind != "teardown") return differs("typ");
    const auto claims = json::parse(token.payload, limits::report_evidence_bytes);
    if (!claims || !claims->IsObject()) return error{errc::invalid_request, "/evidence: no claims"};
    for (const auto& [name, expected] :
         {std::pair{"iss", report.client_id}, std::pair{"sub", report.client_id},
          std::pair{"aud", report.issuer}, std::pair{"mission_id", report.mission_id},
          std::pair{"kind", report.kind}})
        if (json::find_string(*claims, name) != expected) return differs(name);
    const auto* said = json::find(*claims, "detail");
    const auto detail = json::parse(report.detail, limits::report_detail_bytes);
    if (!said || !detail || *said != *detail) return differs("detail");
    if (!json::find_int(*claims, "iat")) return differs("iat");
    return {};
}

bool is_teardown_statement(std::string_view evidence) {
    const auto token = jose::parse_compact(evidence, limits::report_evidence_bytes);
    return token && token->typ == teardown_statement_typ;
}

}  // namespace mission::transmitter
