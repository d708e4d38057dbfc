#include <algorithm>

#include "jose/base64url.hpp"
#include "jose/digest.hpp"
#include "transmitter/api/manage.hpp"

namespace mission::transmitter {
namespace {

// A deadline may pass between writing and reading again; more often than this is a broken clock.
constexpr int tries = 4;
// Rows looked at in one snapshot: at least so many, however few are wanted.
constexpr std::size_t least_rows = 100;

// Whether nobody at all is pending: then what the store's own filter sees of states is true.
bool nothing_pending(const store::rows& rows, wall_time now, bool clock_ok) {
    if (!rows.cascades(1).empty()) return false;
    const auto next = clock_ok ? rows.next_deadline() : std::nullopt;
    return !next || *next > now;
}

class walker : public std::enable_shared_from_this<walker> {
  public:
    using walked = std::function<void(result<std::vector<found_mission>>)>;
    walker(manage_ptr call, mission_walk walk, walked done)
        : call_(std::move(call)), walk_(std::move(walk)), done_(std::move(done)) {}

    // THREAD: a worker, one at a time.
    void step() {
        auto page = std::make_shared<rows_seen>();
        call_->issuer.common->db->read(
            [self = shared_from_this(), page](const store::rows& rows) {
                *page = {};
                self->look(rows, *page);
            },
            [self = shared_from_this(), page](result<void> done) {
                self->call_->issuer.common->runtime->post_work(
                    [self, page, done] { self->looked(*page, done); });
            });
    }

  private:
    struct rows_seen {
        std::vector<found_mission> found;
        std::vector<store::mission_row> due;
        store::mission_row last{};
        bool end = false;
    };

    // THREAD: a reader's.
    void look(const store::rows& rows, rows_seen& page) const {
        const auto& issuer = call_->issuer;
        const auto now = issuer.common->time->now();
        const bool quiet = !walk_.settled || nothing_pending(rows, now, call_->clock_ok);
        auto f = walk_.filter;
        f.after = after_;
        f.limit = std::clamp(walk_.want - found_.size(), least_rows, limits::list_page);
        if (!quiet) {
            // Judged below, of those that are settled.
            f.states.clear();
            f.expires_before.reset();
        }
        const auto list = rows.list_missions(issuer.id, f);
        page.end = list.size() < f.limit;
        page.last = list.empty() ? after_ : list.back().state.row;
        for (const auto& m : list) {
            if (!manages(call_->client.missions, m.record)) continue;
            if (!quiet && is_pending(rows, m.state, now, call_->clock_ok))
                page.due.push_back(m.state.row);
            else if (quiet || matches(m.state))
                page.found.push_back(
                    {m.state.row, walk_.render ? walk_.render(rows, m) : std::string()});
        }
    }

    bool matches(const store::mission_state& s) const {
        const auto& f = walk_.filter;
        if (f.expires_before && s.expires_at >= *f.expires_before) return false;
        return f.states.empty() ||
               std::find(f.states.begin(), f.states.end(), s.state) != f.states.end();
    }

    void looked(rows_seen& page, const result<void>& done) {
        if (!done) return done_(done.error());
        if (!page.due.empty()) {
            if (++tried_ > tries)
                return done_(error{errc::unavailable, "missions cannot be settled"});
            return settle_rows(call_, std::move(page.due),
                               [self = shared_from_this()](result<void> settled) {
                                   if (!settled) return self->done_(settled.error());
                                   self->step();
                               });
        }
        tried_ = 0;
        std::move(page.found.begin(), page.found.end(), std::back_inserter(found_));
        after_ = page.last;
        if (page.end || found_.size() >= walk_.want) return done_(std::move(found_));
        step();
    }

    const manage_ptr call_;
    const mission_walk walk_;
    const walked done_;
    std::vector<found_mission> found_;
    store::mission_row after_ = walk_.filter.after;
    int tried_ = 0;
};

// Reads on from member `from`, page after page.
void check_from(const manage_ptr& call, std::int64_t job, std::int64_t from,
                std::function<void(result<void>)> done) {
    struct seen {
        std::int64_t next = -1;
        bool stale = false;
    };
    auto page = std::make_shared<seen>();
    call->issuer.common->db->read(
        [call, job, from, page](const store::rows& rows) {
            const auto members = rows.bulk_members(job, from, limits::list_page);
            for (const auto& member : members) {
                const auto m = rows.find_mission(member.mission);
                if (!m || !manages(call->client.missions, m->record)) page->stale = true;
            }
            if (!members.empty()) page->next = members.back().position + 1;
        },
        [call, job, page, done = std::move(done)](result<void> read) {
            call->issuer.common->runtime->post_work([call, job, page, done, read] {
                if (!read) return done(read.error());
                if (page->stale)
                    return done(error{errc::stale_bulk_token,
                                      "the membership has left this client's scope"});
                if (page->next < 0) return done({});
                check_from(call, job, page->next, done);
            });
        });
}

}  // namespace

void walk_missions(const manage_ptr& call, mission_walk walk,
                   std::function<void(result<std::vector<found_mission>>)> done) {
    std::make_shared<walker>(call, std::move(walk), std::move(done))->step();
}

void settle_rows(const manage_ptr& call, std::vector<store::mission_row> rows_to_settle,
                 std::function<void(result<void>)> done) {
    call->issuer.common->db->submit(
        [call, due = std::move(rows_to_settle)](const store::rows& rows,
                                                wall_time now) -> result<store::changes> {
            settlement s(rows, context_of(call->issuer, rows, call->txn, now), call->clock_ok);
            for (const auto row : due)
                s.settle(row);
            return s.take();
        },
        [call, done = std::move(done)](result<store::receipt> written) {
            call->issuer.common->runtime->post_work([done, written] {
                done(written ? result<void>() : result<void>(written.error()));
            });
        });
}

void check_members(const manage_ptr& call, const store::bulk_job& job,
                   std::function<void(result<void>)> done) {
    // Tenant and agent of a mission never change: only the client's entry can have.
    if (call->client.missions.what == mission_visibility::kind::all) return done({});
    check_from(call, job.id, 0, std::move(done));
}

std::string hash_of_token(std::string_view bulk_token) {
    return jose::base64url_encode(jose::view(jose::sha256(bulk_token)));
}

}  // namespace mission::transmitter
