// Which streams may know of a mission, or are spoken to by an emitted event: candidates, which
// match_signal then judges by the terms in force. Pure, one owner (the issuer's strand).
//
// A stream is listed by every epoch that signals still to come may fall into; an entry that is no
// longer right costs a look, and goes with the stream's next change.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "store/rows.hpp"
#include "transmitter/delivery/build.hpp"

namespace mission::transmitter {

class audience_index {
  public:
    // Lists the stream anew. `default_all`: it gets what it may know without naming subjects; the
    // others are found by subject_index and are listed here for questions alone.
    void set(store::stream_row row, const std::string& client_id, bool default_all,
             const std::vector<terms_ptr>& terms);
    void remove(store::stream_row row);

    // Streams of default_subjects ALL that may know of it and are delivered any mission event.
    std::vector<store::stream_row> concerned(const store::match_keys& keys) const;
    // Every stream that may know of it, whatever it is delivered and follows.
    std::vector<store::stream_row> knowing(const store::match_keys& keys) const;
    // Streams of default_subjects ALL that are delivered an event type.
    std::vector<store::stream_row> delivered(std::string_view type) const;
    std::vector<store::stream_row> of_client(std::string_view client_id) const;
    // Streams that are delivered anything but mission events.
    std::vector<store::stream_row> beside_missions() const;

  private:
    using rows = std::set<store::stream_row>;
    struct names {
        std::map<std::string, rows, std::less<>> audiences, tenants, agents;
        rows all;  // every mission is their business
        void collect(const store::match_keys& keys, std::vector<store::stream_row>& out) const;
    };
    void list(store::stream_row row, const stream_terms& terms, names& in, bool insert);
    void apply(store::stream_row row, bool insert);

    struct entry {
        std::string client_id;
        bool default_all = true;
        std::vector<terms_ptr> terms;
    };
    std::map<store::stream_row, entry> entries_;
    names concerned_, knowing_;
    std::map<std::string, rows, std::less<>> by_type_, by_client_;
    rows beside_missions_;
};

}  // namespace mission::transmitter
