// Which streams follow a subject: the subject filters of all streams of one issuer, by subject.
//
// A signal costs the streams that match it, not the streams there are. Rows are versioned as the
// log is: in force for seq in [added, removed), so that what is delivered again is matched as it
// was. Pure, one owner (the issuer's strand).
//
//      key chain       hash of a simple subject -> every row that names it, of any stream
//      identity chain  (hash, stream)           -> the rows of that stream
//
// A posting is 56 octets; a row has one for each simple subject in it. Rows of streams that are
// gone, or that were removed before the log begins, are taken out by sweep().
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <string>
#include <unordered_map>
#include <vector>

#include "store/rows.hpp"
#include "transmitter/delivery/subject_view.hpp"

namespace mission::transmitter {

class subject_index {
  public:
    // `secret`: random, of this process.
    explicit subject_index(std::string secret);

    // Inserts the row, or replaces the one of the same (stream, key, added_seq). False when its
    // subject cannot be read: it is left out.
    bool put(const store::stream_subject& row);
    // A row that is certainly new, at start.
    bool load(const store::stream_subject& row);

    // What a stream's rows in force at `seq` say about a signal, for one that may see `v`.
    struct opinion {
        bool included = false, excluded = false;
    };
    opinion ask(store::stream_row stream, const signal_subjects& about, const stream_visibility& v,
                store::seq_t seq) const;
    // Every stream with an including row in force at `seq` that names something the signal is
    // about; ask() then decides. Each once.
    std::vector<store::stream_row> candidates(const signal_subjects& about, store::seq_t seq) const;

    // Looks at some more of the index, and takes out what belongs to a stream that is `gone` or was
    // removed at or before `tail`. Called every now and then; the whole index within `rounds`
    // calls.
    void sweep(const std::function<bool(store::stream_row)>& gone, store::seq_t tail,
               std::size_t rounds = 16);

    bool empty() const noexcept { return used_ == 0; }
    std::size_t size() const noexcept { return used_; }  // postings
    const subject_hasher& hasher() const noexcept { return hash_; }

  private:
    using place = std::uint32_t;  // of a posting; none: end of chain
    static constexpr place none = std::numeric_limits<place>::max();
    static constexpr store::seq_t in_force = std::numeric_limits<store::seq_t>::max();

    struct posting {
        subject_key key;
        store::stream_row stream{};
        store::seq_t added = 0, removed = in_force;
        place next_of_key = none, next_of_identity = none;
        std::uint32_t group = 0;  // 0: a simple subject; else what it is one name or member of
        bool excluded = false;
        bool used = false;
    };
    // A complex subject, or aliases (no members).
    struct group {
        subject_key row;                                             // of the whole subject
        std::vector<std::pair<std::uint64_t, subject_key>> members;  // by name
        std::uint32_t postings = 0;
    };
    struct parsed_row {
        subject_key whole;
        std::vector<subject_key> names;  // each gets a posting
        std::vector<std::pair<std::uint64_t, subject_key>> members;
    };

    bool parse(const store::stream_subject& row, parsed_row& out) const;
    void insert(const store::stream_subject& row, const parsed_row& parsed);
    place find_same(const store::stream_subject& row, const parsed_row& parsed,
                    const subject_key& name) const;
    std::size_t key_bucket(const subject_key& k) const noexcept;
    std::size_t identity_bucket(const subject_key& k, store::stream_row s) const noexcept;
    void grow();
    void unlink_identity(place p);
    void release(place p);
    bool group_matches(const group& g, const signal_subjects& about,
                       const stream_visibility& v) const;

    subject_hasher hash_;
    std::deque<posting> postings_;
    std::vector<place> free_;
    std::vector<place> by_key_, by_identity_;  // chains; sizes are powers of two
    std::unordered_map<std::uint32_t, group> groups_;
    std::uint32_t next_group_ = 1;
    std::size_t used_ = 0;
    std::size_t swept_ = 0;  // next bucket that sweep() looks at
};

}  // namespace mission::transmitter
