// A teardown report: what was torn down of an ended mission, when and on what evidence, signed with
// the client's key and sent to the transmitter (wire.md section 4, POST /missions/{id}/reports of
// kind `teardown`). Pure.
#pragma once

#include <string>
#include <string_view>

#include "base/error.hpp"
#include "jose/key.hpp"
#include "receiver/teardown/account.hpp"

namespace mission::receiver {

// `typ` of the evidence: a compact JWS whose payload names client, transmitter and mission and has
// the same `detail` as the report.
inline constexpr std::string_view report_typ = "mission-teardown-report+jwt";

// A report as it waits to be sent, and an interim one that was, until the final one follows.
struct report_record {
    mission_key mission;
    std::int64_t version = 0;  // of the mission
    bool complete = false;
    bool sent = false;
    std::string key;   // Idempotency-Key: the same on every try
    std::string body;  // the same on every try; empty once it is sent
    wall_time made{};
    friend bool operator==(const report_record&, const report_record&) = default;
};

struct report_author {
    std::string client_id;
    jose::private_key key;
};

// {"version","effect","complete","since","at","total","acknowledged","released","unconfirmed",
//  "tasks":[{"handler","name"?,"outcome","attempts","at","evidence"?}],"not_listed"}: at most 8
//  KiB,
// with fewer tasks where they would not fit.
std::string report_detail(const teardown_account& a, wall_time now);

// Signs it. `transmitter` is its issuer, `random` fresh for each report. key_unsupported.
result<report_record> make_report(const teardown_account& a, const report_author& by,
                                  const std::string& transmitter, wall_time now,
                                  const std::string& random);

// Where it goes: `reports_url` with "{mission_id}" replaced, or the issuer's own endpoint.
std::string report_url(std::string_view reports_url, std::string_view issuer,
                       std::string_view mission_id);

enum class report_fate {
    sent,
    refused,    // for good: the same again would be refused again
    forbidden,  // we may not report at all, as things are
    absent,     // there is no such endpoint
    later,
};
// `body` is what was answered with.
report_fate fate_of(int status, std::string_view body);

}  // namespace mission::receiver
