#include "transmitter/delivery/subject_index.hpp"

#include <algorithm>

#include "base/json.hpp"

namespace mission::transmitter {

namespace {

constexpr std::size_t first_buckets = 64;

}  // namespace

subject_index::subject_index(std::string secret)
    : hash_(std::move(secret)),
      by_key_(first_buckets, place{none}),
      by_identity_(first_buckets, place{none}) {}

std::size_t subject_index::key_bucket(const subject_key& k) const noexcept {
    return k.low & (by_key_.size() - 1);
}

std::size_t subject_index::identity_bucket(const subject_key& k,
                                           store::stream_row s) const noexcept {
    // The key is a keyed hash already; streams are spread by an odd factor.
    const auto n = static_cast<std::uint64_t>(s) * 0x9E3779B97F4A7C15ull;
    return (k.high ^ n ^ (n >> 32)) & (by_identity_.size() - 1);
}

bool subject_index::parse(const store::stream_subject& row, parsed_row& out) const {
    const auto text = json::parse(row.subject);
    if (!text) return false;
    const auto subject = events::parse_subject(*text);
    if (!subject) return false;
    out.whole = hash_.of_text(row.key);
    const auto add = [&](const events::subject& s, std::uint64_t member) {
        const auto one = [&](const events::subject& simple) {
            const subject_key key = hash_.of(simple);
            if (member != 0) out.members.emplace_back(member, key);
            if (std::find(out.names.begin(), out.names.end(), key) == out.names.end())
                out.names.push_back(key);
        };
        // RFC 9493 section 3.2.8: any of its identifiers names the subject.
        if (s.format == "aliases") {
            for (const auto& name : s.identifiers)
                one(name);
        } else {
            one(s);
        }
    };
    if (subject->is_complex()) {
        for (const auto& [name, member] : subject->complex)
            add(member, hash_.of_name(name));
        std::sort(out.members.begin(), out.members.end(),
                  [](const auto& a, const auto& b) { return a.first < b.first; });
    } else {
        add(*subject, 0);
    }
    return true;
}

subject_index::place subject_index::find_same(const store::stream_subject& row,
                                              const parsed_row& parsed,
                                              const subject_key& name) const {
    const bool simple = parsed.members.empty() && name == parsed.whole;
    for (place p = by_identity_[identity_bucket(name, row.stream)]; p != none;
         p = postings_[p].next_of_identity) {
        const posting& one = postings_[p];
        if (one.key != name || one.stream != row.stream || one.added != row.added_seq) continue;
        if (one.group == 0 ? simple : groups_.at(one.group).row == parsed.whole) return p;
    }
    return none;
}

bool subject_index::put(const store::stream_subject& row) {
    parsed_row parsed;
    if (!parse(row, parsed)) return false;
    bool found = false;
    for (const auto& name : parsed.names) {
        const place p = find_same(row, parsed, name);
        if (p == none) break;  // of a row all are there or none
        found = true;
        postings_[p].removed = row.removed_seq.value_or(in_force);
        postings_[p].excluded = row.excluded;
    }
    if (!found) insert(row, parsed);
    return true;
}

bool subject_index::load(const store::stream_subject& row) {
    parsed_row parsed;
    if (!parse(row, parsed)) return false;
    insert(row, parsed);
    return true;
}

void subject_index::insert(const store::stream_subject& row, const parsed_row& parsed) {
    std::uint32_t number = 0;
    const bool simple =
        parsed.members.empty() && parsed.names.size() == 1 && parsed.names.front() == parsed.whole;
    if (!simple) {
        number = next_group_++;
        groups_[number] = {parsed.whole, parsed.members,
                           static_cast<std::uint32_t>(parsed.names.size())};
    }
    for (const auto& name : parsed.names) {
        if (used_ >= by_key_.size()) grow();
        place p;
        if (free_.empty()) {
            p = static_cast<place>(postings_.size());
            postings_.emplace_back();
        } else {
            p = free_.back();
            free_.pop_back();
        }
        posting& one = postings_[p];
        one.key = name;
        one.stream = row.stream;
        one.added = row.added_seq;
        one.removed = row.removed_seq.value_or(in_force);
        one.group = number;
        one.excluded = row.excluded;
        one.used = true;
        place& key_head = by_key_[key_bucket(name)];
        one.next_of_key = key_head;
        key_head = p;
        place& identity_head = by_identity_[identity_bucket(name, row.stream)];
        one.next_of_identity = identity_head;
        identity_head = p;
        ++used_;
    }
}

void subject_index::grow() {
    by_key_.assign(by_key_.size() * 2, place{none});
    by_identity_.assign(by_key_.size(), place{none});
    swept_ = 0;
    for (place p = 0; p < postings_.size(); ++p) {
        posting& one = postings_[p];
        if (!one.used) continue;
        place& key_head = by_key_[key_bucket(one.key)];
        one.next_of_key = key_head;
        key_head = p;
        place& identity_head = by_identity_[identity_bucket(one.key, one.stream)];
        one.next_of_identity = identity_head;
        identity_head = p;
    }
}

// SSF 1.0 section 8.1.3.1, member by member; wire.md section 3: without a member in common there is
// no match.
bool subject_index::group_matches(const group& g, const signal_subjects& about,
                                  const stream_visibility& v) const {
    if (g.members.empty() || about.simple_only) return true;  // one name is enough
    bool in_common = false;
    for (auto m = g.members.begin(); m != g.members.end();) {
        const std::uint64_t name = m->first;
        bool defined = false, identical = false;
        for (; m != g.members.end() && m->first == name; ++m) {
            for (const auto& facet : about.facets) {
                if (facet.member != name || !facet.visible_to(v)) continue;
                defined = true;
                identical = identical || facet.key == m->second;
            }
        }
        if (defined && !identical) return false;
        in_common = in_common || identical;
    }
    return in_common;
}

subject_index::opinion subject_index::ask(store::stream_row stream, const signal_subjects& about,
                                          const stream_visibility& v, store::seq_t seq) const {
    opinion out;
    for (const auto& facet : about.facets) {
        if (!facet.visible_to(v)) continue;
        for (place p = by_identity_[identity_bucket(facet.key, stream)]; p != none;
             p = postings_[p].next_of_identity) {
            const posting& one = postings_[p];
            if (one.key != facet.key || one.stream != stream) continue;
            if (seq < one.added || seq >= one.removed) continue;
            if (one.group != 0 && !group_matches(groups_.at(one.group), about, v)) continue;
            (one.excluded ? out.excluded : out.included) = true;
        }
    }
    return out;
}

std::vector<store::stream_row> subject_index::candidates(const signal_subjects& about,
                                                         store::seq_t seq) const {
    std::vector<store::stream_row> out;
    for (const auto& facet : about.facets) {
        for (place p = by_key_[key_bucket(facet.key)]; p != none; p = postings_[p].next_of_key) {
            const posting& one = postings_[p];
            if (one.key != facet.key || one.excluded) continue;
            if (seq >= one.added && seq < one.removed) out.push_back(one.stream);
        }
    }
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
}

void subject_index::unlink_identity(place p) {
    place* link = &by_identity_[identity_bucket(postings_[p].key, postings_[p].stream)];
    while (*link != p)
        link = &postings_[*link].next_of_identity;
    *link = postings_[p].next_of_identity;
}

void subject_index::release(place p) {
    posting& one = postings_[p];
    if (one.group != 0) {
        const auto g = groups_.find(one.group);
        if (--g->second.postings == 0) groups_.erase(g);
    }
    one = {};
    free_.push_back(p);
    --used_;
}

void subject_index::sweep(const std::function<bool(store::stream_row)>& gone, store::seq_t tail,
                          std::size_t rounds) {
    if (used_ == 0) return;
    const std::size_t share = by_key_.size() / std::max<std::size_t>(rounds, 1) + 1;
    for (std::size_t n = 0; n < share; ++n) {
        if (swept_ >= by_key_.size()) swept_ = 0;
        // In one pass over the chain, however many of it go.
        place* link = &by_key_[swept_++];
        while (*link != none) {
            const place p = *link;
            posting& one = postings_[p];
            if (one.removed > tail && !gone(one.stream)) {
                link = &one.next_of_key;
                continue;
            }
            *link = one.next_of_key;
            unlink_identity(p);
            release(p);
        }
    }
}

}  // namespace mission::transmitter
