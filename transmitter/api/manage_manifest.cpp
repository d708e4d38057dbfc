#include "transmitter/api/manage.hpp"
#include "transmitter/missions/bulk_step.hpp"

// Outcome Manifest: an outcome for each member, read from the job's rows in pages.

namespace mission::transmitter {
namespace {

struct manifest {
    manage_ptr call;
    store::bulk_job job;
    json::buffer buffer;
    json::writer writer{buffer};
    std::int64_t next = 0;
};

void write_member(json::writer& w, const store::rows& rows, const store::bulk_member& member) {
    const auto m = rows.find_mission(member.mission);
    w.StartObject();
    json::member(w, "mission_id", m ? m->record.mission_id : std::string());
    json::member(w, "outcome", member.outcome);
    if (member.outcome == name(bulk_outcome::error) && !member.detail.empty())
        json::member(w, "detail", member.detail);
    w.EndObject();
}

void finish_manifest(const std::shared_ptr<manifest>& m) {
    m->writer.EndArray();
    const auto execution = parse_execution(m->job.execution);
    const auto operation = operation_of(m->job);
    if (!execution || !operation)
        return m->call->respond(manage_error_answer(errc::unavailable, m->call->nonce));
    answer_signed_claims(
        *m->call, manage_claims(*m->call, from_numeric_date(execution->iat), [&](json::writer& w) {
            json::member(w, "operation", name(operation->what));
            json::key(w, "results");
            json::raw(w, json::text(m->buffer));
        }));
}

void read_manifest(const std::shared_ptr<manifest>& m) {
    m->call->issuer.common->db->read(
        [m](const store::rows& rows) {
            for (const auto& member : rows.bulk_members(m->job.id, m->next, limits::list_page)) {
                write_member(m->writer, rows, member);
                m->next = member.position + 1;
            }
        },
        [m](result<void> done) {
            m->call->issuer.common->runtime->post_work([m, done] {
                if (!done)
                    return m->call->respond(manage_error_answer(done.error(), m->call->nonce));
                if (m->next < m->job.total) return read_manifest(m);
                finish_manifest(m);
            });
        });
}

}  // namespace

void answer_manifest(const manage_ptr& call, const std::string& token_hash) {
    auto m = std::make_shared<manifest>();
    m->call = call;
    call->issuer.common->db->read(
        [m, token_hash](const store::rows& rows) {
            if (auto job = rows.find_bulk_job(m->call->issuer.id, token_hash))
                m->job = std::move(*job);
        },
        [m](result<void> done) {
            m->call->issuer.common->runtime->post_work([m, done] {
                if (!done || m->job.status != store::bulk_status::done)
                    return m->call->respond(manage_error_answer(errc::unavailable, m->call->nonce));
                m->writer.StartArray();
                if (m->job.total == 0) return finish_manifest(m);
                read_manifest(m);
            });
        });
}

}  // namespace mission::transmitter
