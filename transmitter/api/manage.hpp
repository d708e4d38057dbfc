// POST /mission/manage (draft-mcguinness-oauth-mission-management): what its parts share. Not a
// header for others.
//
//   manage.cpp            reads, authenticates, authorises; asks whether the nonce is known
//   manage_enumerate.cpp  pages of summaries; the review of a pinned membership
//   manage_bulk.cpp       dry run: pins;  execute: consumes the token and hands on to the
//   bulk_runner           member by member, in paced steps, whoever still waits or not
//   manage_walk.cpp       the missions of a filter, settled
//   manage_outcomes.cpp   commits what came of a request, answers, keeps it for a repetition
//   manage_answers.cpp    what answers look like;  manage_manifest.cpp: that of an execution
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "transmitter/api/bulk_runner.hpp"
#include "transmitter/api/mission_views.hpp"
#include "transmitter/missions/management.hpp"

namespace mission::transmitter {

// What a request says of itself, read leniently: for the audit of those that are refused, too.
struct manage_subject {
    std::string operation, mode;  // empty: none that could be kept
    std::string filter;           // JSON text
    std::string why;              // purpose or reason
};

// One request on its way, from an authenticated client.
struct manage_call {
    issuer_service& issuer;
    const client_config& client;
    std::shared_ptr<bulk_runner> runner;
    manage_subject subject;
    manage_request request;
    std::string nonce, request_hash, txn;
    store::audit_entry audit;  // actor, origin, action
    bool clock_ok = true;
    net::responder respond;
};
using manage_ptr = std::shared_ptr<const manage_call>;

// What came of it: the claims of a signed answer, or a refusal.
struct manage_outcome {
    std::string claims;      // JSON text, without the bulk token
    std::string bulk_token;  // of a dry run; kept sealed
    std::string job;         // an execution: token_hash of its job, whose rows are the manifest
    error refused;
    bool kept = false;  // whoever asks again with the nonce is answered the same
};
manage_outcome manage_refusal(error why, bool kept);

// Members of an audit's detail beside those of the request: JSON texts.
using detail_members = std::vector<std::pair<std::string, std::string>>;
std::string manage_detail(const manage_subject& subject, const detail_members& more);

// Envelope of an answer that was true at `now`, then what `members` writes.
std::string manage_claims(const manage_call& call, wall_time now,
                          const std::function<void(json::writer&)>& members);

// Commits the audit entry, the outcome under its nonce and what `also` adds, then answers. A
// refusal by `also` is the outcome then. When the nonce was used meanwhile, only the audit is
// written, and that first answer given.
using also_commit = std::function<result<void>(const store::rows&, wall_time now, store::changes&)>;
void conclude(const manage_ptr& call, manage_outcome out, detail_members detail,
              also_commit also = {});
// The answer to a nonce that is known: the kept one. invalid_request: used with another request.
void answer_known(const manage_ptr& call, const store::nonce_record& known);
// The manifest of a job that is not running any more, signed; unavailable when it is.
void answer_manifest(const manage_ptr& call, const std::string& token_hash);
// Signs on the calling thread (a worker) and answers.
void answer_signed_claims(const manage_call& call, const std::string& claims);
// {error, error_description, nonce}. nonce empty: it is not known.
net::http_response manage_error_answer(const error& e, std::string_view nonce);

// The missions of a filter within the caller's scope, in the order of their rows.
struct found_mission {
    store::mission_row row{};
    std::string text;  // what `render` made of it
};
struct mission_walk {
    store::mission_filter filter;  // from `after` on
    std::size_t want = 0;          // ends once so many were found
    // What a filter or a reader can see of states must be settled first (I12).
    bool settled = true;
    std::function<std::string(const store::rows&, const store::mission&)> render;  // may be null
};
void walk_missions(const manage_ptr& call, mission_walk walk,
                   std::function<void(result<std::vector<found_mission>>)> done);
// Writes what clock and families owe these rows: at most limits::list_page of them.
void settle_rows(const manage_ptr& call, std::vector<store::mission_row> rows,
                 std::function<void(result<void>)> done);
// Whether every member of a job is still within the caller's scope; stale_bulk_token otherwise.
void check_members(const manage_ptr& call, const store::bulk_job& job,
                   std::function<void(result<void>)> done);

void manage_enumerate(const manage_ptr& call);
void manage_dry_run(const manage_ptr& call);
void manage_execute(const manage_ptr& call);

std::string hash_of_token(std::string_view bulk_token);

void add_manage_route(router& r, issuer_service& issuer, authenticator& auth,
                      std::shared_ptr<bulk_runner> runner);

}  // namespace mission::transmitter
