// Missions in a real store, operated through settlements: what tests of families share.
#pragma once

#include "base/json.hpp"
#include "tests/store/harness.hpp"
#include "transmitter/missions/commit.hpp"
#include "transmitter/missions/drain.hpp"
#include "transmitter/missions/visibility.hpp"

namespace mission::transmitter::test {

using store::test::long_id;
using store::test::look;
using store::test::opened;
using store::test::start_time;
using namespace std::chrono_literals;
using state = events::mission_state;

inline constexpr std::string_view plain_authority =
    R"([{"type":"mission_resource_access","resource":"https://erp.example",)"
    R"("actions":["invoices.read","invoices.pay"]}])";

inline store::audit_entry operator_at_work() {
    store::audit_entry by;
    by.actor = "console";
    by.origin = "test";
    return by;
}

template <class Kind = store::test::memory_kind>
struct registry : opened<Kind> {
    bool clock_ok = true;

    commit_context context(const store::rows& rows, wall_time now) const {
        return {"https://mas.example", rows.log_epoch(), "txn", now, nullptr};
    }
    wall_time now() const { return this->time.now(); }

    // Runs `fn(settlement&, rows, now) -> result<void>` as a decision; refused: nothing is written.
    template <class Fn>
    result<store::receipt> decide(Fn fn) {
        return store::test::run(
            *this->db, [this, fn](const store::rows& rows, wall_time at) -> result<store::changes> {
                settlement s(rows, context(rows, at), clock_ok);
                if (auto ok = fn(s, rows, at); !ok) return ok.error();
                return s.take();
            });
    }

    result<store::receipt> approve(std::string_view name, std::string_view parent = {},
                                   wall_time expires = start_time + 10h,
                                   std::string_view authority = plain_authority) {
        return decide([=, this](settlement& s, const store::rows&, wall_time at) -> result<void> {
            store::mission_record r = store::test::approval(this->issuer, name).approval.value();
            r.approved_at = at;
            store::mission_state first;
            first.state = state::active;
            first.version = 1;
            first.authority_revision = 1;
            first.expires_at = expires;
            first.changed_at = at;
            if (!parent.empty()) {
                const auto above = s.settle(this->issuer, long_id(parent));
                if (!above) return error{errc::mission_not_found};
                r.parent = above->record.mission_id;
                r.parent_row = above->state.row;
                r.root_row = above->record.root_row == store::mission_row{}
                                 ? above->state.row
                                 : above->record.root_row;
                r.depth = above->record.depth + 1;
            }
            const auto set = json::parse(authority);
            s.approve(std::move(r), first, std::string(authority), resources_of(*set),
                      operator_at_work());
            return {};
        });
    }

    result<store::receipt> operate(std::string_view name, operation_request request) {
        return decide([=, this](settlement& s, const store::rows&, wall_time at) -> result<void> {
            const auto m = s.settle(this->issuer, long_id(name));
            if (!m) return error{errc::mission_not_found};
            const auto judged = judge_operation(m->state, request, at);
            if (!judged) return judged.error();
            if (*judged) s.commit(*m, **judged, operator_at_work());
            return {};
        });
    }
    result<store::receipt> operate(std::string_view name, operation what) {
        operation_request request;
        request.what = what;
        return operate(name, request);
    }

    result<store::receipt> narrow(std::string_view name, std::string_view authority,
                                  std::optional<wall_time> expires = std::nullopt) {
        return decide([=, this](settlement& s, const store::rows&, wall_time at) -> result<void> {
            const auto m = s.settle(this->issuer, long_id(name));
            if (!m) return error{errc::mission_not_found};
            const auto set = json::parse(authority);
            const auto in_force = json::parse(s.authority(*m));
            scope_request request;
            if (!authority.empty()) request.authorization_details = &*set;
            request.expires_at = expires;
            const auto judged = judge_narrowing(m->state, *in_force, request, at);
            if (!judged) return judged.error();
            if (*judged) s.commit(*m, **judged, operator_at_work());
            return {};
        });
    }

    // What a reader is shown: the row, written first when it is pending.
    store::mission_state read(std::string_view name) {
        const auto id = long_id(name);
        const bool pending = look(*this->db, [&](const store::rows& rows) {
            const auto m = rows.find_mission(this->issuer, id);
            return m && is_pending(rows, m->state, now(), clock_ok);
        });
        if (pending)
            decide([&](settlement& s, const store::rows&, wall_time) -> result<void> {
                s.settle(this->issuer, id);
                return {};
            }).value();
        return row(name);
    }
    // The row as it is, pending or not.
    store::mission_state row(std::string_view name) {
        return look(*this->db,
                    [&](const store::rows& rows) {
                        return rows.find_mission(this->issuer, long_id(name)).value();
                    })
            .state;
    }
    std::string authority(std::string_view name) {
        const auto s = read(name);
        return look(*this->db, [&](const store::rows& rows) {
            return rows.authority(s.row, s.authority_revision).value_or("");
        });
    }

    // What its last signal says.
    events::mission_change last_change(std::string_view name) {
        const auto mission = row(name).row;
        return look(*this->db, [&](const store::rows& rows) {
            return recorded_change(rows.mission_signals(mission).back()).value();
        });
    }

    // One step of the drain; false when there was no mark.
    bool drain_once(std::size_t limit = 1000) {
        drained out;
        store::test::run(
            *this->db,
            [&, this](const store::rows& rows, wall_time at) -> result<store::changes> {
                return drain_step(rows, context(rows, at), clock_ok, limit, out);
            })
            .value();
        return !out.idle;
    }
    int drain(std::size_t limit = 1000) {
        int steps = 0;
        while (drain_once(limit))
            ++steps;
        return steps;
    }

    std::vector<store::mission_version> history(std::string_view name) {
        const auto s = row(name);
        return look(*this->db,
                    [&](const store::rows& rows) { return rows.versions(s.row, 0, 1000); });
    }
};

}  // namespace mission::transmitter::test
