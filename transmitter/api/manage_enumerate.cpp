#include <charconv>

#include "jose/base64url.hpp"
#include "jose/digest.hpp"
#include "transmitter/api/manage.hpp"
#include "transmitter/missions/visibility.hpp"

// Mission Enumeration: signed pages of summaries, of a filter or of what a bulk token pins.

namespace mission::transmitter {
namespace {

// A cursor is of one caller and one filter (and one pinned membership), and opens for no other.
std::string cursor_context(const manage_call& call) {
    return "manage cursor " + call.client.id + " " + hash_of_token(call.request.bulk_token) + " " +
           call.request.filter.canonical;
}

std::string seal_cursor(const manage_call& call, std::int64_t position) {
    return jose::base64url_encode(jose::seal(call.issuer.common->settings.secrets_key,
                                             cursor_context(call), std::to_string(position),
                                             *call.issuer.common->random));
}

// 0 without a cursor.
result<std::int64_t> open_cursor(const manage_call& call) {
    if (call.request.cursor.empty()) return std::int64_t{0};
    const error wrong{errc::invalid_request, "/cursor: not one of this client and this filter"};
    const auto sealed = jose::base64url_decode(call.request.cursor);
    if (!sealed) return wrong;
    const auto plain =
        jose::open_sealed(call.issuer.common->settings.secrets_key, cursor_context(call), *sealed);
    if (!plain) return wrong;
    std::int64_t position = 0;
    const auto [end, failed] =
        std::from_chars(plain->data(), plain->data() + plain->size(), position);
    if (failed != std::errc{} || end != plain->data() + plain->size()) return wrong;
    return position;
}

// Enumeration Response: these members, and no other.
std::string summary(const store::rows& rows, const client_config& client, const store::mission& m) {
    const auto& r = m.record;
    json::buffer buffer;
    json::writer w(buffer);
    const auto relation = [&](std::string_view member, const std::optional<std::string>& id) {
        if (!id) return;
        if (client.missions.what != mission_visibility::kind::all) {
            // Another's mission is not told by being named (wire.md section 3).
            const auto named = rows.find_mission(r.issuer, *id);
            if (!named || !manages(client.missions, named->record)) return;
        }
        json::member(w, member, *id);
    };
    w.StartObject();
    json::member(w, "id", r.mission_id);
    json::member(w, "state", events::name(m.state.state));
    json::key(w, "version");
    w.Int64(m.state.version);
    json::key(w, "subject");
    w.StartObject();
    json::member(w, "iss", r.subject.iss);
    json::member(w, "sub", r.subject.sub);
    w.EndObject();
    json::member(w, "client_id", r.agent_client_id);
    json::member(w, "created_at", to_rfc3339(r.approved_at));
    json::member(w, "expires_at", to_rfc3339(m.state.expires_at));
    relation("successor", m.state.successor);
    relation("predecessor", r.predecessor);
    relation("parent", r.parent);
    w.EndObject();
    return json::text(buffer);
}

void answer_page(const manage_ptr& call, const std::vector<std::string>& summaries,
                 std::optional<std::int64_t> next, wall_time asked_at) {
    manage_outcome out;
    out.kept = true;
    out.claims = manage_claims(*call, asked_at, [&](json::writer& w) {
        json::key(w, "missions");
        w.StartArray();
        for (const auto& s : summaries)
            json::raw(w, s);
        w.EndArray();
        if (next) json::member(w, "cursor", seal_cursor(*call, *next));
    });
    conclude(call, std::move(out), {{"count", std::to_string(summaries.size())}});
}

void of_filter(const manage_ptr& call, std::int64_t after, wall_time asked_at) {
    if (call->request.filter.matches_nothing) return answer_page(call, {}, std::nullopt, asked_at);
    mission_walk walk;
    walk.filter = call->request.filter.rows;
    walk.filter.after = store::mission_row{after};
    walk.want = call->request.limit + 1;  // one more: whether there is any
    walk.render = [call](const store::rows& rows, const store::mission& m) {
        return summary(rows, call->client, m);
    };
    walk_missions(call, std::move(walk),
                  [call, asked_at](result<std::vector<found_mission>> found) {
                      if (!found)
                          return call->respond(manage_error_answer(found.error(), call->nonce));
                      std::optional<std::int64_t> next;
                      if (found->size() > call->request.limit) {
                          found->resize(call->request.limit);
                          next = static_cast<std::int64_t>(found->back().row);
                      }
                      std::vector<std::string> summaries;
                      for (auto& one : *found)
                          summaries.push_back(std::move(one.text));
                      answer_page(call, summaries, next, asked_at);
                  });
}

// ---- The review of a pinned membership.

struct review_page {
    std::vector<std::string> summaries;
    std::vector<store::mission_row> due;
};

void read_review(const manage_ptr& call, const store::bulk_job& job, std::int64_t from, int left) {
    auto page = std::make_shared<review_page>();
    const auto asked_at = call->issuer.common->time->now();
    call->issuer.common->db->read(
        [call, page, id = job.id, from, asked_at](const store::rows& rows) {
            *page = {};
            for (const auto& member : rows.bulk_members(id, from, call->request.limit)) {
                const auto m = rows.find_mission(member.mission);
                if (!m) continue;
                if (is_pending(rows, m->state, asked_at, call->clock_ok))
                    page->due.push_back(m->state.row);
                page->summaries.push_back(summary(rows, call->client, *m));
            }
        },
        [call, page, job, from, left, asked_at](result<void> done) {
            call->issuer.common->runtime->post_work([=] {
                if (!done) return call->respond(manage_error_answer(done.error(), call->nonce));
                if (!page->due.empty() && left == 0)
                    return call->respond(manage_error_answer(errc::unavailable, call->nonce));
                if (!page->due.empty())
                    return settle_rows(call, page->due, [=](result<void> settled) {
                        if (!settled)
                            return call->respond(manage_error_answer(settled.error(), call->nonce));
                        read_review(call, job, from, left - 1);
                    });
                const auto next = from + static_cast<std::int64_t>(page->summaries.size());
                answer_page(call, page->summaries,
                            next < job.total ? std::optional(next) : std::nullopt, asked_at);
            });
        });
}

void of_token(const manage_ptr& call, std::int64_t from) {
    auto job = std::make_shared<std::optional<store::bulk_job>>();
    call->issuer.common->db->read(
        [call, job](const store::rows& rows) {
            *job = rows.find_bulk_job(call->issuer.id, hash_of_token(call->request.bulk_token));
        },
        [call, job, from](result<void> done) {
            call->issuer.common->runtime->post_work([call, job, from, done] {
                if (!done) return call->respond(manage_error_answer(done.error(), call->nonce));
                const auto good =
                    check_review(*job, call->client.id, call->request.filter.canonical,
                                 call->issuer.common->time->now());
                if (!good) return conclude(call, manage_refusal(good.error(), true), {});
                // Before any summary is disclosed.
                check_members(call, **job, [call, job, from](result<void> current) {
                    if (current) return read_review(call, **job, from, 4);
                    if (current.error() == errc::stale_bulk_token)
                        return conclude(call, manage_refusal(current.error(), true), {});
                    call->respond(manage_error_answer(current.error(), call->nonce));
                });
            });
        });
}

}  // namespace

void manage_enumerate(const manage_ptr& call) {
    const auto position = open_cursor(*call);
    if (!position) return conclude(call, manage_refusal(position.error(), true), {});
    if (!call->request.bulk_token.empty()) return of_token(call, *position);
    of_filter(call, *position, call->issuer.common->time->now());
}

}  // namespace mission::transmitter
