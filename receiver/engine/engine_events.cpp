// Events that are not about missions: CAEP, RISC and others, on their way to the host's handlers.
#include <algorithm>

#include "events/mission_event.hpp"
#include "receiver/engine/engine.hpp"
#include "receiver/verify/verify.hpp"
#include "receiver/words.hpp"

namespace mission::receiver {

using ms::log_level;

namespace {

// What handlers are given whole, and the cache understands: SSF 1.0 section 3.2, and ours.
constexpr std::string_view understood[] = {"user",   "device",   "session", "application",
                                           "tenant", "org_unit", "group",   "mission"};

// wire.md section 5: `sub_id` first; the inner `subject` of a CAEP or RISC event is read when that
// is missing, and has to agree when both are there.
result<std::optional<events::subject>> subject_of(const events::received_set& set) {
    const std::string_view type = set.type;
    const bool standard =
        type.starts_with(events::caep_base) || type.starts_with(events::risc_base);
    const auto* inner = standard ? json::find(*set.event, "subject") : nullptr;
    if (inner == nullptr) {
        if (standard && !set.sub_id) return error{errc::bad_claims, "sub_id is missing"};
        return set.sub_id;
    }
    auto parsed = events::parse_subject(*inner);
    if (parsed.has_error()) return error{errc::bad_claims, "subject: " + parsed.error().detail};
    if (set.sub_id && events::canonical_key(*set.sub_id) != events::canonical_key(*parsed)) {
        return error{errc::bad_claims, "subject is another one than sub_id"};
    }
    if (set.sub_id) return set.sub_id;
    return std::optional<events::subject>(std::move(*parsed));
}

}  // namespace

void engine::set_critical_members(std::vector<std::string> members) {
    std::lock_guard lock(m_);
    critical_members_ = std::move(members);
}

std::string engine::critical_member(const events::subject* subject) const {
    if (subject == nullptr || !subject->is_complex()) return {};
    std::lock_guard lock(m_);
    for (const auto& name : critical_members_) {
        if (subject->complex.count(name) == 0) continue;
        if (std::find(std::begin(understood), std::end(understood), name) == std::end(understood)) {
            return name;
        }
    }
    return {};
}

// SSF 1.0 section 3.6: acknowledged, counted, without the event's effect.
void engine::drop(events::received_set& set, const std::string& member,
                  std::function<void(set_outcome)> done) {
    counts_.unknown_events.fetch_add(1, std::memory_order_relaxed);
    log(log_level::warning, "an event is dropped: its subject has a critical member unknown to us",
        {{"type", peer_words(set.type)},
         {"jti", peer_words(set.jti.substr(0, 64))},
         {"member", peer_words(member.substr(0, 64))}});
    std::optional<events::mission_change> change;
    if (events::is_mission_event(set.type)) {
        auto parsed = events::parse_mission_event(set.type, *set.event, *set.sub_id);
        if (parsed.has_value()) change = std::move(*parsed);
    }
    auto answer = [done = std::move(done)](const result<void>& r) {
        done(r.has_value() ? set_outcome{} : set_outcome{set_fate::retry, r.error()});
    };
    after later;
    {
        std::unique_lock lock(m_);
        const auto found =
            change ? find({change->issuer, change->mission_id}) : result<slot*>(nullptr);
        if (found.has_error()) {
            lock.unlock();
            return answer(found.error());
        }
        slot* known = *found;
        // One of ours has changed somehow, and no heartbeat would tell that we do not know how: it
        // is in doubt until a Status that is asked for from here on says.
        const bool doubted =
            known != nullptr && !ms::is_terminal(told(known->now)) &&
            (change->version > known->now.version || change->log_epoch != known->now.log_epoch);
        if (!doubted) return submit_known(set, {}, std::move(answer));
        submit_known(set, {}, nullptr);
        auto& s = *known;
        s.doubted_at = revision_ + 1;
        applied a;
        a.next = s.now;
        a.next.gap = a.ask_status = true;
        take(s, std::move(a), std::move(answer), later);
    }
    for (auto& f : later)
        f();
}

void engine::receive_event(events::received_set& set, std::function<void(set_outcome)> done) {
    auto reject = [&done](error e) { done({set_fate::reject, std::move(e)}); };
    auto subject = subject_of(set);
    if (subject.has_error()) return reject(subject.error());
    const auto member = critical_member(*subject ? &**subject : nullptr);
    if (!member.empty()) return drop(set, member, std::move(done));

    const bool wanted = hooks_.events != nullptr && hooks_.events->wants(set.type);
    event_record e;
    if (wanted) {
        e.iss = set.iss;
        e.jti = set.jti;
        e.type = set.type;
        e.txn = set.txn.value_or("");
        e.issued_at = set.iat;
        if (*subject) e.subject = events::to_json(**subject);
        e.event = json::write(*set.event);
        e.received = to_wall(hooks_.now());
    }
    auto answer = [done = std::move(done)](const result<void>& r) {
        done(r.has_value() ? set_outcome{} : set_outcome{set_fate::retry, r.error()});
    };
    std::unique_lock lock(m_);
    if (known_jti(set)) {
        // Twice at the same moment: the other one's unit goes before this one.
        counts_.sets_duplicate.fetch_add(1, std::memory_order_relaxed);
        return state_.submit({}, std::move(answer));
    }
    if (!wanted) {
        // Not asked for, or nobody's business: taken note of, acknowledged, nothing else.
        counts_.unknown_events.fetch_add(1, std::memory_order_relaxed);
        return submit_known(set, {}, std::move(answer));
    }
    const auto octets = e.size();
    if (!hooks_.events->reserve(octets)) {
        lock.unlock();
        return answer(error{errc::unavailable, "too many events wait for their handlers"});
    }
    try {
        state_write w;
        w.events.push_back(e);
        // I7: on disk first, then acknowledged, then run.
        submit_known(set, std::move(w), std::move(answer),
                     [this, e = std::move(e)] { hooks_.events->release(e); });
    } catch (...) {
        hooks_.events->give_back(octets);
        throw;
    }
}

}  // namespace mission::receiver
