// Which signals concern a stream, and in which forms it gets them. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "store/rows.hpp"
#include "transmitter/delivery/build.hpp"

namespace mission::transmitter {

// One SET that a signal becomes on one stream.
struct planned_form {
    events::form form{};
    std::string type;
    set_shape shape = set_shape::mission;
};

struct match {
    std::vector<planned_form> forms;  // empty: nothing to send
    // A declared rule kept the change from the stream: its `continuity` must rise.
    bool withheld = false;
};

// `subject_of_interest` is what the stream's subject filter says (subject_index.hpp).
//
// An emitted event goes to whom its audience names, as it is; whoever emits names clients, and so
// what they may know of missions says nothing here.
match match_signal(const routed_signal& signal, const stream_terms& terms, bool subject_of_interest,
                   std::string_view event_type_base);

// What the filter of a stream with these default_subjects says while it lists no subjects.
inline bool interested_by_default(const store::stream& s) noexcept {
    return s.default_all;
}
// And with them (store::stream_subject): included, excluded by a row in force.
inline bool interested(bool default_all, bool included, bool excluded) noexcept {
    return included || (default_all && !excluded);
}

}  // namespace mission::transmitter
