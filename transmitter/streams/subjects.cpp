#include "transmitter/streams/subjects.hpp"

#include <algorithm>

#include "base/limits.hpp"
#include "transmitter/streams/members.hpp"

namespace mission::transmitter {

namespace {

using row_list = std::vector<store::stream_subject>;

// The row that is not removed, of that kind.
const store::stream_subject* standing(const row_list& rows, bool excluded) {
    const auto it = std::find_if(rows.begin(), rows.end(), [&](const auto& r) {
        return !r.removed_seq && r.excluded == excluded;
    });
    return it == rows.end() ? nullptr : &*it;
}

class judgement {
  public:
    judgement(const subject_change& change, const subject_state& state)
        : change_(change), state_(state), from_(state.head + 1) {}

    store::stream_subject fresh(bool excluded) const {
        store::stream_subject r;
        r.stream = state_.stream;
        r.key = change_.key;
        r.subject = change_.text;
        r.added_seq = from_;
        r.verified = change_.verified;
        r.excluded = excluded;
        return r;
    }

    // Out of force from the next signal on. One that would have begun with it never was in force.
    void end(const store::stream_subject& r) {
        auto ended = r;
        ended.removed_seq = from_;
        ended.remove_at.reset();
        put(std::move(ended));
    }

    // A row of the same beginning replaces what was put before.
    void put(store::stream_subject r) {
        std::erase_if(out, [&](const auto& other) { return other.added_seq == r.added_seq; });
        out.push_back(std::move(r));
    }

    row_list out;

  private:
    const subject_change& change_;
    const subject_state& state_;
    store::seq_t from_;
};

bool room(const subject_state& state, const subject_limits& limits) {
    return state.standing < limits.per_stream;
}

const error no_room{errc::rate_limited, "the stream has as many subjects as it may have"};

result<row_list> add_to_none(judgement& j, const subject_change& change, const subject_state& state,
                             const subject_limits& limits) {
    if (const auto* present = standing(state.of_key, false)) {
        if (!present->remove_at && present->verified == change.verified) return row_list{};
        auto again = *present;
        again.remove_at.reset();
        again.verified = change.verified;
        j.put(std::move(again));
        return std::move(j.out);
    }
    if (!room(state, limits)) return no_room;
    j.put(j.fresh(false));
    return std::move(j.out);
}

result<row_list> remove_from_none(judgement& j, const subject_state& state,
                                  const subject_limits& limits, wall_time now) {
    const auto* present = standing(state.of_key, false);
    if (present == nullptr || present->remove_at) return row_list{};
    if (limits.grace.count() <= 0) {
        j.end(*present);
        return std::move(j.out);
    }
    auto leaving = *present;
    leaving.remove_at = now + limits.grace;
    j.put(std::move(leaving));
    return std::move(j.out);
}

result<row_list> add_to_all(judgement& j, const subject_change& change, const subject_state& state,
                            const subject_limits& limits) {
    const auto* excluding = standing(state.of_key, true);
    const auto* including = standing(state.of_key, false);
    if (excluding != nullptr) j.end(*excluding);
    const std::size_t own = (excluding != nullptr ? 1u : 0u) + (including != nullptr ? 1u : 0u);
    // Something else stands: it may exclude what this subject is to include.
    const bool needed = state.standing > own;
    if (including != nullptr) {
        if (!needed) {
            j.end(*including);
        } else if (including->remove_at || including->verified != change.verified) {
            auto again = *including;
            again.remove_at.reset();
            again.verified = change.verified;
            j.put(std::move(again));
        }
    } else if (needed) {
        if (excluding == nullptr && !room(state, limits)) return no_room;
        j.put(j.fresh(false));
    }
    return std::move(j.out);
}

result<row_list> remove_from_all(judgement& j, const subject_state& state,
                                 const subject_limits& limits, wall_time now) {
    const auto* including = standing(state.of_key, false);
    if (standing(state.of_key, true) != nullptr) {
        if (including == nullptr || including->remove_at) return row_list{};
    } else if (!room(state, limits)) {
        return no_room;
    }
    const bool taken = std::any_of(state.of_key.begin(), state.of_key.end(),
                                   [&](const auto& r) { return r.added_seq == state.head; });
    if (limits.grace.count() > 0) {
        // Still delivered for a while: an including row beside the excluding one. It begins with
        // the head, which an ALL stream has been sent anyway, so that the two differ in their key.
        if (including != nullptr && including->added_seq <= state.head) {
            auto leaving = *including;
            leaving.remove_at = now + limits.grace;
            j.put(std::move(leaving));
        } else if (!taken) {
            auto leaving = j.fresh(false);
            leaving.added_seq = state.head;
            leaving.remove_at = now + limits.grace;
            j.put(std::move(leaving));
        }
    } else if (including != nullptr) {
        j.end(*including);
    }
    if (standing(state.of_key, true) == nullptr) j.put(j.fresh(true));
    return std::move(j.out);
}

}  // namespace

result<subject_request> parse_subject_request(const json::value& body) {
    subject_request out;
    auto id = read_stream_id(body);
    if (!id) return id.error();
    out.stream_id = std::move(*id);
    const json::value* given = json::find(body, "subject");
    if (given == nullptr) return error{errc::invalid_request, "subject is required"};
    auto subject = events::parse_subject(*given);
    if (!subject) return subject.error();
    if (events::to_json(*subject).size() > limits::subject_bytes)
        return error{errc::invalid_request, "subject is too long"};
    out.subject = std::move(*subject);
    if (const json::value* verified = json::find(body, "verified"); verified != nullptr) {
        if (!verified->IsBool())
            return error{errc::invalid_request, "verified must be true or false"};
        out.verified = verified->GetBool();
    }
    return out;
}

result<row_list> judge_subject(const subject_change& change, const subject_state& state,
                               const subject_limits& limits, wall_time now) {
    judgement j(change, state);
    if (state.default_all)
        return change.remove ? remove_from_all(j, state, limits, now)
                             : add_to_all(j, change, state, limits);
    return change.remove ? remove_from_none(j, state, limits, now)
                         : add_to_none(j, change, state, limits);
}

result<store::changes> subject_decision(const subject_request& wanted, bool remove,
                                        const subject_limits& limits, store::issuer_id issuer,
                                        store::stream_row row, const store::rows& rows,
                                        wall_time now, row_list& written) {
    written.clear();
    const auto s = rows.find_stream(issuer, wanted.stream_id);
    if (!s || s->row != row) return error{errc::stream_not_found};
    // SSF 1.0 section 8.1.4.1: the stream's own subject is always there and stays.
    if (wanted.subject == events::subject::opaque(wanted.stream_id)) return store::changes{};
    subject_change change;
    change.remove = remove;
    change.key = events::canonical_key(wanted.subject);
    change.text = events::to_json(wanted.subject);
    change.verified = wanted.verified;
    subject_state state;
    state.default_all = s->default_all;
    state.stream = row;
    state.of_key = rows.subjects(row, change.key);
    state.standing = rows.subject_count(row);
    state.head = rows.head();
    auto judged = judge_subject(change, state, limits, now);
    if (!judged) return judged.error();
    written = *judged;
    store::changes changes;
    changes.subjects = std::move(*judged);
    return changes;
}

}  // namespace mission::transmitter
